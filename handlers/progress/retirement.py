"""Retirement: finished jobs are deleted in batches that writers do not wait for; their last progress stays as a row."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from handlers.batches import BUSY, Batches
from handlers.connection import Rows
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("retirement.sql"))
# How long to try again while other sessions hold the rows of all jobs that are left.
PATIENCE_S = 30.0


class JobState(StrEnum):
    """What `retire_job()` says (migration 005, which explains each)."""

    DELETING = "deleting"
    BUSY = "busy"
    RETIRED = "retired"
    KEPT = "kept"


@dataclass(frozen=True, kw_only=True)
class RetirableJob:
    """A job that may be retired.

    Attributes:
        job_id: its id.
        objects: how many it has.
        findings: how many it has.
        bytes: an estimate of what these rows take on the disk, with their index entries.
        deleted_objects: how many an earlier run has deleted.
        last_update: of the job and its objects; `None` where a run began and the job is gone since.

    """

    job_id: UUID | str
    objects: int
    findings: int
    bytes: int
    deleted_objects: int
    last_update: datetime | None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One transaction: what it deleted of a job, and the job's state after it."""

    job: RetirableJob
    state: JobState
    objects: int
    findings: int


@dataclass
class Tally:
    """What a run did.

    Attributes:
        jobs: retired.
        objects: deleted.
        findings: deleted.
        kept: jobs that stay, because they were written to; each with the number of objects that were deleted before.

    """

    jobs: int = 0
    objects: int = 0
    findings: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    _deleted: dict[str, int] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Add what a batch did."""
        self.objects += batch.objects
        self.findings += batch.findings
        self.jobs += batch.state is JobState.RETIRED
        job_id = str(batch.job.job_id)
        self._deleted[job_id] = self._deleted.get(job_id, batch.job.deleted_objects) + batch.objects
        if batch.state in {JobState.RETIRED, JobState.KEPT}:
            deleted = self._deleted.pop(job_id)
            if batch.state is JobState.KEPT:
                self.kept[job_id] = deleted


def list_retirable(database: Rows, older_than: timedelta) -> list[RetirableJob]:
    """Return the finished jobs whose last update is older, and those whose deletion has begun, in their order.

    Args:
        database: a connection as `progress_refresher`.
        older_than: the age of the job and of its newest object.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.

    """
    rows = database.fetch_all(QUERIES["retirable"], {"older_than": older_than})
    return [RetirableJob(**row) for row in rows]


def retire(
    database: Rows, jobs: Sequence[RetirableJob], older_than: timedelta, *, patience_s: float = PATIENCE_S
) -> Iterator[Batch]:
    """Retire jobs one after the other, and yield each batch after its transaction.

    It can be stopped after any batch, or killed at any moment: the next run goes on there. Ends when all are done, or
    when other sessions have held all that are left for `patience_s`.

    Args:
        database: a connection as `progress_refresher`.
        jobs: what `list_retirable` returned.
        older_than: as there; a job that was written to since then stays.
        patience_s: how long to wait for others.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
        psycopg2.errors.ForeignKeyViolation: a table of other people references rows of a job, which stays.

    """
    batches, left = Batches(), list(jobs)
    patient_until = time.monotonic() + patience_s
    while left:
        waiting = []
        for job in left:
            state = JobState.DELETING
            while state is JobState.DELETING:
                batch = _retire_next(database, job, older_than, batches)
                state = batch.state
                if batch.objects or batch.findings or state is not JobState.BUSY:
                    patient_until = time.monotonic() + patience_s
                yield batch
            if state is JobState.BUSY:
                waiting.append(job)
        left = waiting
        if left and time.monotonic() > patient_until:
            return
        if left:
            time.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - spreads retries, guards nothing


def _retire_next(database: Rows, job: RetirableJob, older_than: timedelta, batches: Batches) -> Batch:
    started, most_rows = time.monotonic(), batches.rows
    parameters = {"job_id": str(job.job_id), "older_than": older_than, "most_rows": most_rows}
    try:
        (row,) = database.fetch_all(QUERIES["retire"], parameters)
    except BUSY:
        batches.failed()
        return Batch(job=job, state=JobState.BUSY, objects=0, findings=0)
    took_s = time.monotonic() - started
    if row["objects"] + row["findings"] > most_rows // 2:
        batches.took(took_s)
    else:
        batches.rest(took_s)
    return Batch(job=job, state=JobState(row["state"]), objects=row["objects"], findings=row["findings"])
