"""A scan of the deltas skips what is folded, however long a snapshot keeps it, and never a delta that counts."""

from __future__ import annotations

import io
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from handlers.migrator.runner import run
from tests.support.database import MIGRATIONS, build_release
from tests.support.progress import DIFFERENCES, REFRESHED_DIFFERENCES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg2.extensions

    from tests.support.database import TestDatabase

REFRESH = "SELECT refresh_job_progress()"
COMPACT = "SELECT compact_job_progress_deltas(ARRAY(SELECT job_id FROM jobs))"
VALID_BOUNDS = "SELECT job_id IS NULL FROM job_progress_valid_bounds ORDER BY 1"
# What pg_dump dumps, in its order.
DUMPED = ("findings", "job_progress_bounds", "job_progress_counts", "job_progress_deltas", "jobs", "job_objects")


@contextmanager
def transaction(
    database: TestDatabase, first: str, user: str = "scanner_admin"
) -> Iterator[psycopg2.extensions.cursor]:
    """Begin a REPEATABLE READ transaction with a statement; it is rolled back unless the block commits it."""
    with closing(database.connect(user)) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute(first)
        yield cursor


def change(database: TestDatabase, job_id: str, times: int) -> None:
    """Update one object, each time in a transaction of its own."""
    database.query(
        f"DO $$ BEGIN FOR i IN 1..{times} LOOP "
        f"UPDATE job_objects SET status = CASE WHEN i % 2 = 0 THEN 'failed' ELSE 'queued' END, updated_at = now() "
        f"WHERE job_id = '{job_id}' AND key = 'queued1'; COMMIT; END LOOP; END $$"
    )


def pages(database: TestDatabase, sql: str, user: str = "progress_reader") -> int:
    """Return how many pages a query reads when it runs a second time."""
    database.query(sql, user=user)
    ((plan,),) = database.query(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", user=user)
    return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])


@pytest.mark.slow
@pytest.mark.parametrize("skipping", [REFRESH, COMPACT], ids=["folded", "compacted"])
def test_an_exact_read_skips_what_was_folded_or_compacted_while_a_snapshot_is_held(
    database: TestDatabase, skipping: str
) -> None:
    job_id = database.add_job({"queued": 1})
    database.query(REFRESH)
    read = f"SELECT * FROM job_progress_live WHERE job_id = '{job_id}'"
    fresh = pages(database, read)
    with transaction(database, "SELECT count(*) FROM job_progress_deltas"):
        change(database, job_id, 3000)
        database.query(skipping)
        assert pages(database, read) <= fresh + 15
        assert database.query(DIFFERENCES) == []


@pytest.mark.slow
def test_a_list_of_all_jobs_and_a_refresh_skip_what_was_folded_while_a_snapshot_is_held(database: TestDatabase) -> None:
    job_id = database.add_job({"queued": 1})
    database.query(REFRESH)
    read = "SELECT sum(total_objects) FROM job_progress_source"
    unfolded = "SELECT count(*) FROM job_progress_unfolded"
    fresh = pages(database, read)
    with transaction(database, "SELECT count(*) FROM job_progress_deltas"):
        change(database, job_id, 3000)
        database.query(REFRESH)
        assert pages(database, read) <= fresh + 15
        database.query("ANALYZE job_progress_deltas")
        assert pages(database, unfolded, user="scanner_admin") <= 15
        assert database.query(DIFFERENCES) == []


@pytest.mark.slow
def test_an_open_transaction_that_has_written_keeps_no_bound_back_and_is_counted_when_it_ends(
    database: TestDatabase,
) -> None:
    job_id = database.add_job({"queued": 2})
    database.query(REFRESH)
    read = f"SELECT * FROM job_progress_live WHERE job_id = '{job_id}'"
    fresh = pages(database, read)
    change_another = "UPDATE job_objects SET status = 'processing' WHERE key = 'queued2'"
    with transaction(database, change_another, "scanner_app") as writer:
        for _ in range(2):
            change(database, job_id, 3000)
            database.query(REFRESH)
        assert pages(database, read) <= fresh + 20
        writer.execute("COMMIT")
        assert database.query(DIFFERENCES) == []
        database.query(COMPACT)
        assert database.query(DIFFERENCES) == []
    database.query(REFRESH)
    assert database.query(REFRESHED_DIFFERENCES) == []


@pytest.mark.slow
def test_more_open_transactions_than_a_bound_lists_lower_it_and_are_counted_when_they_end(
    database: TestDatabase,
) -> None:
    job_ids = [database.add_job({"queued": 1}) for _ in range(70)]
    database.query(REFRESH)
    with ExitStack() as stack:
        update = "UPDATE job_objects SET status = 'failed' WHERE job_id = '{}'"
        writers = [stack.enter_context(transaction(database, update.format(job), "scanner_app")) for job in job_ids]
        hot = database.add_job({"queued": 1})
        change(database, hot, 1500)
        database.query(REFRESH)
        assert database.query("SELECT cardinality(left_open) FROM job_progress_folded") == [(64,)]
        for writer in writers:
            writer.execute("COMMIT")
    assert database.query(DIFFERENCES) == []
    database.query(REFRESH)
    assert database.query("SELECT count(*) FROM job_progress_deltas") == [(0,)]
    assert database.query(REFRESHED_DIFFERENCES) == []


def test_a_snapshot_that_is_older_than_a_fold_reads_the_numbers_of_its_time(database: TestDatabase) -> None:
    job_id = database.add_job({"queued": 3})
    read = "SELECT to_jsonb(j) FROM job_progress_live AS j UNION ALL SELECT to_jsonb(j) FROM job_progress_source AS j"
    with transaction(database, read) as old:
        before = old.fetchall()
        for maintain in (COMPACT, REFRESH, COMPACT, REFRESH):
            change(database, job_id, 101)
            database.query(maintain)
        old.execute(read)
        assert old.fetchall() == before
        old.execute(DIFFERENCES)
        assert old.fetchall() == []


@pytest.mark.slow
def test_a_prepared_transaction_keeps_no_bound_back_and_is_counted_when_it_is_committed(database: TestDatabase) -> None:
    job_id = database.add_job({"queued": 2})
    database.query(REFRESH)
    read = f"SELECT * FROM job_progress_live WHERE job_id = '{job_id}'"
    fresh = pages(database, read)
    name = f"held in {database.name}"
    database.query(
        "BEGIN; UPDATE job_objects SET status = 'failed' WHERE key = 'queued2'; PREPARE TRANSACTION %s", (name,)
    )
    for _ in range(2):
        change(database, job_id, 3000)
        database.query(REFRESH)
    assert pages(database, read) <= fresh + 20
    database.query(f"COMMIT PREPARED '{name}'")
    assert database.query(DIFFERENCES) == []
    database.query(REFRESH)
    assert database.query(REFRESHED_DIFFERENCES) == []


@pytest.mark.parametrize("shift", [1_000_000_000, -500], ids=["from higher ids", "from lower ids"])
def test_a_dump_that_is_loaded_into_another_cluster_is_exact_before_and_after_its_first_refresh(
    database: TestDatabase, empty_database: TestDatabase, shift: int
) -> None:
    # GIVEN a database with counts, deltas and bounds of a fold and of a compaction
    job_id = database.add_job({"queued": 3, "succeeded": 2}, findings=1)
    database.query(REFRESH)
    change(database, job_id, 5)
    database.query(COMPACT)
    change(database, job_id, 5)
    assert database.query(VALID_BOUNDS) == [(False,), (True,)]
    # WHEN its dump is loaded where transaction ids are others, before there are triggers
    database.query("UPDATE job_progress_deltas SET written_by = written_by + %s", (shift,))
    database.query("UPDATE job_progress_bounds SET folded_to = folded_to + %s", (shift,))
    load_dump(database, empty_database)
    # THEN no bound of the other cluster holds, and each write counts, before and after the first refresh
    assert empty_database.query(VALID_BOUNDS) == []
    assert empty_database.query(DIFFERENCES) == []
    for maintain in (COMPACT, REFRESH, COMPACT):
        change(empty_database, job_id, 5)
        assert empty_database.query(DIFFERENCES) == []
        empty_database.query(maintain)
        assert empty_database.query(DIFFERENCES) == []
    assert empty_database.query(REFRESH)
    assert empty_database.query("SELECT count(*) FROM job_progress_deltas") == [(0,)]
    assert empty_database.query(REFRESHED_DIFFERENCES) == []


def test_a_bound_from_a_cluster_that_has_counted_further_is_ignored_where_its_32_bits_are_equal_by_chance(
    database: TestDatabase,
) -> None:
    job_id = database.add_job({"queued": 1})
    database.query("INSERT INTO job_progress_bounds VALUES (NULL, %s, '{}', pg_current_xact_id()::xid)", (2**32,))
    assert database.query(VALID_BOUNDS) == [(True,)]
    assert database.query(DIFFERENCES) == []
    change(database, job_id, 3)
    database.query(REFRESH)
    assert database.query(REFRESHED_DIFFERENCES) == []


def test_a_rebuild_counts_deltas_that_a_load_brought_below_the_bound(database: TestDatabase) -> None:
    job_id = database.add_job({"queued": 2})
    database.query(REFRESH)
    database.query(
        "INSERT INTO job_progress_deltas (job_id, written_by, objects, new_status) VALUES (%s, 1, 7, 'failed')",
        (job_id,),
    )
    database.query("SELECT rebuild_job_progress()")
    assert database.query(VALID_BOUNDS) == []
    assert database.query(DIFFERENCES) == []
    database.query(REFRESH)
    assert database.query("SELECT count(*) FROM job_progress_deltas") == [(0,)]
    assert database.query(REFRESHED_DIFFERENCES) == []


def load_dump(source: TestDatabase, target: TestDatabase) -> None:
    """Load the tables of a database into a new one as pg_restore does, which creates the triggers after the rows."""
    run(target.connect, build_release(MIGRATIONS))
    with closing(target.connect()) as connection, connection.cursor() as load:
        load.execute("TRUNCATE job_progress_counts, job_progress_bounds, job_progress_deltas")
        load.execute("ALTER TABLE job_objects DISABLE TRIGGER USER; ALTER TABLE findings DISABLE TRIGGER USER")
        for table in DUMPED:
            copy(table, source, load)
        load.execute("ALTER TABLE job_objects ENABLE TRIGGER USER; ALTER TABLE findings ENABLE TRIGGER USER")


def copy(table: str, source: TestDatabase, load: psycopg2.extensions.cursor) -> None:
    """Copy a table's rows."""
    rows = io.StringIO()
    with closing(source.connect()) as connection, connection.cursor() as dump:
        dump.copy_expert(f"COPY {table} TO STDOUT", rows)
    rows.seek(0)
    load.copy_expert(f"COPY {table} FROM STDIN", rows)
