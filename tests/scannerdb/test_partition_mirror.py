"""No statement of any kind is lost or counted twice while both tables exist, before the swap and after it."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg2.errors
import pytest

from handlers.batches import FIRST_ROWS, Batches
from scannerdb.partition import run
from scannerdb.partition.copy import Copier
from scannerdb.partition.errors import LongTransactionError
from scannerdb.partition.names import SHADOW
from scannerdb.partition.steps import Options
from tests.support.partitioning import (
    IMPATIENT,
    LIMITS,
    differences,
    fill,
    finish,
    partition,
    phase,
    revert,
)
from tests.support.processes import wait_until
from tests.support.progress import DIFFERENCES, JOBS, KEYS, TRUNCATIONS, WRITES, write
from tests.support.schema import schema
from tests.support.writers import KnowingWriters

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

VALUES = {
    "job": JOBS[0],
    "other": JOBS[1],
    "key": KEYS[0],
    "keys": list(KEYS[1:4]),
    "status": "succeeded",
    "at": "2026-11-23 10:00:05+00",
}


def prepare(cursor: Any, found: str) -> None:
    """Leave what a statement is to find: nothing, two jobs, or one of them with objects and findings."""
    jobs = list(JOBS[:2])
    cursor.execute("DELETE FROM findings WHERE job_id = ANY (%s::uuid[])", (jobs,))
    cursor.execute("DELETE FROM jobs WHERE job_id = ANY (%s::uuid[])", (jobs,))
    if found != "nothing":
        cursor.execute("INSERT INTO jobs (job_id, bucket) SELECT unnest(%s::uuid[]), 'b'", (jobs,))
    if found == "objects":
        for key, status in zip(KEYS[:3], ("queued", "processing", "failed"), strict=True):
            cursor.execute("INSERT INTO job_objects VALUES (%s, 'b', %s, 'e', %s)", (jobs[0], key, status))
            cursor.execute(
                "INSERT INTO findings (job_id, bucket, key, etag, detector, byte_offset) "
                "VALUES (%s, 'b', %s, 'e', 'card', 1)",
                (jobs[0], key),
            )


def test_four_writers_of_every_kind_lose_no_row_and_wait_less_than_a_second(database: TestDatabase) -> None:
    before = schema(database)
    shared = fill(database, 20_000)
    with KnowingWriters(database, shared, 20_000) as writers:
        time.sleep(0.5)
        partition(database, modulus=16)
        time.sleep(1)
        assert differences(database) == []
        revert(database)
        time.sleep(0.3)
        partition(database, modulus=8)
        time.sleep(0.3)
        finish(database)
        time.sleep(0.3)
    assert writers.errors == []
    assert len(writers.done) == 12
    assert writers.lost_or_doubled() == []
    assert database.query(DIFFERENCES) == []
    assert database.query("SELECT count(*) FROM job_objects WHERE job_id = %s", (shared,)) == [(20_000,)]
    assert writers.longest_wait_s < 1
    assert phase(database) == "partitioned"
    assert "PARTITION BY HASH (job_id)" in schema(database)
    assert "PARTITION BY HASH (job_id)" not in before


@pytest.mark.parametrize("stage", ["copied", "swapped", "partitioned"])
def test_each_kind_of_statement_is_mirrored_and_counted_once(database: TestDatabase, stage: str) -> None:
    fill(database)
    partition(database, until_copied=stage == "copied")
    if stage == "partitioned":
        finish(database)
    assert phase(database) == stage
    effective: set[str] = set()
    connection = database.connect("scanner_app")
    with connection.cursor() as cursor:
        for (name, sql), found in itertools.product(WRITES.items(), ("nothing", "jobs", "objects")):
            prepare(cursor, found)
            try:
                write(cursor, sql, VALUES)
            except (psycopg2.errors.UniqueViolation, psycopg2.errors.ForeignKeyViolation):
                continue
            except psycopg2.errors.FeatureNotSupported:
                assert name == "merge"
                assert stage != "copied"
                effective.add(name)
                continue
            if cursor.rowcount:
                effective.add(name)
            assert (database.query(DIFFERENCES) if stage == "partitioned" else differences(database)) == [], name
    connection.close()
    # None of them passed because there was nothing to do.
    assert effective == set(WRITES)


@pytest.mark.parametrize("stage", ["copied", "swapped"])
@pytest.mark.parametrize("statement", TRUNCATIONS)
def test_a_truncation_empties_both_tables(database: TestDatabase, stage: str, statement: str) -> None:
    fill(database)
    partition(database, until_copied=stage == "copied")
    database.query(statement)
    assert differences(database) == []


def test_a_row_that_is_deleted_and_inserted_by_one_statement_stays(database: TestDatabase) -> None:
    job_id = fill(database)
    for until_copied in (True, False):
        partition(database, until_copied=until_copied)
        database.query(
            "WITH gone AS (DELETE FROM job_objects WHERE job_id = %s RETURNING *) "
            "INSERT INTO job_objects SELECT job_id, bucket, key, etag, 'failed' FROM gone",
            (job_id,),
            user="scanner_app",
        )
        assert database.query("SELECT DISTINCT status FROM job_objects WHERE job_id = %s", (job_id,)) == [("failed",)]
        assert differences(database) == []


def test_a_session_that_replays_a_replica_is_mirrored_too(database: TestDatabase) -> None:
    fill(database)
    for until_copied in (True, False):
        partition(database, until_copied=until_copied)
        connection = database.connect("postgres")
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("UPDATE job_objects SET last_error = 'again' WHERE status = 'queued'")
        connection.close()
        assert differences(database) == []


def test_a_delete_that_does_not_see_the_copied_row_is_refused_and_succeeds_when_tried_again(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = fill(database)
    connection = database.connect("scanner_app")
    delete = "DELETE FROM job_objects WHERE job_id = %s AND key = '7'"
    copied = Copier.run

    def copy_beside_an_old_snapshot(copier: Copier, state: run.State) -> None:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM jobs")
            copied(copier, state)
            with pytest.raises(psycopg2.errors.SerializationFailure):
                cursor.execute(delete, (job_id,))
            cursor.execute("ROLLBACK")
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            cursor.execute(delete, (job_id,))
            cursor.execute("COMMIT")

    monkeypatch.setattr(Copier, "run", copy_beside_an_old_snapshot)
    partition(database)
    connection.close()
    assert database.query("SELECT count(*) FROM job_objects WHERE job_id = %s", (job_id,)) == [(299,)]
    assert differences(database) == []


def test_the_swap_waits_for_a_snapshot_that_would_see_a_part_of_the_copy(database: TestDatabase) -> None:
    fill(database)
    connection = database.connect("scanner_app")
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM jobs")
        with pytest.raises(LongTransactionError, match=r"pid \d+ \(scanner_app.*began before the copy ended"):
            partition(database, limits=IMPATIENT)
        assert phase(database) == "copied"
        cursor.execute("COMMIT")
    connection.close()
    partition(database)
    assert phase(database) == "swapped"


def test_readers_of_the_live_progress_do_not_hold_up_the_swap(database: TestDatabase) -> None:
    job_id = fill(database, 2000)
    ended = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        connection = database.connect("progress_reader")
        try:
            with connection.cursor() as cursor:
                while not ended.is_set():
                    cursor.execute("SELECT total_objects FROM job_progress_live WHERE job_id = %s", (job_id,))
                    assert cursor.fetchall() == [(2000,)]
                    cursor.execute("SELECT read_job_progress(%s, true)->>'total_objects'", (job_id,))
                    assert cursor.fetchall() == [("2000",)]
        except BaseException as error:  # noqa: BLE001 - the test reads it
            failures.append(error)
        finally:
            connection.close()

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    said: list[str] = []
    try:
        for _ in range(2):
            options = Options(modulus=4)
            run.partition(database.connect, options, limits=LIMITS, report=lambda m, **_: said.append(m))
            run.revert(database.connect, limits=LIMITS, report=lambda m, **_: said.append(m))
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert failures == []
    assert len([line for line in said if "busy" in line]) < 5


def test_a_job_is_deleted_after_the_swap_in_the_order_in_which_writers_write(database: TestDatabase) -> None:
    """GIVEN a deletion held up at the first object WHEN another one is written THEN neither waits for the other."""
    fill(database)
    partition(database)
    job_id = database.add_job({"queued": 9})
    holder, deleter, writer = (database.connect("scanner_app") for _ in range(3))
    failures: list[BaseException] = []

    def delete() -> None:
        try:
            with deleter.cursor() as deleting:
                deleting.execute("DELETE FROM jobs WHERE job_id = %s", (job_id,))
        except psycopg2.Error as error:
            failures.append(error)

    with holder.cursor() as holding, writer.cursor() as writing:
        holding.execute("BEGIN")
        holding.execute("SELECT FROM job_objects WHERE job_id = %s AND key = 'queued1' FOR UPDATE", (job_id,))
        thread = threading.Thread(target=delete)
        thread.start()
        time.sleep(0.3)
        writing.execute("SET lock_timeout = '300ms'")
        writing.execute("UPDATE job_objects SET status = 'failed' WHERE job_id = %s AND key = 'queued9'", (job_id,))
        holding.execute("COMMIT")
        thread.join()
    for connection in (holder, deleter, writer):
        connection.close()
    assert failures == []
    assert database.query("SELECT count(*) FROM job_objects WHERE job_id = %s", (job_id,)) == [(0,)]
    assert differences(database) == []


def test_statistics_grow_with_the_copy_so_that_a_writer_never_reads_all_of_it(database: TestDatabase) -> None:
    job_id = fill(database, 30_000)
    connection = database.connect("scanner_app")
    ended = threading.Event()

    def delete_and_insert() -> None:
        with connection.cursor() as cursor:
            while not ended.is_set():
                cursor.execute("DELETE FROM job_objects WHERE job_id = %s AND key = '1'", (job_id,))
                cursor.execute("INSERT INTO job_objects VALUES (%s, 'b', '1', 'e', 'queued')", (job_id,))

    writer = threading.Thread(target=delete_and_insert)
    writer.start()
    try:
        partition(database, until_copied=True)
        counted = "SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables WHERE relname LIKE 'job_objects_p_'"
        time.sleep(0.3)
        ((before,),) = database.query(counted)
        time.sleep(0.5)
    finally:
        ended.set()
        writer.join()
        connection.close()
    time.sleep(0.3)
    assert database.query(counted) == [(before,)]
    analyzed = "SELECT min(analyze_count) FROM pg_stat_user_tables WHERE relname LIKE 'job_objects_p_'"
    assert database.query(analyzed)[0][0] >= 4


def stop_before_the_copy(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave both tables mirrored, and nothing copied."""
    with monkeypatch.context() as patched:
        patched.setattr(Copier, "run", lambda *_: (_ for _ in ()).throw(InterruptedError))
        with pytest.raises(InterruptedError):
            partition(database)


def test_a_session_whose_first_statement_wrote_many_rows_looks_for_each_by_its_key(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = fill(database, 2000)
    stop_before_the_copy(database, monkeypatch)
    # A session reports what it scanned when it ends, which is some time after its client has gone.
    others = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    wait_until(lambda: database.query(others) == [(0,)])
    scans = "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname LIKE 'job_objects_p_'"
    before = database.query(scans)
    with closing(database.connect()) as writer, writer.cursor() as cursor:
        for keys in ("1%", "2%", "30"):
            cursor.execute("UPDATE job_objects SET key = 'x' || key WHERE job_id = %s AND key LIKE %s", (job_id, keys))
            cursor.execute("DELETE FROM job_objects WHERE job_id = %s AND key LIKE %s", (job_id, f"x{keys}"))
        cursor.execute("SELECT pg_stat_force_next_flush()")
    assert database.query(scans) == before


def test_a_row_that_is_deleted_while_its_batch_is_copied_does_not_come_back(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = fill(database, 2000)
    stop_before_the_copy(database, monkeypatch)
    holder = database.connect("scanner_app")
    with holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("DELETE FROM job_objects WHERE job_id = %s AND key = '1000'", (job_id,))
        worker = threading.Thread(target=partition, args=(database,))
        worker.start()
        time.sleep(1)
        assert phase(database) == "copying"
        cursor.execute("COMMIT")
        worker.join()
    holder.close()
    assert phase(database) == "swapped"
    assert differences(database) == []


def test_a_batch_that_takes_long_is_given_up_and_fewer_rows_are_tried(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, FIRST_ROWS)
    stop_before_the_copy(database, monkeypatch)
    millisecond_a_row = "BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END"
    database.query(f"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $${millisecond_a_row}$$")
    database.query(f"CREATE TRIGGER slow BEFORE INSERT ON {SHADOW} FOR EACH ROW EXECUTE FUNCTION slow()")
    tried: list[int] = []
    failed = Batches.failed
    monkeypatch.setattr(Batches, "failed", lambda batches: (tried.append(batches.rows), failed(batches)))
    partition(database, until_copied=True)
    assert tried[0] == FIRST_ROWS
    database.query("DROP FUNCTION slow() CASCADE")
    partition(database)
    assert differences(database) == []


def test_a_copy_that_meets_a_locked_row_lets_writers_pass_and_goes_on_when_it_is_free(database: TestDatabase) -> None:
    job_id = fill(database, 2000)
    holder = database.connect("scanner_app")
    with holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT FROM job_objects WHERE job_id = %s AND key = '1000' FOR UPDATE", (job_id,))
        worker = threading.Thread(target=partition, args=(database,))
        # The triggers wait for writers, and a lock of a row is none that they wait for.
        worker.start()
        time.sleep(1)
        started = time.monotonic()
        database.query("DELETE FROM job_objects WHERE job_id = %s AND key <> '1000'", (job_id,), user="scanner_app")
        assert time.monotonic() - started < 0.9
        cursor.execute("COMMIT")
        worker.join()
    holder.close()
    assert phase(database) == "swapped"
    assert differences(database) == []


def test_a_merge_whose_rows_postgresql_would_tell_its_triggers_wrongly_is_refused(database: TestDatabase) -> None:
    fill(database)
    job_id = database.add_job({"queued": 2})
    partition(database)
    merge = "MERGE INTO job_objects USING (SELECT) AS one ON job_id = %s WHEN MATCHED THEN UPDATE SET status = 'failed'"
    for stage in ("swapped", "partitioned"):
        for session in ("origin", "replica"):
            with pytest.raises(psycopg2.errors.FeatureNotSupported, match='cannot execute MERGE on relation "job_obj'):
                database.query(f"SET session_replication_role = {session}; {merge}", (job_id,), user="postgres")
        assert phase(database) == stage
        if stage == "swapped":
            finish(database)
    assert "INSERT ... ON CONFLICT" in str(database.query("SELECT obj_description(oid, 'pg_rewrite') FROM pg_rewrite"))


def test_deletes_are_as_before_although_a_rule_keeps_merges_away(database: TestDatabase) -> None:
    fill(database)
    job_id = database.add_job({"queued": 3})
    partition(database)
    deleted = "WITH gone AS (DELETE FROM job_objects WHERE job_id = %s AND key = 'queued1' RETURNING key) TABLE gone"
    assert database.query(deleted, (job_id,), user="scanner_app") == [("queued1",)]
    assert database.query("DELETE FROM job_objects WHERE job_id = %s RETURNING 1", (job_id,)) == [(1,), (1,)]
    assert differences(database) == []
