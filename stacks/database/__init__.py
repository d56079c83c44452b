"""The database: one interface, and what stands behind it."""
