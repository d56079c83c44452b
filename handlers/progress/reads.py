"""The reads of the status API: one job, lists of jobs, statistics, in the words of the status contract."""

import contextlib
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2.errors

from handlers import executions
from handlers.connection import Rows
from handlers.contract.timeouts import ANSWER_S, EXECUTIONS_S, STATUS
from handlers.errors import InvalidRequestError, JobNotFoundError
from handlers.executions import SUCCEEDED, UNKNOWN, Execution
from handlers.progress import cursors
from handlers.progress.job_state import STATES, status_message
from handlers.progress.times import parse_time
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("reads.sql"))
# A list for each state; active_jobs_cached is written out.
QUERIES = {
    f"{state}_jobs_{source}": QUERIES[f"jobs_{source}"].replace("/* of the state */ true", QUERIES[f"jobs_of_{state}"])
    for state in STATES
    for source in ("cached", "real_time")
} | QUERIES
# Where job_progress_source is missing, job_progress_direct has the same columns.
QUERIES |= {
    name.replace("_real_time", "_direct"): query.replace("job_progress_source", "job_progress_direct")
    for name, query in QUERIES.items()
    if "job_progress_source" in query
}
MAX_JOBS = 100

_CACHE = frozenset({"cache_refreshed_at", "cache_refresh_duration_ms"})
# Jobs whose executions are asked for side by side, at least.
_BATCH = 16
# More than the clocks of AWS and of the database's server differ.
_CLOCKS_DIFFER = timedelta(minutes=1)
# A view, function or column is missing, or job_progress was never filled.
_MISSING = (
    psycopg2.errors.UndefinedTable,
    psycopg2.errors.UndefinedFunction,
    psycopg2.errors.UndefinedColumn,
    psycopg2.errors.ObjectNotInPrerequisiteState,
)


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
    began, began_at = time.monotonic(), datetime.now(UTC)
    key = _uuid(job_id)
    row = _job(database, key, real_time=real_time)
    execution = _Executions(began).of([row])[0]
    counted_after_end = _counted_after_end(row, execution, began_at)
    status, message = status_message(row, execution.status, counted_after_end=counted_after_end)
    has_time = time.monotonic() - began < ANSWER_S - STATUS.client_s
    if execution.status == SUCCEEDED and not counted_after_end and has_time:
        # The execution may have listed more since the row was counted. Now it has ended, so a new count is the last.
        row = _job(database, key, real_time=True)
        status, message = status_message(row, execution.status, counted_after_end=True)
    return {
        **_progress(row),
        "status": status,
        "status_message": message,
        "step_function_status": execution.status,
        **_source(row),
    }


def list_jobs(database: Rows, *, state: str, limit: int, cursor: str | None, real_time: bool) -> dict[str, Any]:
    """Return the body of `GET /jobs`: one page of the jobs of a state, newest first.

    A job whose execution contradicts the state is left out, so a page may hold fewer jobs than `limit`.

    Args:
        database: a connection as `progress_reader`.
        state: one of `STATES`.
        limit: jobs on a page, 1 to `MAX_JOBS`.
        cursor: `next_cursor` of the page before; `None` for the first page.
        real_time: exact numbers of this moment, and the jobs that job_progress does not hold yet.

    Raises:
        InvalidRequestError: `state` is unknown, `limit` is out of its bounds, or `cursor` is not a `next_cursor` of
            this list.
        DatabaseUnavailableError: the database cannot be reached.

    """
    began, began_at = time.monotonic(), datetime.now(UTC)
    if state not in STATES:
        raise InvalidRequestError("invalid_state", f"state {state!r} is none of {', '.join(STATES)}")
    if not 1 <= limit <= MAX_JOBS:
        raise InvalidRequestError("invalid_limit", f"limit {limit} is not between 1 and {MAX_JOBS}")
    created_at, job_id = cursors.BEFORE_THE_FIRST
    if cursor is not None:
        created_at, job_id = cursors.decode(cursor, state=state, real_time=real_time)
    # One more than are examined shows whether there is a next page.
    parameters = {"created_at": created_at, "job_id": job_id, "limit": MAX_JOBS + 1}
    rows = _fetch(database, f"{state}_jobs", parameters, real_time=real_time)
    jobs = [row for row in rows if row["job_id"]]
    executions_of = _Executions(began).of
    page: list[dict[str, Any]] = []
    examined = unknown = 0
    while len(page) < limit and examined < min(len(jobs), MAX_JOBS):
        batch = jobs[examined : min(examined + max(limit - len(page), _BATCH), MAX_JOBS)]
        for row, execution in zip(batch, executions_of(batch), strict=True):
            if len(page) == limit:
                break
            examined += 1
            unknown += bool(row["execution_arn"]) and execution.status is None
            counted_after_end = _counted_after_end(row, execution, began_at)
            status, _ = status_message(row, execution.status, counted_after_end=counted_after_end)
            if (statuses := STATES[state]) is None or status in statuses:
                page.append({**_progress(row), "status": status})
    following = cursors.encode(jobs[examined - 1], state=state, real_time=real_time) if examined < len(jobs) else None
    return {
        "jobs": page,
        "next_cursor": following,
        "unknown_executions": unknown,
        **_source(rows[0] if rows else {}),
    }


def statistics(database: Rows, *, real_time: bool) -> dict[str, Any]:
    """Return the body of `GET /statistics`: one row over all jobs.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    row = _fetch(database, "statistics", {}, real_time=real_time)[0]
    return {**{name: value for name, value in row.items() if name not in _CACHE}, **_source(row)}


def _uuid(text: str) -> str:
    digits = text.replace("urn:", "").replace("uuid:", "").strip("{}").replace("-", "")
    # UUID() would also accept what int() accepts, such as underscores and a sign.
    if not re.fullmatch("[0-9A-Fa-f]{32}", digits):
        raise InvalidRequestError("invalid_job_id", f"job_id {text!r} is not a UUID")
    return str(UUID(digits))


def _job(database: Rows, key: str, *, real_time: bool) -> dict[str, Any]:
    rows = _fetch(database, "job", {"job_id": key}, real_time=real_time)
    row: dict[str, Any] | None = rows[0]["progress"] if rows else None
    if row is None:
        raise JobNotFoundError(f"no job has the id {key}")
    return row


class _Executions:
    """What Step Functions says about the executions of jobs, within `EXECUTIONS_S` for one request in all.

    Args:
        began: when the request came, of `time.monotonic()`.

    """

    def __init__(self, began: float) -> None:
        self._ends_at = began + ANSWER_S
        self._left_s: float = EXECUTIONS_S

    def of(self, rows: list[dict[str, Any]]) -> list[Execution]:
        """Return the execution of each job; `UNKNOWN` also for a job without one."""
        asked_at = time.monotonic()
        arns = [row["execution_arn"] for row in rows if row["execution_arn"]]
        known = executions.ask(arns, within_s=min(self._left_s, self._ends_at - asked_at)) if arns else {}
        self._left_s -= time.monotonic() - asked_at
        return [known.get(row["execution_arn"], UNKNOWN) for row in rows]


def _counted_after_end(row: Mapping[str, Any], execution: Execution, began_at: datetime) -> bool:
    """Return whether a row has each object that its execution listed; a retired job has them all."""
    if row.get("retired_at"):
        return True
    counted_at = parse_time(row["cache_refreshed_at"]) if "cache_refreshed_at" in row else began_at
    if execution.stopped_at is None or counted_at is None:
        return False
    return execution.stopped_at + _CLOCKS_DIFFER < counted_at


def _fetch(database: Rows, name: str, parameters: Mapping[str, Any], *, real_time: bool) -> list[dict[str, Any]]:
    """Return the rows of the first query of a route that the database has everything for."""
    if not real_time:
        with contextlib.suppress(*_MISSING):
            return database.fetch_all(QUERIES[f"{name}_cached"], parameters)
    try:
        return database.fetch_all(QUERIES[f"{name}_real_time"], parameters)
    except _MISSING:
        return database.fetch_all(QUERIES[f"{name}_direct"], parameters)


def _progress(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "job_id": row["job_id"],
        "bucket": row["bucket"],
        "prefix": row["prefix"],
        "execution_arn": row["execution_arn"],
        "created_at": parse_time(row["created_at"]),
        "updated_at": parse_time(row["updated_at"]),
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
        return {"data_source": "retired", "retired_at": parse_time(row["retired_at"])}
    if "cache_refreshed_at" not in row:
        return {"data_source": "real_time"}
    return {
        "data_source": "cached",
        "cache_refreshed_at": parse_time(row["cache_refreshed_at"]),
        "cache_refresh_duration_ms": row["cache_refresh_duration_ms"],
    }
