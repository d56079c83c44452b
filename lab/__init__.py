"""The whole system on one machine: embedded PostgreSQL, AWS emulator and demo, with no AWS account and no Docker."""
