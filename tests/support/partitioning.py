"""Partitions, reverts and finishes as the command does; small tables, and how both tables differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from handlers.migrator.session import RunLimits
from scannerdb.partition import run
from scannerdb.partition.locks import LOCK_TIMEOUT_MS
from scannerdb.partition.names import KEPT, ORIGINAL, SHADOW
from scannerdb.partition.steps import Options
from tests.migrations.progress import DIFFERENCES

if TYPE_CHECKING:
    from tests.conftest import TestDatabase

LIMITS = RunLimits(poll_interval_s=0.1, lock_patience_s=60, lock_timeout_ms=LOCK_TIMEOUT_MS)
IMPATIENT = RunLimits(poll_interval_s=0.1, lock_patience_s=0.3, lock_timeout_ms=100)
COLUMNS = "job_id, bucket, key, etag, status, last_error, updated_at"


def silent(_message: str, **_fields: Any) -> None:
    pass


def partition(database: TestDatabase, *, limits: RunLimits = LIMITS, **options: Any) -> None:
    run.partition(database.connect, Options(**{"modulus": 4, **options}), limits=limits, report=silent)


def revert(database: TestDatabase, *, limits: RunLimits = LIMITS) -> None:
    run.revert(database.connect, limits=limits, report=silent)


def finish(database: TestDatabase) -> None:
    run.finish(database.connect, limits=LIMITS, report=silent)


def phase(database: TestDatabase) -> str:
    return str(run.status(database.connect)["phase"])


def fill(database: TestDatabase, rows: int = 300) -> str:
    """Insert a job with so many objects, a few small ones, and return the first one's id."""
    job_id = str(uuid4())
    database.query("INSERT INTO jobs (job_id, bucket) VALUES (%s, 'b')", (job_id,))
    database.query(
        "INSERT INTO job_objects (job_id, bucket, key, etag, status) "
        "SELECT %s, 'b', n::text, 'e', 'queued' FROM generate_series(1, %s) AS n",
        (job_id, rows),
    )
    for _ in range(6):
        database.add_job({"queued": 2, "processing": 1, "failed": 1}, findings=1)
    database.query("ANALYZE job_objects")
    return job_id


def add_jobs(database: TestDatabase, jobs: int, rows: int) -> None:
    """Insert some jobs with so many objects each."""
    for _ in range(jobs):
        database.add_job({"queued": rows})
    database.query("ANALYZE job_objects")


def differences(database: TestDatabase) -> list[tuple[Any, ...]]:
    """Return the rows of the one table that the other has not, in one snapshot, and what progress does not know."""
    other = next(name for name in (SHADOW, KEPT) if database.query("SELECT to_regclass(%s)", (name,)) != [(None,)])
    one, two = (f"SELECT {COLUMNS} FROM {name}" for name in (ORIGINAL, other))
    rows = database.query(f"({one} EXCEPT ALL {two}) UNION ALL ({two} EXCEPT ALL {one})")
    return rows + database.query(DIFFERENCES)
