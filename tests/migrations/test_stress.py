"""Mixed writes beside refreshes, corrections, migrations, held snapshots and deaths: no write is lost, no count drifts.

`make test` does a few operations; `make test-stress` does 300,000.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import psycopg2
import psycopg2.errors
import pytest

from tests.support.migrating import migrate, roll_back_to
from tests.support.progress import DIFFERENCES
from tests.support.writers import KnowingWriters

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

OPERATIONS = int(os.environ.get("OPERATIONS", "3000"))
OBJECTS = 2_000
ISOLATIONS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
# One victim of the client sessions of a role.
TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM (
    SELECT pid FROM pg_stat_activity WHERE usename = %s AND datname = current_database() ORDER BY random() LIMIT 1
) AS victim
"""
# How often each is chosen, relative to the others.
REFRESH, DEATH, RARE = 60, 12, 3


def _refresh(database: TestDatabase, _chance: random.Random) -> None:
    database.query("SELECT refresh_job_progress()", user="progress_refresher")


def _rebuild(database: TestDatabase, _chance: random.Random) -> None:
    assert database.query("SELECT rebuild_job_progress()", user="progress_refresher") == [(0,)]


def _verify(database: TestDatabase, _chance: random.Random) -> None:
    assert database.query("SELECT * FROM verify_job_progress()", user="progress_refresher") == []
    assert database.query(DIFFERENCES) == []


def _kill_a_writer(database: TestDatabase, _chance: random.Random) -> None:
    database.query(TERMINATE, ("scanner_app",), user="postgres")


def _kill_a_refresh(database: TestDatabase, chance: random.Random) -> None:
    """Begin a refresh, and end its session somewhere on the way."""
    connection = psycopg2.connect(database.server.dsn(user="progress_refresher", database=database.name), async_=1)
    with contextlib.suppress(psycopg2.OperationalError):
        _wait(connection, 10)
        cursor = connection.cursor()
        cursor.execute("SELECT refresh_job_progress()")
        _wait(connection, chance.uniform(0, 0.05))
        database.query(TERMINATE, ("progress_refresher",), user="postgres")
    connection.close()


def _wait(connection: psycopg2.extensions.connection, timeout_s: float) -> None:
    ends_at = time.monotonic() + timeout_s
    while connection.poll() != psycopg2.extensions.POLL_OK and time.monotonic() < ends_at:
        time.sleep(0.001)


def _crash(database: TestDatabase, _chance: random.Random) -> None:
    database.server.stop(immediate=True)
    database.server.start()


def _hold_a_snapshot(database: TestDatabase, chance: random.Random) -> None:
    """Refresh and verify while a snapshot keeps what is folded from vacuum."""
    with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT")
        for _ in range(chance.randint(1, 8)):
            _refresh(database, chance)
            _verify(database, chance)
        cursor.execute(DIFFERENCES)
        assert cursor.fetchall() == []


def _commit_in_two_phases(database: TestDatabase, chance: random.Random) -> None:
    """Refresh and verify, and sometimes crash, between both phases of a commit."""
    name = f"stress {database.name}"
    write = "INSERT INTO findings (job_id, bucket, key, etag, detector) SELECT job_id, 'b', 'k', 'e', 'two' FROM jobs"
    database.query(f"BEGIN; {write}; PREPARE TRANSACTION '{name}'", user="scanner_app")
    for _ in range(chance.randint(1, 4)):
        _refresh(database, chance)
        _verify(database, chance)
        if chance.random() < RARE / REFRESH:
            _crash(database, chance)
    database.query(f"{chance.choice(('COMMIT', 'ROLLBACK'))} PREPARED '{name}'", user="scanner_app")


def _truncate_findings(database: TestDatabase, chance: random.Random) -> None:
    connection = database.connect()
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(f"BEGIN ISOLATION LEVEL {chance.choice(ISOLATIONS)}")
        cursor.execute("TRUNCATE findings")
        cursor.execute(chance.choice(("COMMIT", "ROLLBACK")))
    # A TRUNCATE above READ COMMITTED is exact from the next refresh on.
    _refresh(database, chance)


def _run_the_migrations(database: TestDatabase, _chance: random.Random) -> None:
    migrate(database)


def _stop_counting_for_a_moment(database: TestDatabase, _chance: random.Random) -> None:
    roll_back_to(database, 2)
    migrate(database)


ACTIONS: dict[Callable[[TestDatabase, random.Random], None], int] = {
    _refresh: REFRESH,
    _verify: REFRESH,
    _rebuild: DEATH,
    _kill_a_writer: DEATH,
    _kill_a_refresh: DEATH,
    _hold_a_snapshot: DEATH,
    _commit_in_two_phases: DEATH,
    _truncate_findings: RARE,
    _run_the_migrations: RARE,
    _crash: RARE,
    _stop_counting_for_a_moment: RARE,
}


def test_mixed_writes_beside_refreshes_and_deaths_lose_nothing_and_never_drift(database: TestDatabase) -> None:
    chance = random.Random(os.environ.get("SEED", "1"))
    shared = database.add_job({"queued": 0})
    database.query(
        "INSERT INTO job_objects (job_id, bucket, key, etag, status) "
        "SELECT %s, 'b', n::text, 'e', 'queued' FROM generate_series(1, %s) AS n",
        (shared, OBJECTS),
    )
    done: Counter[str] = Counter()
    with KnowingWriters(database, shared, OBJECTS, pause_s=0, survive=True) as writers:
        while writers.done.total() < OPERATIONS and not writers.errors:
            (action,) = chance.choices(list(ACTIONS), weights=list(ACTIONS.values()))
            action(database, chance)
            done[action.__name__.strip("_")] += 1
    print(f"{writers.done.total():,} writes, {writers.deaths} cut off; beside them {dict(done)}")
    assert writers.errors == []
    assert writers.lost_or_doubled() == []
    _verify(database, chance)
    _refresh(database, chance)
    assert database.query("TABLE job_progress EXCEPT TABLE job_progress_direct") == []
    assert database.query("TABLE job_progress_direct EXCEPT TABLE job_progress") == []
