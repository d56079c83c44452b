"""Progress of jobs: from the view or live, in the words of the status contract; its refresh and its verification."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2.errors

from handlers.connection import Rows
from handlers.errors import InvalidRequestError, JobNotFoundError
from handlers.executions import execution_status
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
MAX_JOBS = 100

_CACHE = frozenset({"cache_refreshed_at", "cache_refresh_duration_ms"})
# Newer than any job.
_BEFORE_THE_FIRST = ("infinity", "ffffffff-ffff-ffff-ffff-ffffffffffff")
# The view is not there, or was never filled.
_NO_VIEW = (psycopg2.errors.UndefinedTable, psycopg2.errors.ObjectNotInPrerequisiteState)

# Step Functions still lists the job's objects, or will go on doing so.
_LISTING = frozenset({"RUNNING", "PENDING_REDRIVE"})
_ENDED_BADLY = {"FAILED": "failed", "TIMED_OUT": "failed", "ABORTED": "aborted"}


def job_status(database: Rows, job_id: str, *, real_time: bool) -> dict[str, Any]:
    """Return the body of `GET /jobs/{job_id}`.

    Args:
        database: a connection as `progress_reader`.
        job_id: a UUID in any of its usual spellings.
        real_time: the live numbers, whatever the view says.

    Raises:
        InvalidRequestError: `job_id` is not a UUID.
        JobNotFoundError: no job has this id.
        DatabaseUnavailableError: the database cannot be reached.

    """
    try:
        key = str(UUID(job_id))
    except ValueError:
        raise InvalidRequestError("invalid_job_id", f"job_id {job_id!r} is not a UUID") from None
    row = _read(database, key, real_time=real_time)
    if row is None:
        raise JobNotFoundError(f"no job has the id {key}")
    execution = execution_status(row["execution_arn"])
    status, message = describe(row, execution)
    return {
        **_progress(row),
        "status": status,
        "status_message": message,
        "step_function_status": execution,
        **_source(row),
    }


def active_jobs(database: Rows, *, limit: int, cursor: str | None, real_time: bool) -> dict[str, Any]:
    """Return the body of `GET /jobs?state=active`: one page of the jobs below 100 %, newest first.

    Args:
        database: a connection as `progress_reader`.
        limit: jobs on a page, 1 to `MAX_JOBS`.
        cursor: `next_cursor` of the page before; `None` for the first page.
        real_time: the live numbers, and the jobs that the view does not hold yet.

    Raises:
        InvalidRequestError: `limit` is out of its bounds, or `cursor` is none of ours.
        DatabaseUnavailableError: the database cannot be reached.

    """
    if not 1 <= limit <= MAX_JOBS:
        raise InvalidRequestError("invalid_limit", f"limit {limit} is not between 1 and {MAX_JOBS}")
    created_at, job_id = _BEFORE_THE_FIRST if cursor is None else _decode_cursor(cursor)
    # One more than asked for says whether there is a next page.
    parameters = {"created_at": created_at, "job_id": job_id, "limit": limit + 1}
    rows = _cached_or_live(database, "active_jobs", parameters, real_time=real_time)
    jobs = [row for row in rows if row["job_id"]]
    page = jobs[:limit]
    return {
        "jobs": [_progress(row) for row in page],
        "next_cursor": _encode_cursor(page[-1]) if len(jobs) > limit else None,
        **_source(rows[0] if rows else {}),
    }


def statistics(database: Rows, *, real_time: bool) -> dict[str, Any]:
    """Return the body of `GET /statistics`: one row over all jobs.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    row = _cached_or_live(database, "statistics", {}, real_time=real_time)[0]
    return {**{name: value for name, value in row.items() if name not in _CACHE}, **_source(row)}


def measure_sessions(database: Rows) -> dict[str, float] | None:
    """Return how long the longest wait for a lock and the oldest transaction of the database last by now, in seconds.

    Args:
        database: a connection as `progress_refresher`.

    Returns:
        `{"longest_lock_wait_s", "oldest_transaction_age_s"}`, each 0 when there is none; `None` before migration 004.

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


def refresh(database: Rows) -> dict[str, Any]:
    """Fold what changed, refresh the view and log it, unless another refresh is at work.

    Args:
        database: a connection as `progress_refresher`.

    Returns:
        `{"refreshed", "duration_ms", "jobs", "objects", "folded_rows", "backlog_rows", "lag_s"}`. `backlog_rows` is how
        many deltas waited when it began, `lag_s` how old the view was then, `None` before the first refresh; the others
        are `None` when `refreshed` is false. Without migration 003 there are no deltas, and nobody says how old it was.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    row = database.fetch_all(QUERIES["refresh"])[0]
    return {
        "refreshed": row["refreshed"],
        "duration_ms": row["refresh_duration_ms"],
        "jobs": row["total_jobs"],
        "objects": row["total_objects"],
        "folded_rows": row.get("folded_rows", 0),
        "backlog_rows": row.get("backlog_rows", 0),
        "lag_s": row.get("lag_seconds"),
    }


def verify(database: Rows) -> list[dict[str, Any]]:
    """Compare what is known of every job with a full count.

    Args:
        database: a connection as `progress_refresher`.

    Returns:
        A row of `verify_job_progress()` for each job that differs; its numbers are known minus counted.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    return database.fetch_all(QUERIES["verify"])


def rebuild(database: Rows) -> int:
    """Mend every job that `verify` would list, while writers go on, and return how many there were.

    Args:
        database: a connection as `progress_refresher`.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    mended: int = database.fetch_all(QUERIES["rebuild"])[0]["mended_jobs"]
    return mended


def describe(row: Mapping[str, Any], execution: str | None) -> tuple[str, str]:
    """Return the job's status and a sentence about it.

    Args:
        row: a row of `job_progress`.
        execution: the execution's state in Step Functions; `None` when there is none or it is unknown.

    """
    total = row["total_objects"]
    done = row["succeeded_count"] + row["failed_count"]
    if execution in _ENDED_BADLY:
        ending = execution.lower().replace("_", " ")
        return _ENDED_BADLY[execution], f"The execution {ending}; {done:,} of {total:,} objects were done"
    if execution in _LISTING:
        return "listing", f"Listing objects: {total:,} found so far, {done:,} done"
    listing_ended = execution == "SUCCEEDED" or row["execution_arn"] is None
    if done < total or not (total or listing_ended):
        return "processing", f"Processing objects: {done:,} of {total:,} done"
    if not total:
        return "completed", "There was no object to process"
    return "completed", f"All {total:,} objects are done, {row['failed_count']:,} of them failed"


def _read(database: Rows, job_id: str, *, real_time: bool) -> dict[str, Any] | None:
    """Return a row of job_progress or job_progress_live, or one counted now, as JSON gives it."""
    try:
        try:
            rows = database.fetch_all(QUERIES["read_progress"], {"job_id": job_id, "real_time": real_time})
        except _NO_VIEW:
            rows = database.fetch_all(QUERIES["read_progress"], {"job_id": job_id, "real_time": True})
    except psycopg2.errors.UndefinedFunction:  # before migration 003
        rows = database.fetch_all(QUERIES["direct_progress"], {"job_id": job_id})
    return rows[0]["progress"] if rows else None


def _cached_or_live(
    database: Rows, name: str, parameters: Mapping[str, Any], *, real_time: bool
) -> list[dict[str, Any]]:
    if not real_time:
        try:
            return database.fetch_all(QUERIES[f"{name}_cached"], parameters)
        except _NO_VIEW:
            pass
    return database.fetch_all(QUERIES[f"{name}_real_time"], parameters)


def _encode_cursor(row: Mapping[str, Any]) -> str:
    return urlsafe_b64encode(f"{row['created_at'].isoformat()} {row['job_id']}".encode()).decode().rstrip("=")


def _decode_cursor(cursor: str) -> tuple[str, str]:
    try:
        created_at, _, job_id = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
        # In UTC, because Python knows offsets that PostgreSQL does not.
        return datetime.fromisoformat(created_at).astimezone(UTC).isoformat(), str(UUID(job_id))
    except (ValueError, OverflowError):
        message = f"cursor {cursor!r} is not one of ours; pass the next_cursor of the page before"
        raise InvalidRequestError("invalid_cursor", message) from None


def _progress(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "job_id": row["job_id"],
        "bucket": row["bucket"],
        "prefix": row["prefix"],
        "execution_arn": row["execution_arn"],
        "created_at": _time(row["created_at"]),
        "updated_at": _time(row["updated_at"]),
        "total": row["total_objects"],
        "queued": row["queued_count"],
        "processing": row["processing_count"],
        "succeeded": row["succeeded_count"],
        "failed": row["failed_count"],
        "total_findings": row["total_findings"],
        "progress_percent": row["progress_percent"],
    }


def _source(row: Mapping[str, Any]) -> dict[str, Any]:
    """Say where a row comes from, and how old it is when it comes from the view."""
    if "cache_refreshed_at" not in row:
        return {"data_source": "real_time"}
    return {
        "data_source": "cached",
        "cache_refreshed_at": _time(row["cache_refreshed_at"]),
        "cache_refresh_duration_ms": row["cache_refresh_duration_ms"],
    }


def _time(value: datetime | str | None) -> datetime | None:
    """Return a time, also one that PostgreSQL wrote into JSON."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
