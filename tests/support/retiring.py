"""Jobs that are old enough to be retired, and calls of the functions that retire them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg2

    from tests.support.database import TestDatabase

AGE = timedelta(days=90)
# The columns of job_progress in retired_jobs.
PROGRESS = (
    "job_id, bucket, prefix, execution_arn, created_at, updated_at, total_objects, queued_count, processing_count, "
    "succeeded_count, failed_count, total_findings, progress_percent, last_object_update"
)
LEFT = """
SELECT (SELECT count(*) FROM jobs WHERE job_id = %(job)s),
       (SELECT count(*) FROM job_objects WHERE job_id = %(job)s),
       (SELECT count(*) FROM findings WHERE job_id = %(job)s)
"""


def old_job(database: TestDatabase, statuses: dict[str, int], *, findings: int = 0, days: float = 100) -> str:
    """Insert a job that was created and last written to so many days ago; return its id."""
    job_id = database.add_job(statuses, findings=findings)
    age(database, job_id, days)
    return job_id


def age(database: TestDatabase, job_id: str, days: float) -> None:
    """Let a job and its objects be so old."""
    when = {"job": job_id, "age": timedelta(days=days)}
    database.query(
        "UPDATE jobs SET created_at = now() - %(age)s, updated_at = now() - %(age)s WHERE job_id = %(job)s", when
    )
    database.query("UPDATE job_objects SET updated_at = now() - %(age)s WHERE job_id = %(job)s", when)


def batch(
    database: TestDatabase, job_id: str, rows: int = 1000, *, age: timedelta = AGE, user: str = "progress_refresher"
) -> tuple[Any, ...]:
    """Retire the next rows of a job; return its state, and the objects and findings that were deleted."""
    (row,) = database.query("SELECT * FROM retire_job(%s, %s, %s)", (job_id, age, rows), user=user)
    return row


def left(database: TestDatabase, job_id: str) -> tuple[int, int, int]:
    """Return how many rows of jobs, job_objects and findings a job has."""
    ((jobs, objects, findings),) = database.query(LEFT, {"job": job_id})
    return jobs, objects, findings


def held(database: TestDatabase, sql: str, user: str = "scanner_app") -> psycopg2.extensions.connection:
    """Run a statement in a transaction that stays open; the caller ends it."""
    connection = database.connect(user)
    connection.autocommit = False
    connection.cursor().execute(sql)
    return connection


def large_old_job(database: TestDatabase, rows: int) -> str:
    """Insert an old finished job in few statements; one object in ten has a finding."""
    job_id = old_job(database, {})
    values = {"job": job_id, "rows": rows}
    database.query(
        "INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at) "
        "SELECT %(job)s, 'b', md5(n::text), 'e', 'succeeded', now() - INTERVAL '100 days' "
        "FROM generate_series(1, %(rows)s) AS n",
        values,
    )
    database.query(
        "INSERT INTO findings (job_id, bucket, key, etag, detector, byte_offset) "
        "SELECT %(job)s, 'b', md5(n::text), %(job)s, 'card', n FROM generate_series(1, %(rows)s / 10) AS n",
        values,
    )
    return job_id
