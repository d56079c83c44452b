"""A client process of writers that keep a rate: each update has its moment, however long the one before it took."""

import itertools
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import psycopg2

from lab.bench.clients import serve_orders
from lab.bench.dataset import STATUSES, BenchJob
from lab.load import UPDATE

WRITERS = 8


class PacedWriter:
    """One connection that updates objects of jobs by chance, as `scanner_app`.

    Args:
        dsn: of the database.
        jobs: one of them is chosen by chance for each update.
        number: of this writer; the chance follows from it.

    """

    def __init__(self, dsn: str, jobs: Sequence[BenchJob], number: int) -> None:
        connection = psycopg2.connect(dsn)
        connection.autocommit = True
        self._cursor = connection.cursor()
        self._jobs, self._chance = jobs, random.Random(number)

    def write(self, seconds: float, updates_per_s: float) -> list[float]:
        """Update for some seconds at a rate; return the milliseconds of each update. Fewer are behind the rate."""
        taken_ms: list[float] = []
        started_s = time.perf_counter()
        for number in itertools.count():
            starts_at_s = number / updates_per_s
            now_s = time.perf_counter() - started_s
            if max(now_s, starts_at_s) >= seconds:
                return taken_ms
            time.sleep(max(0.0, starts_at_s - now_s))
            job = self._chance.choice(self._jobs)
            primary_key = job.primary_key(self._chance.randrange(job.objects))
            began_s = time.perf_counter()
            self._cursor.execute(UPDATE, (self._chance.choice(STATUSES), *primary_key))
            taken_ms.append((time.perf_counter() - began_s) * 1000)
        raise AssertionError("unreachable")


def serve(pipe: Connection, dsn: str, jobs: Sequence[BenchJob], updates_per_s: float) -> None:
    """Receive `(seconds,)` and send the milliseconds of each update, by writer, or the error, until the pipe is closed.

    Args:
        pipe: to the parent process.
        dsn: of the database.
        jobs: whose objects are updated.
        updates_per_s: of all writers together.

    """
    with ThreadPoolExecutor(WRITERS) as pool:

        def prepare() -> Callable[[float], list[list[float]]]:
            writers = [PacedWriter(dsn, jobs, number) for number in range(WRITERS)]
            rate = updates_per_s / WRITERS
            return lambda seconds: list(pool.map(lambda writer: writer.write(seconds, rate), writers))

        serve_orders(pipe, prepare)
