"""Progress of jobs: read from the view or counted, put into the words of the status contract; and its refresh."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2.errors

from handlers.connection import Database
from handlers.errors import InvalidRequestError, JobNotFoundError
from handlers.executions import execution_status
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
MAX_JOBS = 100

# Step Functions still lists the job's objects, or will go on doing so.
_LISTING = frozenset({"RUNNING", "PENDING_REDRIVE"})
_ENDED_BADLY = {"FAILED": "failed", "TIMED_OUT": "failed", "ABORTED": "aborted"}


def job_status(database: Database, job_id: str, *, real_time: bool) -> dict[str, Any]:
    """Return the body of `GET /jobs/{job_id}`.

    Args:
        database: a connection as `progress_reader`.
        job_id: a UUID in any of its usual spellings.
        real_time: count now, whatever the view says.

    Raises:
        InvalidRequestError: `job_id` is not a UUID.
        JobNotFoundError: no job has this id.
        DatabaseUnavailableError: the database cannot be reached.

    """
    try:
        key = str(UUID(job_id))
    except ValueError:
        raise InvalidRequestError("invalid_job_id", f"job_id {job_id!r} is not a UUID") from None
    row = None if real_time else _cached(database, key)
    source = "cached" if row else "real_time"
    row = row or _first(database.fetch_all(QUERIES["direct_progress"], {"job_id": key}))
    if row is None:
        raise JobNotFoundError(f"no job has the id {key}")
    execution = execution_status(row["execution_arn"])
    status, message = describe(row, execution)
    return {
        **_progress(row),
        "status": status,
        "status_message": message,
        "step_function_status": execution,
        "data_source": source,
        **_cache(row),
    }


def active_jobs(database: Database, *, limit: int) -> dict[str, Any]:
    """Return the body of `GET /jobs?state=active`: the newest `limit` jobs below 100 %, as the view knows them.

    Raises:
        InvalidRequestError: `limit` is not between 1 and `MAX_JOBS`.
        DatabaseUnavailableError: the database cannot be reached.

    """
    if not 1 <= limit <= MAX_JOBS:
        raise InvalidRequestError("invalid_limit", f"limit {limit} is not between 1 and {MAX_JOBS}")
    rows = database.fetch_all(QUERIES["active_jobs"], {"limit": limit})
    return {"jobs": [_progress(row) for row in rows], "data_source": "cached", **(_cache(rows[0]) if rows else {})}


def statistics(database: Database) -> dict[str, Any]:
    """Return the body of `GET /statistics`: one row over all jobs, as the view knows them.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    row = database.fetch_all(QUERIES["statistics"])[0]
    cache = _cache(row)
    return {**{name: value for name, value in row.items() if name not in cache}, "data_source": "cached", **cache}


def refresh(database: Database) -> dict[str, Any]:
    """Refresh the view and log it, unless another refresh is at work.

    Args:
        database: a connection as `progress_refresher`.

    Returns:
        `{"refreshed", "duration_ms", "jobs", "objects"}`; the last three are `None` when `refreshed` is false.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    row = database.fetch_all(QUERIES["refresh"])[0]
    return {
        "refreshed": row["refreshed"],
        "duration_ms": row["refresh_duration_ms"],
        "jobs": row["total_jobs"],
        "objects": row["total_objects"],
    }


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


def _cached(database: Database, job_id: str) -> dict[str, Any] | None:
    try:
        return _first(database.fetch_all(QUERIES["cached_progress"], {"job_id": job_id}))
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.ObjectNotInPrerequisiteState):
        return None  # the view is not there, or was never filled


def _first(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    return rows[0] if rows else None


def _progress(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "job_id": row["job_id"],
        "bucket": row["bucket"],
        "prefix": row["prefix"],
        "execution_arn": row["execution_arn"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "total": row["total_objects"],
        "queued": row["queued_count"],
        "processing": row["processing_count"],
        "succeeded": row["succeeded_count"],
        "failed": row["failed_count"],
        "total_findings": row["total_findings"],
        "progress_percent": row["progress_percent"],
    }


def _cache(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("cache_refreshed_at", "cache_refresh_duration_ms") if name in row}
