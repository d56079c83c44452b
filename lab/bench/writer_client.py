"""A client process that writes as the scanner does; a pipe tells it what to write and for how long."""

import io
import itertools
import random
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Literal

import psycopg2
from psycopg2.extras import execute_batch

from lab.bench.clients import serve_orders
from lab.bench.dataset import STATUSES, BenchJob
from lab.load import UPDATE

Work = Literal["update one job", "update many jobs", "worker", "execute_batch", "COPY"]
WARM_UP_S = 0.5
CLIENTS = 8
ROWS_AT_ONCE = 1000
# The default page_size of execute_batch.
WORKER_ROWS_AT_ONCE = 100

INSERT = """
INSERT INTO job_objects (job_id, bucket, key, etag, status) VALUES (%s, %s, %s, %s, 'queued') ON CONFLICT DO NOTHING
"""
COPY = "COPY job_objects (job_id, bucket, key, etag, status) FROM STDIN"


class Client:
    """A connection, and the position in each kind of work."""

    def __init__(self, dsn: str, jobs: tuple[BenchJob, ...], number: int) -> None:
        self._connection = psycopg2.connect(dsn)
        self._connection.autocommit = True
        self._cursor = self._connection.cursor()
        self._chance = random.Random(number)
        hot, *others = jobs
        self._hot = hot
        self._updates = {
            "update one job": self._objects([hot], number),
            "update many jobs": self._objects(others, number),
        }
        # New objects of the job with half of the objects; each client takes every eighth number.
        self._inserted = itertools.count(hot.objects + number, CLIENTS)

    def rate(self, work: Work, seconds: float) -> float:
        """Work for some seconds after a short warm-up; return rows per second."""
        write = self._writer(work)
        self._write_until(time.perf_counter() + WARM_UP_S, write)
        started_s = time.perf_counter()
        rows = self._write_until(started_s + seconds, write)
        return rows / (time.perf_counter() - started_s)

    @staticmethod
    def _write_until(ends_at_s: float, write: Callable[[], int]) -> int:
        rows = 0
        while time.perf_counter() < ends_at_s:
            rows += write()
        return rows

    def _writer(self, work: Work) -> Callable[[], int]:
        match work:
            case "worker":
                return self._work
            case "execute_batch":
                return self._execute_batch
            case "COPY":
                return self._copy
            case _:
                return lambda: self._update(self._updates[work])

    @staticmethod
    def _objects(jobs: list[BenchJob], number: int) -> Iterator[tuple[str, str, str, str]]:
        """Yield primary keys without end: round robin over the jobs, each client in its own part of each."""
        for step in itertools.count():
            for job in jobs:
                yield job.primary_key((number * job.objects // CLIENTS + step) % job.objects)

    def _update(self, objects: Iterator[tuple[str, str, str, str]]) -> int:
        return self._set_status(self._chance.choice(STATUSES), next(objects))

    def _set_status(self, status: str, primary_key: tuple[str, str, str, str]) -> int:
        self._cursor.execute(UPDATE, (status, *primary_key))
        if self._cursor.rowcount != 1:
            raise RuntimeError("an object to update does not exist")
        return 1

    def _work(self) -> int:
        """Write as the guide's workers do: insert objects in batches, then set the status of each."""
        objects = self._new_objects(WORKER_ROWS_AT_ONCE)
        execute_batch(self._cursor, INSERT, objects)
        for primary_key in objects:
            self._set_status("succeeded", primary_key)
        return WORKER_ROWS_AT_ONCE

    def _new_objects(self, rows: int = ROWS_AT_ONCE) -> list[tuple[str, str, str, str]]:
        return [self._hot.primary_key(number) for number in itertools.islice(self._inserted, rows)]

    def _execute_batch(self) -> int:
        """Send one page of single-row statements; in autocommit mode a page is one transaction."""
        execute_batch(self._cursor, INSERT, self._new_objects(), page_size=ROWS_AT_ONCE)
        return ROWS_AT_ONCE

    def _copy(self) -> int:
        lines = "".join("\t".join((*key, "queued\n")) for key in self._new_objects())
        self._cursor.copy_expert(COPY, io.StringIO(lines))
        return ROWS_AT_ONCE


def serve(pipe: Connection, dsn: str, jobs: tuple[BenchJob, ...], number: int) -> None:
    """Receive `(work, seconds)` and send the rate or the error, until the pipe is closed."""
    serve_orders(pipe, lambda: Client(dsn, jobs, number).rate)
