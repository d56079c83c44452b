"""Writes a synthetic scan: the rows of a scanner, in bulk, as the role `scanner_app`.

The first job has half of the objects, the others share the rest. Some jobs are complete, others are running. All are
older than five minutes except the last.
"""

import io
import random
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg2
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

JOBS = 20
BATCH_OBJECTS = 20_000
YOUNG = timedelta(minutes=1)
# Of the scanned objects.
FAILED_ONE_IN = 40
FINDING_ONE_IN = 50
PROCESSING_AT_ONCE = 64
DETECTORS = ("aws_access_key", "email_address", "iban", "us_ssn")
OBJECT_COLUMNS = "job_id, bucket, key, etag, status, last_error, updated_at"
FINDING_COLUMNS = "job_id, bucket, key, etag, detector, masked_match, context, byte_offset"


@dataclass(frozen=True, kw_only=True)
class ScanJob:
    """One job to write: its bucket and prefix, how many objects it has, and how many of them are done."""

    job_id: uuid.UUID
    bucket: str
    prefix: str
    created_at: datetime
    objects: int
    done: int


def plan_scan(objects: int, *, jobs: int = JOBS, seed: int = 1, now: datetime | None = None) -> tuple[ScanJob, ...]:
    """Return the jobs of a scan; equal arguments give equal jobs.

    Raises:
        ValueError: there are fewer objects than jobs, or fewer than two jobs.

    """
    if jobs < 2 or objects < jobs:  # noqa: PLR2004 - one large job and another
        raise ValueError(f"{objects} objects cannot make {jobs} jobs; give at least two jobs, and an object for each")
    chance = random.Random(seed)  # noqa: S311 - made-up data
    now = now or datetime.now(UTC)
    rest, extra = divmod(objects - objects // 2, jobs - 1)
    sizes = [objects // 2, *(rest + (number < extra) for number in range(jobs - 1))]
    planned = []
    for number, size in enumerate(sizes):
        first, young = number == 0, number == jobs - 1
        share_done = 0.62 if first else 0.04 if young else chance.choice((1.0, 1.0, 1.0, 0.85, 0.5, 0.1))
        planned.append(
            ScanJob(
                job_id=uuid.UUID(int=chance.getrandbits(128), version=4),
                bucket=f"customer-data-{number:02}",
                prefix=f"exports/{number:02}/",
                created_at=now - (YOUNG if young else timedelta(minutes=chance.randint(20, 7 * 24 * 60))),
                objects=size,
                done=int(size * share_done),
            )
        )
    return tuple(planned)


def write_scan(
    dsn: str,
    jobs: Sequence[ScanJob],
    *,
    batch_objects: int = BATCH_OBJECTS,
    on_progress: Callable[[int], None] = lambda _objects: None,
) -> None:
    """Write jobs, objects and findings with COPY, one transaction a batch: the first job beside the others.

    Args:
        dsn: connection string of a role that may write the scanner's tables.
        jobs: the jobs to write.
        batch_objects: objects in one COPY.
        on_progress: receives the number of objects of each committed batch, in the thread that wrote it.

    Raises:
        psycopg2.Error: the database refused a statement.

    """
    stopping = threading.Event()
    with ThreadPoolExecutor() as pool:
        written = [
            pool.submit(_write_jobs, dsn, share, batch_objects, on_progress, stopping) for share in (jobs[:1], jobs[1:])
        ]
        try:
            for share in as_completed(written):
                share.result()
        finally:
            # After an error or Ctrl-C the other writer ends with its batch, and not with its jobs.
            stopping.set()


def _write_jobs(
    dsn: str,
    jobs: Sequence[ScanJob],
    batch_objects: int,
    on_progress: Callable[[int], None],
    stopping: threading.Event,
) -> None:
    connection = psycopg2.connect(dsn)
    try:
        for job in jobs:
            with connection, connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO jobs (job_id, bucket, prefix, created_at, updated_at) VALUES (%s, %s, %s, %s, now())",
                    (str(job.job_id), job.bucket, job.prefix, job.created_at),
                )
            for start in range(0, job.objects, batch_objects):
                if stopping.is_set():
                    return
                numbers = range(start, min(start + batch_objects, job.objects))
                with connection, connection.cursor() as cursor:
                    _copy(cursor, f"job_objects ({OBJECT_COLUMNS})", _object_lines(job, numbers))
                    _copy(cursor, f"findings ({FINDING_COLUMNS})", _finding_lines(job, numbers))
                on_progress(len(numbers))
    finally:
        connection.close()


def write_scan_with_bar(dsn: str, jobs: Sequence[ScanJob]) -> None:
    """Write a scan and show a progress bar with rate and remaining time."""
    columns = (TextColumn("   "), BarColumn(), MofNCompleteColumn(), _RateColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("objects", total=sum(job.objects for job in jobs))
        write_scan(dsn, jobs, on_progress=lambda objects: progress.advance(task, objects))


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Return the rate of the last seconds, or at the end of the whole."""
        rate = task.finished_speed or task.speed
        return Text(f"{rate:,.0f} objects/s" if rate else "")


def _copy(cursor: "psycopg2.extensions.cursor", target: str, lines: Iterator[str]) -> None:
    cursor.copy_expert(f"COPY {target} FROM STDIN", io.StringIO("".join(lines)))


def _key(job: ScanJob, number: int) -> str:
    return f"{job.prefix}2026/part-{number:09}.json.gz"


def _etag(job: ScanJob, number: int) -> str:
    return f"{(job.job_id.int ^ (number * 0x9E3779B97F4A7C15)) & (1 << 128) - 1:032x}"


def _object_lines(job: ScanJob, numbers: range) -> Iterator[str]:
    """Yield COPY lines; objects are done in key order, as a scan lists them."""
    updated_at = datetime.now(UTC).isoformat()
    for number in numbers:
        if number >= job.done:
            status = "processing" if number < job.done + PROCESSING_AT_ONCE else "queued"
        else:
            status = "failed" if number % FAILED_ONE_IN == FAILED_ONE_IN - 1 else "succeeded"
        error = "AccessDenied: no permission for s3:GetObject" if status == "failed" else r"\N"
        yield (
            f"{job.job_id}\t{job.bucket}\t{_key(job, number)}\t{_etag(job, number)}\t{status}\t{error}\t{updated_at}\n"
        )


def _finding_lines(job: ScanJob, numbers: range) -> Iterator[str]:
    for number in numbers:
        if number < job.done and number % FINDING_ONE_IN == 0:
            detector = DETECTORS[number // FINDING_ONE_IN % len(DETECTORS)]
            yield (
                f"{job.job_id}\t{job.bucket}\t{_key(job, number)}\t{_etag(job, number)}\t"
                f"{detector}\t****{number % 10_000:04}\tcolumn 3\t{number % 65_536}\n"
            )
