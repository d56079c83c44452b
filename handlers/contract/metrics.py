"""The metrics of our own: what `refresh` writes into its log (EMF), and what filters make of the database's log."""

# Of the metrics in EMF; their one dimension is `service`, the function's name.
NAMESPACE = "ScannerDatabase"

# 1 for a refresh that was done, and for one that found another one running.
REFRESH_SUCCEEDED = "RefreshSucceeded"
REFRESH_SKIPPED = "RefreshSkipped"
# Milliseconds of a refresh that was done, the deltas that it folded, and what it counted.
REFRESH_DURATION = "RefreshDuration"
FOLDED_ROWS = "FoldedRows"
JOBS = "Jobs"
OBJECTS = "Objects"
# Deltas that waited when a refresh began, and the seconds since the refresh before.
PROGRESS_BACKLOG = "ProgressBacklog"
PROGRESS_LAG = "ProgressLag"
# Seconds, over all sessions of the database.
LONGEST_LOCK_WAIT = "LongestLockWait"
OLDEST_TRANSACTION_AGE = "OldestTransactionAge"
# Jobs that differ from a full count, and jobs that were corrected.
DRIFTED_JOBS = "DriftedJobs"
MENDED_JOBS = "MendedJobs"
# Jobs that were retired, and objects and findings that were deleted for that.
RETIRED_JOBS = "RetiredJobs"
RETIRED_ROWS = "RetiredRows"

# Milliseconds of each slow statement, and 1 for each refused one, from the database's log.
SLOW_QUERY_DURATION = "SlowQueryDuration"
DENIED_STATEMENTS = "DeniedStatements"


def log_filter_namespace(environment: str) -> str:
    """Return the namespace of the metrics that filters make; a filter's metric takes no constant dimension."""
    return f"{NAMESPACE}/{environment}"
