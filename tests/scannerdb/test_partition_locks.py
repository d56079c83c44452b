"""Strong locks that meet writers: no deadlock, and no wait that is longer than the writer's own transaction."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from scannerdb.partition import run, shadow
from scannerdb.partition.locks import with_locks
from scannerdb.partition.steps import Options
from tests.support.partitioning import LIMITS, differences, fill, partition, phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import TestDatabase

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def wait_for_waiters(database: TestDatabase, number: int) -> None:
    ends_at = time.monotonic() + 20
    while database.query(WAITING) != [(number,)]:
        assert time.monotonic() < ends_at, f"{number} sessions were to wait for a lock"
        time.sleep(0.01)


@pytest.mark.parametrize("way", ["forth", "back"])
def test_a_job_that_is_deleted_while_the_swap_waits_for_a_writer_waits_no_longer_than_that_writer(
    database: TestDatabase, way: str
) -> None:
    job_id = fill(database)
    partition(database, until_copied=way == "forth")
    told: list[str] = []

    def report(message: str, **_: object) -> None:
        told.append(message)

    actions: dict[str, Callable[[], None]] = {
        "forth": lambda: run.partition(database.connect, Options(modulus=4), limits=LIMITS, report=report),
        "back": lambda: run.revert(database.connect, limits=LIMITS, report=report),
    }
    deletes = "DELETE FROM jobs WHERE job_id <> %s"
    swap = threading.Thread(target=actions[way])
    delete = threading.Thread(target=database.query, args=(deletes, (job_id,)), kwargs={"user": "scanner_app"})
    writer = database.connect("scanner_app")
    with writer.cursor() as cursor:
        cursor.execute("BEGIN; UPDATE job_objects SET status = 'failed' WHERE job_id = %s AND key = '1'", (job_id,))
        swap.start()
        wait_for_waiters(database, 1)
        delete.start()
        wait_for_waiters(database, 2)
        cursor.execute("INSERT INTO job_objects VALUES (%s, 'b', 'new', 'e', 'queued')", (job_id,))
        cursor.execute("COMMIT")
    writer.close()
    delete.join()
    swap.join()
    assert [message for message in told if "trying again" in message] == []
    assert phase(database) == ("swapped" if way == "forth" else "none")
    if way == "forth":
        assert differences(database) == []
    assert database.query("SELECT count(*) FROM job_objects") == [(301,)]


def test_an_object_that_is_inserted_while_the_foreign_key_waits_for_a_writer_waits_no_longer_than_that_writer(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = fill(database)
    insert = "INSERT INTO job_objects VALUES (%s, 'b', %s, 'e', 'queued')"
    locked: list[object] = []

    def lock_parts_only(*arguments: Any, **options: Any) -> None:
        locked.append(options)
        if len(locked) == 2:
            raise InterruptedError
        with_locks(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(shadow, "with_locks", lock_parts_only)
        with pytest.raises(InterruptedError):
            partition(database)
    told: list[str] = []
    options = {"limits": LIMITS, "report": lambda message, **_: told.append(message)}
    foreign_key = threading.Thread(target=run.partition, args=(database.connect, Options(modulus=4)), kwargs=options)
    other = threading.Thread(target=database.query, args=(insert, (job_id, "y")), kwargs={"user": "scanner_app"})
    writer = database.connect("scanner_app")
    with writer.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(insert, (job_id, "x"))
        foreign_key.start()
        wait_for_waiters(database, 1)
        other.start()
        wait_for_waiters(database, 2)
        cursor.execute("COMMIT")
    writer.close()
    other.join()
    foreign_key.join()
    assert [message for message in told if "trying again" in message] == []
    assert phase(database) == "swapped"
    assert differences(database) == []
