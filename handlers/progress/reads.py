"""The reads of the status API: one job, the active jobs, statistics, in the words of the status contract."""

import contextlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2.errors
import psycopg2.extensions

from handlers.connection import Rows
from handlers.errors import InvalidRequestError, JobNotFoundError
from handlers.executions import execution_status
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("reads.sql"))
# Where job_progress_source is missing, job_progress_direct has the same columns.
QUERIES |= {
    f"{name}_direct": QUERIES[f"{name}_real_time"].replace("job_progress_source", "job_progress_direct")
    for name in ("active_jobs", "statistics")
}
MAX_JOBS = 100

_CACHE = frozenset({"cache_refreshed_at", "cache_refresh_duration_ms"})
# Newer than any job.
_BEFORE_THE_FIRST = ("infinity", "ffffffff-ffff-ffff-ffff-ffffffffffff")
# In a cursor, for a job without created_at: such jobs come last.
_NEVER = "-infinity"
# What an answer says for a time before the year 1 or after 9999, infinity among them: PostgreSQL has such times, Python
# and JSON's readers do not.
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# A view or function is missing, or job_progress was never filled.
_MISSING = (
    psycopg2.errors.UndefinedTable,
    psycopg2.errors.UndefinedFunction,
    psycopg2.errors.ObjectNotInPrerequisiteState,
)

# Step Functions lists the job's objects, or will continue to.
_LISTING = frozenset({"RUNNING", "PENDING_REDRIVE"})
_ENDED_BADLY = {"FAILED": "failed", "TIMED_OUT": "failed", "ABORTED": "aborted"}


def job_status(database: Rows, job_id: str, *, real_time: bool) -> dict[str, Any]:
    """Return the body of `GET /jobs/{job_id}`.

    Args:
        database: a connection as `progress_reader`.
        job_id: a UUID in any of its usual spellings.
        real_time: exact numbers of this moment, also where job_progress holds the job.

    Raises:
        InvalidRequestError: `job_id` is not a UUID.
        JobNotFoundError: no job has this id.
        DatabaseUnavailableError: the database cannot be reached.

    """
    try:
        key = str(UUID(job_id))
    except ValueError:
        raise InvalidRequestError("invalid_job_id", f"job_id {job_id!r} is not a UUID") from None
    rows = _fetch(database, "job", {"job_id": key}, real_time=real_time)
    row = rows[0]["progress"] if rows else None
    if row is None:
        raise JobNotFoundError(f"no job has the id {key}")
    execution = execution_status(row["execution_arn"] or None)
    status, message = status_message(row, execution)
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
        real_time: exact numbers of this moment, and the jobs that job_progress does not hold yet.

    Raises:
        InvalidRequestError: `limit` is out of its bounds, or `cursor` is not a `next_cursor`.
        DatabaseUnavailableError: the database cannot be reached.

    """
    if not 1 <= limit <= MAX_JOBS:
        raise InvalidRequestError("invalid_limit", f"limit {limit} is not between 1 and {MAX_JOBS}")
    created_at, job_id = _BEFORE_THE_FIRST if cursor is None else _decode_cursor(cursor)
    # One more than the limit shows whether there is a next page.
    parameters = {"created_at": created_at, "job_id": job_id, "limit": limit + 1}
    rows = _fetch(database, "active_jobs", parameters, real_time=real_time)
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
    row = _fetch(database, "statistics", {}, real_time=real_time)[0]
    return {**{name: value for name, value in row.items() if name not in _CACHE}, **_source(row)}


def status_message(row: Mapping[str, Any], execution: str | None) -> tuple[str, str]:
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
    # Step Functions forgets an execution after 90 days; a retired job has no more objects to come.
    listing_ended = execution == "SUCCEEDED" or not row["execution_arn"] or "retired_at" in row
    if done < total or not (total or listing_ended):
        return "processing", f"Processing objects: {done:,} of {total:,} done"
    if not total:
        return "completed", "There was no object to process"
    return "completed", f"All {total:,} objects are done, {row['failed_count']:,} of them failed"


def _fetch(database: Rows, name: str, parameters: Mapping[str, Any], *, real_time: bool) -> list[dict[str, Any]]:
    """Return the rows of the first query of a route that the database has everything for."""
    if not real_time:
        with contextlib.suppress(*_MISSING):
            return database.fetch_all(QUERIES[f"{name}_cached"], parameters)
    try:
        return database.fetch_all(QUERIES[f"{name}_real_time"], parameters)
    except _MISSING:
        return database.fetch_all(QUERIES[f"{name}_direct"], parameters)


def _encode_cursor(row: Mapping[str, Any]) -> str:
    created_at = _NEVER if row["created_at"] in {None, _EARLIEST} else row["created_at"].isoformat()
    return urlsafe_b64encode(f"{created_at} {row['job_id']}".encode()).decode().rstrip("=")


def _decode_cursor(cursor: str) -> tuple[str, str]:
    try:
        created_at, _, job_id = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
        if created_at == _NEVER:
            return created_at, str(UUID(job_id))
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
        "progress_percent": row["progress_percent"] or 0,  # NULL in older views, for a job without objects
    }


def _source(row: Mapping[str, Any]) -> dict[str, Any]:
    """Say where a row comes from, and how old it is when it does not come from the live numbers."""
    if row.get("retired_at"):
        return {"data_source": "retired", "retired_at": _time(row["retired_at"])}
    if "cache_refreshed_at" not in row:
        return {"data_source": "real_time"}
    return {
        "data_source": "cached",
        "cache_refreshed_at": _time(row["cache_refreshed_at"]),
        "cache_refresh_duration_ms": row["cache_refresh_duration_ms"],
    }


def _time(value: datetime | str | None) -> datetime | None:
    """Return a time, also one that PostgreSQL wrote as text."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return _EARLIEST if value.startswith(("-", "0001")) or value.endswith("BC") else _LATEST


def _time_of_row(value: str | bytes | None, _cursor: object) -> datetime | None:
    return _time(value.decode() if isinstance(value, bytes) else value)


# A time that Python does not know, in the row of one job, would be an error for the whole list.
psycopg2.extensions.register_type(
    psycopg2.extensions.new_type(psycopg2.extensions.PYDATETIMETZ.values, "TIMESTAMPTZ", _time_of_row)
)
