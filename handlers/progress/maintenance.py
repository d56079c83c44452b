"""Maintenance of job_progress: refresh, verification, correction, and the sessions that would hold a refresh up."""

from pathlib import Path
from typing import Any

import psycopg2.errors

from handlers.connection import Rows
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("maintenance.sql"))


def measure_sessions(database: Rows) -> dict[str, float] | None:
    """Return the age of the longest wait for a lock and of the oldest transaction in the database, in seconds.

    Args:
        database: a connection as `progress_refresher`.

    Returns:
        `{"longest_lock_wait_s", "oldest_transaction_age_s"}`, each 0 when there is none. `None` after a rollback to
        003, which has no function that measures them.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    try:
        row = database.fetch_all(QUERIES["measure_sessions"])[0]
    except psycopg2.errors.UndefinedFunction:
        return None
    return {
        "longest_lock_wait_s": row["longest_lock_wait_seconds"],
        "oldest_transaction_age_s": row["oldest_transaction_age_seconds"],
    }


def restore_advice(database: Rows) -> str | None:
    """Return a sentence on public objects that are missing or not those of the migrations; `None` when all are well.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    try:
        rows = database.fetch_all(QUERIES["objects_to_restore"])
    except psycopg2.errors.UndefinedFunction:
        return None  # not migrated to 002: what is done next says so
    missing, replaced = (
        [row["name"] for row in rows if row["is_missing"] == is_missing] for is_missing in (True, False)
    )
    complaints = [f"missing: {', '.join(missing)}"] if missing else []
    if replaced:
        complaints.append(f"replaced by an older deployment's script: {', '.join(replaced)}")
    return f"{'; '.join(complaints)}; `scannerdb migrate` restores what the release has" if complaints else None


def refresh(database: Rows) -> dict[str, Any]:
    """Fold the deltas, refresh job_progress and log it, unless another refresh is running.

    Args:
        database: a connection as `progress_refresher`.

    Returns:
        `{"refreshed", "duration_ms", "jobs", "objects", "folded_rows", "backlog_rows", "lag_s"}`. `backlog_rows` is how
        many deltas waited when it began, `lag_s` how old job_progress was then, `None` before the first refresh. The
        others are `None` when `refreshed` is false. After a rollback to 002 there are no deltas, and no age is known.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    row = _run(database, "refresh")[0]
    return {
        "refreshed": row["refreshed"],
        "duration_ms": row["refresh_duration_ms"],
        "jobs": row["total_jobs"],
        "objects": row["total_objects"],
        "folded_rows": row["folded_rows"],
        "backlog_rows": row["backlog_rows"],
        "lag_s": row["lag_seconds"],
    }


def verify(database: Rows) -> list[dict[str, Any]]:
    """Compare the counts and deltas of every job with a full count.

    Args:
        database: a connection as `progress_refresher`.

    Returns:
        A row of `verify_job_progress()` for each job that differs; its numbers are known minus counted.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    return _run(database, "verify")


def rebuild(database: Rows) -> int:
    """Correct every job that `verify` would list, without blocking writers, and return how many there were.

    Args:
        database: a connection as `progress_refresher`.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    mended: int = _run(database, "rebuild")[0]["mended_jobs"]
    return mended


def _run(database: Rows, name: str) -> list[dict[str, Any]]:
    """Run a query, and once more where a deadlock undid it, as with REINDEX CONCURRENTLY of job_progress."""
    try:
        return database.fetch_all(QUERIES[name])
    except psycopg2.errors.DeadlockDetected:
        return database.fetch_all(QUERIES[name])
