"""Writers like the scanner's: each updates one object at a time and records the longest write."""

from __future__ import annotations

import itertools
import random
import threading
import time
from typing import TYPE_CHECKING, Self

import psycopg2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UPDATE = """
UPDATE job_objects SET status = %s, updated_at = clock_timestamp()
WHERE job_id = %s AND bucket = %s AND key = %s AND etag = %s
"""
INSERT = "INSERT INTO job_objects (job_id, bucket, key, etag, status) VALUES (%s, 'b', %s, 'e', 'queued')"
RECONNECT_PAUSE_S = 0.2
STATUSES = ("queued", "processing", "succeeded", "failed")


class WriteLoad:
    """Writer threads that run for a `with` block.

    Of ten writes nine update one object by its primary key and one inserts an object, each in its own transaction.

    Args:
        connect: opens a connection in autocommit mode as `scanner_app`.
        job_id: the job of the objects.
        objects: the number of objects.
        writers: the number of threads.
        pause_s: the pause of each thread after a write.
        survives: whether a writer reconnects after its connection is lost, as a scanner does; else it ends and `errors`
            has the cause.
        primary_key: returns job_id, bucket, key and etag of an object by its number, 1 to `objects`; unless given, the
            bucket is `b`, the key is the number, and the etag is `e`. Inserted objects are in bucket `b`.

    """

    def __init__(
        self,
        connect: Callable[[], psycopg2.extensions.connection],
        job_id: str,
        objects: int,
        *,
        writers: int = 2,
        pause_s: float = 0.002,
        survives: bool = False,
        primary_key: Callable[[int], tuple[str, str, str, str]] | None = None,
    ) -> None:
        self.longest_wait_s = 0.0
        # When it ended, of time.monotonic().
        self.longest_wait_at_s = 0.0
        self.inserted = 0
        self.errors: list[BaseException] = []
        self._connect, self._job_id, self._objects = connect, job_id, objects
        self._pause_s, self._survives = pause_s, survives
        self._primary_key = primary_key or (lambda number: (job_id, "b", str(number), "e"))
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(writers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, writer: int) -> None:
        chance = random.Random(writer)  # noqa: S311 - the same load in every run
        numbers = itertools.count(1)
        while not self._ended.is_set():
            try:
                self._write(writer, numbers, chance)
            except psycopg2.OperationalError as error:
                if not self._survives:
                    self.errors.append(error)
                    return
                self._ended.wait(RECONNECT_PAUSE_S)
            except BaseException as error:  # noqa: BLE001 - read from `errors` after the block
                self.errors.append(error)
                return

    def _write(self, writer: int, numbers: Iterator[int], chance: random.Random) -> None:
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                while not self._ended.is_set():
                    number = next(numbers)
                    started = time.monotonic()
                    if number % 10:
                        primary_key = self._primary_key(chance.randint(1, self._objects))
                        cursor.execute(UPDATE, (chance.choice(STATUSES), *primary_key))
                    else:
                        cursor.execute(INSERT, (self._job_id, f"w{writer}-{number}"))
                    ended = time.monotonic()
                    with self._lock:
                        self.inserted += number % 10 == 0
                        if ended - started > self.longest_wait_s:
                            self.longest_wait_s, self.longest_wait_at_s = ended - started, ended
                    time.sleep(self._pause_s)
        finally:
            connection.close()
