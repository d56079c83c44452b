"""A run through a transaction pooler is refused before it leaves a lock or a setting on another client's connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.contract.thresholds import Thresholds
from handlers.diagnosis import examine
from handlers.errors import PoolerError
from handlers.migrator.connecting import refuse_pooler
from handlers.migrator.runner import rollback, run
from handlers.migrator.steps import migration_steps
from scannerdb.partition import run as partitioning
from tests.support.database import MIGRATIONS, build_release
from tests.support.diagnosis import COMMANDS, THRESHOLDS
from tests.support.pooler import TransactionPooler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase

LOCKS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"


@pytest.fixture(params=[True, False], ids=["like PgBouncer", "like RDS Proxy"])
def pooler(database: TestDatabase, request: pytest.FixtureRequest) -> Iterator[TransactionPooler]:
    with TransactionPooler(database, announces_pid=request.param) as pooler:
        yield pooler


def test_the_double_hands_one_server_process_to_two_clients(pooler: TransactionPooler) -> None:
    pids = []
    for connection in (pooler.connect(), pooler.connect()):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pids.append(cursor.fetchone())
    assert pids[0] == pids[1]


def test_migrate_rollback_plan_and_partition_refuse_a_pooler_and_leave_no_lock(
    pooler: TransactionPooler, database: TestDatabase
) -> None:
    release = build_release(MIGRATIONS)
    for action in (
        lambda: run(pooler.connect, release),
        lambda: rollback(pooler.connect, release),
        lambda: migration_steps(release, pooler.connect),
        lambda: partitioning.status(pooler.connect),
    ):
        with pytest.raises(PoolerError, match=r"is a pooler such as PgBouncer or RDS Proxy: .*connect to the database"):
            action()
    assert database.query(LOCKS) == []


def test_the_doctor_refuses_a_pooler_and_leaves_other_clients_writable(pooler: TransactionPooler) -> None:
    findings = examine(pooler.connect, Thresholds(**THRESHOLDS), commands=COMMANDS)
    assert [(finding.check, finding.state) for finding in findings] == [("connection", "unknown")]
    assert "is a pooler" in findings[0].value
    for _ in range(3):
        with pooler.connect().cursor() as cursor:
            cursor.execute("INSERT INTO jobs (job_id, bucket) VALUES (gen_random_uuid(), 'b')")


def test_a_connection_to_the_server_itself_is_taken(database: TestDatabase) -> None:
    connection = database.connect()
    refuse_pooler(connection)
    connection.close()
