"""An answer with its age holds each change that was committed by then, at every isolation level of the refresh."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import psycopg2.errors
import pytest

from tests.support.reader import READS, Reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tests.support.database import TestDatabase

DURATION_S = 1.5
INSERT = "INSERT INTO job_objects (job_id, bucket, key, etag, status) VALUES (%s, 'b', %s, 'e', 'queued')"
REFRESH = "SELECT refreshed FROM refresh_job_progress()"
# The statements of one refresh, which may open its snapshot before others commit.
REFRESHES = {
    "read committed": ("BEGIN ISOLATION LEVEL READ COMMITTED", "SELECT 1", REFRESH, "COMMIT"),
    "repeatable read": ("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1", REFRESH, "COMMIT"),
    "serializable": ("BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT 1", REFRESH, "COMMIT"),
    "default": ("SET default_transaction_isolation = 'repeatable read'", REFRESH),
}


@dataclass
class Load:
    """A writer and a refresher. Use as a context manager.

    Attributes:
        acknowledged: a time of the server after each commit of one object.
        refreshes: how many were committed.

    """

    database: TestDatabase
    job_id: str
    refresh: tuple[str, ...]
    acknowledged: list[datetime] = field(default_factory=list)
    refreshes: int = 0
    errors: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=[work]) for work in (self._write, self._refresh)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, work: Callable[[], None]) -> None:
        try:
            while not self._ended.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 - raised in the test
            self.errors.append(error)

    def _write(self) -> None:
        with closing(self.database.connect("scanner_app")) as connection, connection.cursor() as cursor:
            while not self._ended.is_set():
                cursor.execute(INSERT, (self.job_id, f"k{len(self.acknowledged)}"))
                cursor.execute("SELECT clock_timestamp()")
                ((at,),) = cursor.fetchall()
                self.acknowledged.append(at)

    def _refresh(self) -> None:
        with closing(self.database.connect("progress_refresher")) as connection, connection.cursor() as cursor:
            try:
                for sql in self.refresh:
                    cursor.execute(sql)
                    time.sleep(0.01)
            except psycopg2.errors.SerializationFailure:  # a compaction was faster
                return
        self.refreshes += 1


@pytest.mark.slow
@pytest.mark.parametrize("refresh", REFRESHES.values(), ids=REFRESHES)
def test_each_change_acknowledged_before_the_time_of_an_answer_is_in_it(
    database: TestDatabase, refresh: tuple[str, ...]
) -> None:
    job_id = database.add_job({})
    database.query("UPDATE jobs SET created_at = now() - INTERVAL '1 hour'")
    database.query(REFRESH)
    answers = []
    with Load(database, job_id, refresh) as load, Reader(database) as reader:
        ends_at = time.monotonic() + DURATION_S
        while time.monotonic() < ends_at:
            answers += [(name, *read(reader, job_id, real_time=False)) for name, read in READS.items()]
    assert load.errors == []
    assert load.refreshes > 3
    broken = [
        (name, objects, promised)
        for name, objects, answer in answers
        if objects < (promised := sum(at < answer["cache_refreshed_at"] for at in load.acknowledged))
    ]
    assert broken == [], f"{len(broken)} of {len(answers)} answers lack what they promise"
