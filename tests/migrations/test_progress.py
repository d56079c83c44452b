"""Progress costs what changed and is exact at any moment: each promise of migration 003, one by one."""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.errors
import pytest
from psycopg2.extras import execute_batch

from handlers.migrator.runner import run
from lab.load import WriteLoad
from tests.support.database import MIGRATIONS, build_release
from tests.support.migrating import roll_back_to
from tests.support.progress import (
    DIFFERENCES,
    JOBS,
    REFRESHED_DIFFERENCES,
    STATUSES,
    TRUNCATIONS,
    USELESS_COUNTS,
    WRITES,
    allow_any_status,
    compact_often,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase

COMPACT_BY_IDS = "SELECT compact_job_progress_deltas(%s::uuid[])"
COMPACT_ALL = "SELECT compact_job_progress_deltas(ARRAY(SELECT DISTINCT job_id FROM job_progress_deltas))"
REFRESH = "SELECT refreshed, folded_rows, backlog_rows FROM refresh_job_progress()"
VERIFY = "SELECT * FROM verify_job_progress()"
DELTAS = "SELECT count(*) FROM job_progress_deltas"
# A statement that had to wait would be refused, and the test would fail.
NO_WAITING = "SET lock_timeout = '100ms'"


def direct(database: TestDatabase) -> list[tuple[Any, ...]]:
    return database.query("SELECT * FROM job_progress_direct ORDER BY job_id")


def assert_exact(database: TestDatabase) -> None:
    """Assert that the numbers are those of a full count: as they are, when compacted, and when folded."""
    assert database.query(DIFFERENCES) == []
    database.query(COMPACT_ALL)
    assert database.query(DIFFERENCES) == []
    assert database.query("SELECT refreshed FROM refresh_job_progress()") == [(True,)]
    assert database.query(REFRESHED_DIFFERENCES) == []
    assert database.query(DIFFERENCES) == []
    assert database.query(DELTAS) == [(0,)]
    assert database.query(USELESS_COUNTS) == []


@contextmanager
def transaction(
    database: TestDatabase, user: str = "scanner_app", isolation: str = "READ COMMITTED"
) -> Iterator[psycopg2.extensions.cursor]:
    """Begin a transaction; it is rolled back unless the block commits it."""
    with closing(database.connect(user)) as connection, connection.cursor() as cursor:
        cursor.execute(NO_WAITING)
        cursor.execute(f"BEGIN ISOLATION LEVEL {isolation}")
        yield cursor


def finish(work: list[threading.Thread], release: psycopg2.extensions.cursor, database: TestDatabase) -> None:
    """Commit a transaction when each thread waits for a lock that it holds, and then wait for the threads."""
    for thread in work:
        thread.start()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 20
    while database.query(waiting) != [(len(work),)]:
        assert time.monotonic() < deadline, "nothing waited"
        time.sleep(0.02)
    release.execute("COMMIT")
    for thread in work:
        thread.join()


@pytest.fixture
def filled(database: TestDatabase) -> TestDatabase:
    """Two jobs with objects and findings, refreshed, and a third one that is not there."""
    database.query("INSERT INTO jobs (job_id, bucket) SELECT unnest(%s::uuid[]), 'b'", (list(JOBS[:2]),))
    database.query(
        "INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at) VALUES "
        "(%(first)s, 'b', 'k1', 'e', 'queued', '2026-11-23 10:00:01+00'), "
        "(%(first)s, 'b', 'k2', 'e', 'failed', '2026-11-23 10:00:02+00'), "
        "(%(first)s, 'b', 'k3', 'e', 'processing', '2026-11-23 10:00:03+00'), "
        "(%(second)s, 'b', 'k4', 'e', 'succeeded', '2026-11-23 10:00:04+00')",
        {"first": JOBS[0], "second": JOBS[1]},
    )
    database.query(
        "INSERT INTO findings (job_id, bucket, key, etag, detector, byte_offset) VALUES "
        "(%(first)s, 'b', 'k1', 'e', 'card', 1), (%(first)s, 'b', 'k2', 'e', 'card', 1), "
        "(%(second)s, 'b', 'k1', 'e', 'succeeded', 1), (%(second)s, 'b', 'k4', 'e', 'card', 1)",
        {"first": JOBS[0], "second": JOBS[1]},
    )
    database.query(REFRESH)
    return database


@pytest.mark.parametrize("compacting", [False, True], ids=["", "compacting"])
@pytest.mark.parametrize("kind", WRITES)
def test_each_kind_of_statement_is_counted(filled: TestDatabase, kind: str, compacting: bool) -> None:
    if compacting:
        compact_often(filled, 1)
    values = {"job": JOBS[0], "other": JOBS[1], "status": "succeeded", "at": "2026-11-23 10:00:09+00"}
    new = kind in {"insert", "insert into two jobs", "copy", "insert findings"}
    values |= {"key": "k5" if new else "k1", "keys": ["k5", "k6"] if new else ["k1", "k2", "k5"]}
    if kind == "create job":
        values["job"] = JOBS[2]
    before = direct(filled)
    with closing(filled.connect("scanner_app")) as connection, connection.cursor() as cursor:
        write(cursor, WRITES[kind], values)
        assert cursor.rowcount > 0
    assert (direct(filled) == before) == (kind == "mask findings")
    assert_exact(filled)


@pytest.mark.parametrize("kind", WRITES)
def test_each_kind_of_statement_counts_a_status_that_is_none_of_the_four(filled: TestDatabase, kind: str) -> None:
    allow_any_status(filled)
    filled.query("UPDATE job_objects SET status = 'skipped' WHERE key = 'k2'")
    with closing(filled.connect("scanner_app")) as connection, connection.cursor() as cursor:
        new = kind in {"insert", "insert into two jobs", "copy", "insert findings"}
        values = {"job": JOBS[0], "other": JOBS[1], "status": None, "at": "2026-11-23 10:00:09+00"}
        write(cursor, WRITES[kind], values | {"key": "k5", "keys": ["k5", "k6", "k7"] if new else ["k1", "k2", "k5"]})
    assert_exact(filled)


def test_objects_of_another_status_count_in_the_total_and_are_not_done(database: TestDatabase) -> None:
    allow_any_status(database)
    job_id = database.add_job({"queued": 1, "processing": 1, "succeeded": 6, "failed": 2, "skipped": 3, "QUEUED": 2})
    numbers = (
        "SELECT total_objects, queued_count, processing_count, succeeded_count, failed_count, progress_percent::float "
        "FROM {} WHERE job_id = %s"
    )
    for view in ("job_progress_live", "job_progress_direct"):
        assert database.query(numbers.format(view), (job_id,)) == [(15, 1, 1, 6, 2, 53.33)]
    assert_exact(database)
    database.query("UPDATE job_objects SET status = 'succeeded' WHERE status IN ('queued', 'processing')")
    assert_exact(database)
    assert database.query(numbers.format("job_progress"), (job_id,)) == [(15, 0, 0, 8, 2, 66.66)]


def test_a_writer_compacts_more_than_an_int_holds(filled: TestDatabase) -> None:
    filled.query(
        "INSERT INTO job_progress_deltas (job_id, objects, findings, new_status) "
        "SELECT %s, 2e9, 2e9, 'queued' FROM generate_series(1, 3)",
        (JOBS[0],),
    )
    compact_often(filled, 1)
    filled.query("UPDATE job_objects SET status = 'failed' WHERE key = 'k1'", user="scanner_app")
    assert filled.query("SELECT new_status, objects, findings FROM job_progress_deltas ORDER BY 1") == [
        ("failed", 1, 0),
        ("queued", 6_000_000_000 - 1, 6_000_000_000),
    ]
    known = "SELECT queued_count, failed_count, total_findings FROM {}"
    filled.query(REFRESH)
    live = known.format("job_progress_live WHERE job_id = %s")
    assert filled.query(live, (JOBS[0],)) == [(6_000_000_000, 2, 6_000_000_002)]
    filled.query("TRUNCATE job_objects, findings")
    assert_exact(filled)


@pytest.mark.parametrize("status", ["queued", "processing", "succeeded", "failed", "skipped"])
def test_a_refresh_folds_more_than_an_int_holds(filled: TestDatabase, status: str) -> None:
    filled.query(
        "INSERT INTO job_progress_deltas (job_id, objects, new_status) SELECT %s, 2e9, %s FROM generate_series(1, 3)",
        (JOBS[0], status),
    )
    before = "SELECT total_objects FROM job_progress_live WHERE job_id = %s"
    known = filled.query(before, (JOBS[0],))
    filled.query(REFRESH)
    assert filled.query(before, (JOBS[0],)) == known
    assert known[0][0] >= 6_000_000_000


@pytest.mark.parametrize("sql", TRUNCATIONS)
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_truncate_is_counted(filled: TestDatabase, sql: str, end: str) -> None:
    # GIVEN changes that are folded, committed but not folded, and of the same transaction
    filled.query("UPDATE job_objects SET status = 'failed' WHERE key = 'k1'")
    filled.query("DELETE FROM findings WHERE key = 'k1'")
    with transaction(filled, "scanner_admin") as owner:
        owner.execute("DELETE FROM job_objects WHERE key = 'k4'")
        owner.execute("DELETE FROM findings WHERE key = 'k4'")
        owner.execute(sql)
        owner.execute(DIFFERENCES)
        assert owner.fetchall() == []
        owner.execute(end)
    assert_exact(filled)


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("table", ["job_objects", "findings"])
def test_a_truncate_in_a_snapshot_that_is_older_than_other_changes_is_mended_by_the_next_refresh(
    filled: TestDatabase, table: str, isolation: str
) -> None:
    with transaction(filled, "scanner_admin", isolation) as owner:
        owner.execute("SELECT count(*) FROM jobs")
        filled.query("DELETE FROM job_objects WHERE key = 'k1'")
        filled.query("DELETE FROM findings WHERE key = 'k1'")
        owner.execute(f"TRUNCATE {table}")
        owner.execute("COMMIT")
    assert filled.query("SELECT truncated_table FROM job_progress_recounts") == [(table,)]
    assert filled.query("SELECT refreshed FROM refresh_job_progress()", user="progress_refresher") == [(True,)]
    assert filled.query("SELECT FROM job_progress_recounts") == []
    assert filled.query(REFRESHED_DIFFERENCES) == []
    assert_exact(filled)


def test_a_truncate_above_read_committed_is_exact_at_once_where_nothing_else_changed(filled: TestDatabase) -> None:
    filled.query("SET default_transaction_isolation = 'serializable'; TRUNCATE job_objects, findings")
    assert_exact(filled)


@pytest.mark.parametrize("function", ["verify_job_progress", "rebuild_job_progress"])
def test_what_waited_for_a_truncate_counts_what_it_left(filled: TestDatabase, function: str) -> None:
    said: list[list[tuple[Any, ...]]] = []
    with transaction(filled, "scanner_admin") as owner:
        owner.execute("TRUNCATE job_objects")
        waits = threading.Thread(target=lambda: said.append(filled.query(f"SELECT * FROM {function}()")))
        finish([waits], owner, filled)
    assert said == [[] if function == "verify_job_progress" else [(0,)]]
    assert_exact(filled)


def test_a_rebuild_in_a_snapshot_that_is_older_than_a_truncate_refuses_and_says_how(filled: TestDatabase) -> None:
    with transaction(filled, "scanner_admin", "REPEATABLE READ") as owner:
        owner.execute("SELECT count(*) FROM jobs")
        filled.query("TRUNCATE job_objects")
        with pytest.raises(psycopg2.errors.FeatureNotSupported, match="REPEATABLE READ") as refusal:
            owner.execute("SELECT rebuild_job_progress()")
    filled.query("UPDATE job_progress_counts SET queued_count = queued_count + 5")
    filled.query(f"SET default_transaction_isolation = 'serializable'; {refusal.value.diag.message_hint}")
    assert_exact(filled)


def test_a_savepoint_that_is_rolled_back_is_not_counted(filled: TestDatabase) -> None:
    compact_often(filled, 1)
    with transaction(filled) as writer:
        writer.execute("UPDATE job_objects SET status = 'succeeded' WHERE key = 'k1'")
        writer.execute("SAVEPOINT half")
        writer.execute("UPDATE job_objects SET status = 'failed'")
        writer.execute("ROLLBACK TO half")
        writer.execute("UPDATE job_objects SET status = 'queued' WHERE key = 'k3'")
        writer.execute("COMMIT")
    assert_exact(filled)


def test_a_writer_has_no_rights_on_what_is_known_and_its_updates_are_counted(filled: TestDatabase) -> None:
    for sql in (
        "SELECT count(*) FROM job_progress_deltas",
        "INSERT INTO job_progress_deltas (job_id, objects) VALUES (gen_random_uuid(), 1)",
        "DELETE FROM job_progress_deltas",
        "UPDATE job_progress_counts SET queued_count = 0",
        "SELECT compact_job_progress_deltas('{}')",
        "SELECT refresh_job_progress()",
        "SELECT rebuild_job_progress()",
        VERIFY,
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            filled.query(sql, user="scanner_app")
    compact_often(filled, 1)
    filled.query("UPDATE job_objects SET status = 'succeeded' WHERE key = 'k1'", user="scanner_app")
    live = "SELECT queued_count, succeeded_count FROM job_progress_live WHERE job_id = %s"
    assert filled.query(live, (JOBS[0],), user="progress_reader") == [(0, 1)]


def test_a_second_refresh_returns_at_once_and_still_says_how_far_behind_it_is(filled: TestDatabase) -> None:
    said = "SELECT refreshed, folded_rows, backlog_rows, lag_seconds BETWEEN 3600 AND 3660 FROM refresh_job_progress()"
    filled.query("UPDATE materialized_view_refresh_log SET last_refreshed_at = now() - INTERVAL '1 hour'")
    filled.query("UPDATE job_objects SET status = 'failed' WHERE key = 'k1'")
    with transaction(filled, "progress_refresher") as first, transaction(filled, "progress_refresher") as second:
        first.execute(said)
        assert first.fetchall() == [(True, 1, 1, True)]
        second.execute(said)
        assert second.fetchall() == [(False, None, 1, True)]
        first.execute("COMMIT")
    assert_exact(filled)


def test_a_refresh_says_what_it_folded_and_empties_the_backlog(filled: TestDatabase) -> None:
    for _ in range(3):
        filled.query("UPDATE job_objects SET status = 'failed' WHERE key = 'k1'")
    assert filled.query(REFRESH, user="progress_refresher") == [(True, 3, 3)]
    assert filled.query(REFRESH, user="progress_refresher") == [(True, 0, 0)]
    assert_exact(filled)


def test_a_session_folds_while_003_is_applied_and_refreshes_all_the_same_after_a_rollback(filled: TestDatabase) -> None:
    release = build_release(MIGRATIONS)
    with closing(filled.connect("progress_refresher")) as connection, connection.cursor() as refresher:
        for folded in (1, 0, 1):
            if folded:
                run(filled.connect, release)
            else:
                roll_back_to(filled, 2)
            filled.query("UPDATE job_objects SET status = 'failed' WHERE key = 'k1'")
            refresher.execute(REFRESH)
            assert refresher.fetchall() == [(True, folded, folded)]
            assert filled.query(REFRESHED_DIFFERENCES) == []


def test_a_refresh_beside_another_has_no_backlog_without_003(filled: TestDatabase) -> None:
    roll_back_to(filled, 2)
    with transaction(filled, "progress_refresher") as first:
        first.execute(REFRESH)
        assert filled.query(REFRESH, user="progress_refresher") == [(False, None, 0)]


def test_a_refresher_that_is_killed_before_it_commits_has_folded_nothing(filled: TestDatabase) -> None:
    filled.query("UPDATE job_objects SET status = 'failed' WHERE key = 'k1'")
    known = "SELECT to_jsonb(c) FROM job_progress_counts AS c ORDER BY job_id"
    before = filled.query(known)
    with transaction(filled, "progress_refresher") as refresher:
        refresher.execute(REFRESH)
        pid = refresher.connection.info.backend_pid
        assert filled.query("SELECT pg_terminate_backend(%s, 10000)", (pid,), user="postgres") == [(True,)]
    assert filled.query(known) == before
    assert filled.query(DELTAS) == [(1,)]
    assert_exact(filled)


def test_a_deleted_job_keeps_the_count_of_its_findings_for_a_job_that_is_created_with_its_id(
    filled: TestDatabase,
) -> None:
    filled.query("DELETE FROM jobs WHERE job_id = %s", (JOBS[0],))
    assert_exact(filled)
    assert filled.query("SELECT total_findings FROM job_progress_live WHERE job_id = %s", (JOBS[0],)) == []
    filled.query("INSERT INTO jobs (job_id, bucket) VALUES (%s, 'b')", (JOBS[0],))
    live = "SELECT total_objects, total_findings FROM job_progress_live WHERE job_id = %s"
    assert filled.query(live, (JOBS[0],)) == [(0, 2)]
    assert_exact(filled)
    filled.query("DELETE FROM findings")
    assert_exact(filled)


def test_drift_is_listed_and_mended_while_a_writer_holds_rows(filled: TestDatabase) -> None:
    # GIVEN rows that changed while nothing was tracked, one job known to nobody, and deltas that are not folded
    filled.query("UPDATE job_objects SET status = 'failed' WHERE key = 'k3'")
    filled.query("ALTER TABLE job_objects DISABLE TRIGGER USER; ALTER TABLE findings DISABLE TRIGGER USER")
    filled.query("UPDATE job_objects SET status = 'succeeded', updated_at = '2026-11-23 10:00:07+00' WHERE key = 'k1'")
    filled.query("UPDATE job_objects SET updated_at = '2026-11-23 10:00:08+00' WHERE key = 'k4'")
    filled.query("DELETE FROM findings WHERE key = 'k1'")
    filled.query("INSERT INTO jobs (job_id, bucket) VALUES (%s, 'b')", (JOBS[2],))
    filled.query(
        "INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at) "
        "VALUES (%s, 'b', 'k1', 'e', 'processing', '2026-11-23 10:00:09+00')",
        (JOBS[2],),
    )
    filled.query("ALTER TABLE job_objects ENABLE TRIGGER USER; ALTER TABLE findings ENABLE TRIGGER USER")
    # WHEN it is verified
    # THEN a drift is what is known minus what is there
    listed = (
        "SELECT job_id, queued_drift, processing_drift, succeeded_drift, failed_drift, findings_drift, "
        "extract(second FROM known_object_update)::int, extract(second FROM last_object_update)::int "
        "FROM verify_job_progress() ORDER BY job_id"
    )
    assert filled.query(listed, user="progress_refresher") == [
        (JOBS[0], 1, 0, -1, 0, 1, 7, 7),
        (JOBS[1], 0, 0, 0, 0, 1, 4, 8),
        (JOBS[2], 0, -1, 0, 0, 0, None, 9),
    ]
    # AND a rebuild mends it without waiting for a writer, whose rows are counted when it commits
    with transaction(filled) as writer, transaction(filled, "progress_refresher") as repair:
        writer.execute("UPDATE job_objects SET status = 'queued'")
        writer.execute("DELETE FROM findings")
        repair.execute("SELECT rebuild_job_progress()")
        assert repair.fetchall() == [(3,)]
        writer.execute("INSERT INTO jobs (job_id, bucket) VALUES (gen_random_uuid(), 'b')")
        repair.execute("COMMIT")
        assert filled.query(DIFFERENCES) == []
        writer.execute("COMMIT")
    assert_exact(filled)


@pytest.mark.parametrize("column", ["queued", "processing", "succeeded", "failed", "other", "findings"])
def test_each_number_that_drifts_alone_is_listed_and_mended(filled: TestDatabase, column: str) -> None:
    known = "total_findings" if column == "findings" else f"{column}_count"
    filled.query(f"UPDATE job_progress_counts SET {known} = {known} + 7 WHERE job_id = %s", (JOBS[0],))
    assert filled.query(f"SELECT job_id, {column}_drift FROM verify_job_progress()") == [(JOBS[0], 7)]
    assert filled.query("SELECT rebuild_job_progress()", user="progress_refresher") == [(1,)]
    assert_exact(filled)


def test_of_two_rebuilds_at_the_same_time_one_mends_and_the_other_finds_nothing_to_do(filled: TestDatabase) -> None:
    filled.query("UPDATE job_progress_counts SET queued_count = queued_count + 5")
    said: list[list[tuple[Any, ...]]] = []
    with transaction(filled, "progress_refresher") as first:
        first.execute("SELECT rebuild_job_progress()")
        assert first.fetchall() == [(2,)]
        second = threading.Thread(target=lambda: said.append(filled.query("SELECT rebuild_job_progress()")))
        finish([second], first, filled)
    assert said == [[(0,)]]
    assert_exact(filled)


def test_a_refresh_during_a_rebuild_leaves_its_work_to_the_next(filled: TestDatabase) -> None:
    with transaction(filled, "progress_refresher") as repair:
        repair.execute("SELECT rebuild_job_progress()")
        assert filled.query(f"{NO_WAITING}; {REFRESH}") == [(False, None, 0)]


def test_compaction_keeps_the_rows_of_the_deltas_few(filled: TestDatabase) -> None:
    compact_often(filled, 0.1)
    with closing(filled.connect("scanner_app")) as connection, connection.cursor() as cursor:
        for number in range(300):
            cursor.execute(
                "UPDATE job_objects SET status = %s WHERE job_id = %s", (STATUSES[number % 4], JOBS[number % 2])
            )
    ((rows,),) = filled.query(DELTAS)
    assert rows < 150
    filled.query(COMPACT_ALL)
    by_status = "SELECT count(*) = count(DISTINCT (job_id, coalesce(new_status, 'none'))) FROM job_progress_deltas"
    assert filled.query(by_status) == [(True,)]
    assert_exact(filled)


# What a session keeps of a small table could be a plan that scans the whole table and compares each row with each
# address: 15 s for 60,000 deltas.
@pytest.mark.parametrize("sql", [COMPACT_BY_IDS, REFRESH])
def test_a_session_that_began_with_few_deltas_does_not_compare_each_of_many_with_each(
    filled: TestDatabase, sql: str
) -> None:
    counted = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'job_progress_deltas'"
    with closing(filled.connect()) as connection, connection.cursor() as cursor:
        ((before,),) = filled.query(counted)
        for _ in range(8):
            filled.query("UPDATE job_objects SET status = 'failed'")
            cursor.execute(sql, (list(JOBS),) if sql == COMPACT_BY_IDS else None)
        cursor.execute("SELECT pg_stat_force_next_flush()")
        assert filled.query(counted) == [(before,)]


def test_a_compaction_of_many_deltas_keeps_a_writer_for_a_part_of_them(filled: TestDatabase) -> None:
    filled.query(REFRESH)
    filled.query(
        "INSERT INTO job_progress_deltas (job_id, objects, new_status) SELECT job_id, number % 2 * 2 - 1, 'queued' "
        "FROM (SELECT job_id FROM jobs LIMIT 2) AS job, generate_series(1, 15000) AS number"
    )
    ((one,), _) = filled.query("SELECT DISTINCT job_id::text FROM job_progress_deltas")
    filled.query(COMPACT_BY_IDS, ([one],))
    assert filled.query(DELTAS) == [(15_000 + 5_000 + 1,)]
    filled.query(COMPACT_ALL)
    assert filled.query(DELTAS) == [(5_000 + 1 + 1,)]
    filled.query(COMPACT_ALL)
    assert filled.query(DELTAS) == [(1 + 1,)]
    assert_exact(filled)


def test_nobody_waits_for_a_transaction_that_has_the_deltas_in_hand(filled: TestDatabase) -> None:
    # GIVEN an open transaction that has compacted a committed delta of each job
    filled.query("UPDATE job_objects SET status = 'failed'")
    in_hand = filled.query(DELTAS)
    with transaction(filled, "scanner_admin") as holder, transaction(filled) as writer:
        holder.execute(COMPACT_ALL)
        # WHEN a writer that compacts too, a compaction and a refresh come
        compact_often(filled, 1)
        writer.execute("UPDATE job_objects SET status = 'succeeded' WHERE key = 'k1'")
        writer.execute("COMMIT")
        writer.execute("BEGIN; UPDATE job_objects SET status = 'queued' WHERE key = 'k4'")
        filled.query(f"{NO_WAITING}; {COMPACT_ALL}")
        # THEN they do what they can and pass over the rest, and the numbers are exact
        assert filled.query(f"{NO_WAITING}; {REFRESH}") == [(True, 2, 2)]
        assert filled.query(DELTAS) == in_hand
        assert filled.query(REFRESHED_DIFFERENCES) == []
        assert filled.query(DIFFERENCES) == []
        holder.execute("ROLLBACK")
        assert filled.query(DIFFERENCES) == []
        writer.execute("COMMIT")
    assert_exact(filled)


def test_compaction_refuses_no_writer_of_an_older_snapshot(filled: TestDatabase) -> None:
    compact_often(filled, 1)
    for isolation in ("REPEATABLE READ", "SERIALIZABLE"):
        with transaction(filled, isolation=isolation) as writer:
            writer.execute("SELECT count(*) FROM jobs")
            filled.query("UPDATE job_objects SET status = 'succeeded' WHERE key = 'k1'")
            filled.query("UPDATE job_objects SET status = 'queued' WHERE key = 'k1'")
            writer.execute("UPDATE job_objects SET status = 'processing' WHERE key IN ('k2', 'k3', 'k4')")
            writer.execute("COMMIT")
    assert_exact(filled)


@pytest.mark.parametrize("compacting", [False, True], ids=["", "compacting"])
def test_the_last_update_of_a_job_is_exact_when_it_goes_back(filled: TestDatabase, compacting: bool) -> None:
    if compacting:
        compact_often(filled, 1)
    last = "SELECT to_char(last_object_update, 'SS') FROM job_progress_live WHERE job_id = %s"
    filled.query("UPDATE job_objects SET updated_at = '2026-11-23 10:00:00+00' WHERE key = 'k3'")
    assert filled.query(last, (JOBS[0],)) == [("02",)]
    assert_exact(filled)
    filled.query("UPDATE job_objects SET updated_at = '2026-11-23 10:00:08+00' WHERE key = 'k1'")
    filled.query("DELETE FROM job_objects WHERE key = 'k2'")
    assert filled.query(last, (JOBS[0],)) == [("08",)]
    assert_exact(filled)


class BulkWriter:
    """Writes of many rows, and of jobs, from `with` to its end; each is a transaction of its own."""

    def __init__(self, database: TestDatabase) -> None:
        self.errors: list[BaseException] = []
        self.rounds = 0
        self._database = database
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _write(self) -> None:
        jobs = list(JOBS[:2])
        keys = [f"bulk {number}" for number in range(50)]
        kinds = [
            *("create jobs with objects", "insert or update", "insert findings", "update two jobs", "move", "touch"),
            *("insert or move findings", "merge", "delete and insert", "delete findings", "delete two jobs"),
        ]
        try:
            with closing(self._database.connect("scanner_app")) as connection, connection.cursor() as cursor:
                while not self._ended.is_set():
                    for kind in kinds:
                        status = STATUSES[self.rounds % 4]
                        values = {"job": jobs[0], "other": jobs[1], "key": keys[0], "keys": keys, "status": status}
                        write(cursor, WRITES[kind], {**values, "at": "2026-11-23 10:00:00+00"})
                        jobs.reverse()
                    self.rounds += 1
        except BaseException as error:  # noqa: BLE001 - whoever started the load reads it
            self.errors.append(error)


@pytest.mark.slow
def test_what_is_there_is_counted_while_four_writers_write(empty_database: TestDatabase) -> None:
    release = build_release(MIGRATIONS)
    run(empty_database.connect, replace(release, migrations=release.migrations[:2]))
    rows = 20_000
    job_id = empty_database.add_job({})
    empty_database.query(
        "INSERT INTO job_objects (job_id, bucket, key, etag, status) "
        "SELECT %s, 'b', n::text, 'e', 'queued' FROM generate_series(1, %s) AS n",
        (job_id, rows),
    )
    empty_database.add_job({"succeeded": 100}, findings=50)
    bulk = BulkWriter(empty_database)
    with WriteLoad(lambda: empty_database.connect("scanner_app"), job_id, rows, writers=4) as load, bulk:
        time.sleep(0.3)
        result = run(empty_database.connect, release)
        assert empty_database.query(VERIFY) == []
        time.sleep(0.3)
    assert (load.errors, bulk.errors) == ([], [])
    assert load.inserted > 0
    assert bulk.rounds > 1
    assert result.applied == tuple(migration.file for migration in release.migrations[2:])
    assert_exact(empty_database)


def test_a_worker_written_as_the_guides_callers_write_needs_no_change(database: TestDatabase) -> None:
    job_id = database.add_job({})
    insert = (
        "INSERT INTO job_objects (job_id, bucket, key, etag, status) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (job_id, bucket, key, etag) DO NOTHING"
    )
    update = (
        "UPDATE job_objects SET status = %s, last_error = %s, updated_at = now() "
        "WHERE job_id = %s AND bucket = %s AND key = %s AND etag = %s"
    )
    finding = (
        "INSERT INTO findings (job_id, bucket, key, etag, detector, masked_match, context, byte_offset) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (bucket, key, etag, detector, byte_offset) DO NOTHING"
    )
    objects = [(job_id, "b", f"part-{number}", "e", "queued") for number in range(120)]
    with closing(psycopg2.connect(database.server.dsn(user="scanner_app", database=database.name))) as connection:
        with connection, connection.cursor() as cursor:
            execute_batch(cursor, insert, objects, page_size=50)
        # A message that is delivered twice
        with connection, connection.cursor() as cursor:
            execute_batch(cursor, insert, objects[:60], page_size=50)
        for number in range(100):
            with connection, connection.cursor() as cursor:
                cursor.execute(update, ("processing", None, *objects[number][:4]))
            with connection, connection.cursor() as cursor:
                execute_batch(cursor, finding, [(*objects[number][:4], "card", "****", "column 3", 0)] * 2)
                status = "failed" if number % 10 == 9 else "succeeded"
                cursor.execute(update, (status, None, *objects[number][:4]))
    live = "SELECT total_objects, queued_count, succeeded_count, failed_count, total_findings FROM job_progress_live"
    assert database.query(live) == [(120, 20, 90, 10, 100)]
    assert_exact(database)
