"""Builds a database inside the server: one job with half of the objects, many jobs with the rest.

The rows are loaded into the tables of migration 001. Then the runner does what it does for an existing deployment: it
builds the indexes and counts the rows.
"""

import contextlib
import hashlib
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

import psycopg2

from handlers.connection import Database
from handlers.contract.release import Release
from handlers.migrator.runner import run
from handlers.migrator.session import RunLimits
from lab.bench.steps import Say
from lab.embedded_postgres import ADMIN_USER, EmbeddedPostgres

OTHER_JOBS = 100
# A database with more objects than this has more bytes than the memory of a usual machine, and gets ten times the jobs.
LARGE = 10_000_000
OTHER_JOBS_WHEN_LARGE = 1000
BASE = 1_000_000
ROWS_PER_STATEMENT = 250_000
LOADERS = 2
# Shares of a job's objects that are done; the job's number chooses one. The first job is still running.
SHARES_DONE = (0.62, 1.0, 0.85, 1.0, 0.5, 1.0, 0.1)
STATUSES = ("queued", "processing", "succeeded", "failed")

# Key and etag are as long as a real scan's and derived from the object's number.
KEY = "'2026/part-' || lpad(({number})::text, 9, '0') || '.json.gz'"
ETAG = "md5({job_id}::text || ({number})::text)"

LOAD_OBJECTS = f"""
INSERT INTO job_objects (job_id, bucket, key, etag, status, last_error, updated_at)
SELECT %(job_id)s,
       %(bucket)s,
       %(prefix)s || {KEY.format(number="number")},
       {ETAG.format(number="number", job_id="%(job_id)s")},
       status,
       CASE status WHEN 'failed' THEN 'AccessDenied: no permission for s3:GetObject' END,
       now() - INTERVAL '1 day' + number * INTERVAL '1 ms'
FROM generate_series(%(first)s, %(last)s) AS number
CROSS JOIN LATERAL (
    SELECT CASE WHEN number >= %(done)s + 64 THEN 'queued'
                WHEN number >= %(done)s THEN 'processing'
                WHEN number %% 40 = 39 THEN 'failed'
                ELSE 'succeeded' END AS status
) AS scanned
"""
# One in 50 of the objects that are done has a finding.
LOAD_FINDINGS = f"""
INSERT INTO findings (job_id, bucket, key, etag, detector, masked_match, context, byte_offset)
SELECT %(job_id)s,
       %(bucket)s,
       %(prefix)s || {KEY.format(number="number")},
       {ETAG.format(number="number", job_id="%(job_id)s")},
       'email_address',
       '****' || number %% 10000,
       'column 3',
       number %% 65536
FROM generate_series(%(first)s, least(%(last)s, %(done)s - 1)) AS number
WHERE number %% 50 = 0
"""
LOAD_JOB = """
INSERT INTO jobs (job_id, bucket, prefix, created_at, updated_at)
VALUES (%(job_id)s, %(bucket)s, %(prefix)s, now() - INTERVAL '1 day', now())
"""


@dataclass(frozen=True, kw_only=True)
class BenchJob:
    """One job and the number of its objects, which are numbered from 0."""

    number: int
    objects: int

    @cached_property
    def job_id(self) -> str:
        """The job's UUID, derived from its number."""
        return str(UUID(hashlib.md5(f"job {self.number}".encode(), usedforsecurity=False).hexdigest()))

    @property
    def bucket(self) -> str:
        """The bucket of its objects."""
        return f"customer-data-{self.number:03}"

    @property
    def prefix(self) -> str:
        """The prefix of its objects' keys."""
        return f"exports/{self.number:03}/"

    @property
    def done(self) -> int:
        """How many of its first objects are done when it is loaded."""
        return int(self.objects * SHARES_DONE[self.number % len(SHARES_DONE)])

    def primary_key(self, number: int) -> tuple[str, str, str, str]:
        """Return job_id, bucket, key and etag of an object."""
        etag = hashlib.md5(f"{self.job_id}{number}".encode(), usedforsecurity=False).hexdigest()
        return self.job_id, self.bucket, f"{self.prefix}2026/part-{number:09}.json.gz", etag


def plan_jobs(objects: int, other_jobs: int = OTHER_JOBS) -> tuple[BenchJob, ...]:
    """Return the jobs of a database: the first has half of the objects, the others equal parts of the rest."""
    others, extra = divmod(objects - objects // 2, other_jobs)
    sizes = [objects // 2, *(others + (number < extra) for number in range(other_jobs))]
    return tuple(BenchJob(number=number, objects=size) for number, size in enumerate(sizes))


def base_size(sizes: Iterable[int]) -> int:
    """Return the size that the largest is compared with: a million objects, else the next smaller one."""
    *smaller, _largest = sorted(sizes)
    return BASE if BASE in smaller else smaller[-1]


@dataclass(frozen=True)
class Dataset:
    """One database of the embedded server, and the jobs in it."""

    server: EmbeddedPostgres
    objects: int
    other_jobs: int = OTHER_JOBS
    jobs: tuple[BenchJob, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "jobs", plan_jobs(self.objects, self.other_jobs))

    @property
    def is_large(self) -> bool:
        """Whether a scan of the table takes so long that it is measured once."""
        return self.objects > LARGE

    @property
    def name(self) -> str:
        """The database's name."""
        return f"objects_{self.objects}"

    @property
    def hot(self) -> BenchJob:
        """The job that holds half of the objects."""
        return self.jobs[0]

    def dsn(self, user: str = ADMIN_USER) -> str:
        """Return a libpq connection string."""
        return self.server.dsn(user=user, database=self.name)

    def connect(self, user: str = ADMIN_USER) -> "psycopg2.extensions.connection":
        """Open a connection in autocommit mode, as the migration runner needs it."""
        connection = psycopg2.connect(self.dsn(user))
        connection.autocommit = True
        return connection

    @contextlib.contextmanager
    def cursor(self, user: str = ADMIN_USER) -> Iterator["psycopg2.extensions.cursor"]:
        """Open a connection in autocommit mode for the block."""
        with self.server.connect(user=user, database=self.name) as connection, connection.cursor() as cursor:
            yield cursor

    def scalar(self, sql: str, *, user: str = ADMIN_USER) -> Any:
        """Run one statement and return the first column of its first row."""
        with self.cursor(user) as cursor:
            cursor.execute(sql)
            row = cursor.fetchone()
            assert row is not None
            return row[0]

    def reader(self) -> Database:
        """Return the connection that the status function reads through, as `progress_reader`."""
        return Database(self.variables("progress_reader"), query_timeout_s=10)

    def variables(self, user: str) -> dict[str, str]:
        """Return the variables that a handler outside Lambda reads."""
        return self.server.variables(user=user, database=self.name)

    def build(self, release: Release, say: Say) -> None:
        """Create the database, load the rows and run the migrations."""
        self.load(release, say)
        run(self.connect, release, limits=RunLimits(poll_interval_s=1), report=lambda message, **_: say(message))
        self.settle()

    def settle(self) -> None:
        """Fold and vacuum what writers beside the migrations left, and write all pages."""
        with self.cursor() as cursor:
            cursor.execute("SELECT refresh_job_progress()")
            for statement in ("VACUUM job_progress_deltas, job_progress_bounds, job_progress_counts", "CHECKPOINT"):
                cursor.execute(statement)

    def load(self, release: Release, say: Say) -> None:
        """Create the database and load the rows into the tables of migration 001.

        The primary key is built afterwards: row by row it takes three times as long, and half of its pages stay empty.
        """
        with self.server.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {self.name} OWNER {ADMIN_USER}")
        with self.cursor() as cursor:
            for statement in (*release.roles.statements, *release.migrations[0].statements):
                cursor.execute(statement.sql)
            # An autovacuum in the middle would read what the VACUUM below reads again.
            cursor.execute("ALTER TABLE job_objects SET (autovacuum_enabled = off)")
            cursor.execute("ALTER TABLE job_objects DROP CONSTRAINT job_objects_pkey")
            cursor.executemany(LOAD_JOB, [_parameters(job) for job in self.jobs])
        self._load_rows(say)
        say("primary key")
        with self.cursor() as cursor:
            cursor.execute("ALTER TABLE job_objects ADD PRIMARY KEY (job_id, bucket, key, etag)")
            say("vacuum")
            cursor.execute("VACUUM (ANALYZE) jobs, job_objects, findings")
            cursor.execute("ALTER TABLE job_objects RESET (autovacuum_enabled)")

    def _load_rows(self, say: Say) -> None:
        """Load in several sessions, each its share of the statements."""
        chunks = list(_chunks(self.jobs))
        done: list[int] = []
        stopped = threading.Event()

        def load(share: list[dict[str, Any]]) -> None:
            # Without foreign key checks and triggers.
            with self.cursor("postgres") as cursor:
                cursor.execute("SET session_replication_role = replica; SET synchronous_commit = off")
                for chunk in share:
                    if stopped.is_set():
                        return
                    for sql in (LOAD_OBJECTS, LOAD_FINDINGS):
                        cursor.execute(sql, chunk)
                    done.append(chunk["last"] - chunk["first"] + 1)
                    say(f"loaded {sum(done):,} of {self.objects:,} objects")

        with ThreadPoolExecutor(LOADERS) as pool:
            try:
                for _ in pool.map(load, [chunks[loader::LOADERS] for loader in range(LOADERS)]):
                    pass
            finally:  # after Ctrl-C, or an error of another session
                stopped.set()


def _chunks(jobs: tuple[BenchJob, ...]) -> Iterator[dict[str, Any]]:
    """Yield the parameters of each statement that loads rows."""
    for job in jobs:
        for first in range(0, job.objects, ROWS_PER_STATEMENT):
            yield _parameters(job) | {"first": first, "last": min(first + ROWS_PER_STATEMENT, job.objects) - 1}


def _parameters(job: BenchJob) -> dict[str, Any]:
    return {"job_id": job.job_id, "bucket": job.bucket, "prefix": job.prefix, "done": job.done}
