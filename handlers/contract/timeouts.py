"""The chain of time limits, from the database to the schedule. Each limit ends before the one around it does."""

# Progress is stale once this many refreshes in a row have not come.
STALE_AFTER_INTERVALS = 3
