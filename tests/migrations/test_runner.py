"""The runner brings a real database to a release, or leaves it as it was and says why."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from handlers.errors import DeployInProgressError, MigrationFailedError
from handlers.migrator.ledger import QUERIES
from handlers.migrator.runner import Result, run
from handlers.migrator.session import RunLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.contract.release import Release
    from tests.support.database import TestDatabase

    ReleaseOf = Callable[[dict[str, str]], Release]

TABLE = "CREATE TABLE t (a int, b int)"
INDEX = "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (a)"


FAST = RunLimits(poll_interval_s=0.2)


def migrate(database: TestDatabase, release: Release) -> Result:
    return run(database.connect, release, limits=FAST)


def tables(database: TestDatabase) -> set[str]:
    return {
        name for (name,) in database.query("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    }


def test_a_second_run_finds_nothing_to_do(empty_database: TestDatabase, release_of: ReleaseOf) -> None:
    release = release_of({"001_a.sql": TABLE, "002_b.sql": INDEX})
    assert migrate(empty_database, release).applied == ("001_a.sql", "002_b.sql")
    again = migrate(empty_database, release)
    assert (again.applied, again.already_applied) == ((), 2)


def test_the_ledger_says_what_was_applied_by_whom_and_from_which_release(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    release = release_of({"001_a.sql": TABLE})
    migrate(empty_database, release)
    row = empty_database.query(
        "SELECT version, name, checksum, applied_at IS NOT NULL, applied_by, release FROM schema_migrations"
    )
    assert row == [(1, "a", release.migrations[0].checksum, True, "scanner_admin", release.sha256)]


def test_a_failing_statement_names_file_line_and_postgresqls_message_and_leaves_the_database_as_it_was(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    good = {"001_a.sql": TABLE}
    migrate(empty_database, release_of(good))
    before = tables(empty_database)
    bad = {**good, "002_b.sql": "CREATE TABLE u (a int);\nALTER TABLE missing ADD a int"}
    with pytest.raises(MigrationFailedError) as failure:
        migrate(empty_database, release_of(bad))
    assert "migrations/002_b.sql, line 2, ALTER TABLE" in str(failure.value)
    assert 'relation "missing" does not exist' in str(failure.value)
    assert tables(empty_database) == before
    mended = {**good, "002_b.sql": "CREATE TABLE u (a int);\nALTER TABLE t ADD c int"}
    assert migrate(empty_database, release_of(mended)).applied == ("002_b.sql",)


def test_a_file_outside_a_transaction_goes_on_where_it_failed(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    first = {"001_a.sql": TABLE, "002_b.sql": f"{INDEX};\nCREATE VIEW v AS SELECT missing FROM t"}
    with pytest.raises(
        MigrationFailedError, match=r"002_b.sql, line 2, CREATE VIEW v: column .missing. does not exist"
    ):
        migrate(empty_database, release_of(first))
    done = "SELECT version, cardinality(applied_statements), applied_at IS NULL FROM schema_migrations ORDER BY 1"
    assert empty_database.query(done) == [(1, 1, False), (2, 1, True)]
    mended = {"001_a.sql": TABLE, "002_b.sql": f"{INDEX};\nCREATE VIEW v AS SELECT a FROM t"}
    assert migrate(empty_database, release_of(mended)).applied == ("002_b.sql",)
    assert empty_database.query(done) == [(1, 1, False), (2, 2, False)]


def test_a_file_that_failed_part_way_may_be_mended_into_one_that_fits_a_transaction(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    start = f"{TABLE}; INSERT INTO t VALUES (1, 1)"
    with pytest.raises(MigrationFailedError, match="missing"):
        migrate(empty_database, release_of({"001_a.sql": f"{start}; CREATE INDEX CONCURRENTLY t_a ON t (missing)"}))
    assert migrate(empty_database, release_of({"001_a.sql": f"{start}; CREATE INDEX t_a ON t (a)"})).applied
    assert empty_database.query("SELECT count(*) FROM t") == [(1,)]
    assert empty_database.query("SELECT cardinality(applied_statements) FROM schema_migrations") == [(3,)]


def test_a_file_that_failed_part_way_may_be_mended_by_deleting_its_end(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    with pytest.raises(MigrationFailedError, match="missing"):
        migrate(empty_database, release_of({"001_a.sql": f"{TABLE}; CREATE INDEX CONCURRENTLY t_a ON t (missing)"}))
    mended = release_of({"001_a.sql": TABLE})
    assert migrate(empty_database, mended).applied == ("001_a.sql",)
    assert migrate(empty_database, mended).applied == ()


def test_an_invalid_index_is_dropped_in_its_own_schema_only(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    empty_database.query('CREATE SCHEMA "Audit"; CREATE TABLE t (a int); CREATE INDEX t_a ON t (a)')
    empty_database.query('CREATE TABLE "Audit".t (a int); CREATE INDEX t_a ON "Audit".t (a)')
    empty_database.query(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"Audit\".t_a'::regclass", user="postgres"
    )
    untouched = empty_database.query("SELECT 't_a'::regclass::oid")
    migrate(empty_database, release_of({"001_a.sql": 'CREATE INDEX CONCURRENTLY t_a ON "Audit".t (a)'}))
    assert empty_database.query("SELECT 't_a'::regclass::oid") == untouched
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = '\"Audit\".t_a'::regclass"
    assert empty_database.query(valid) == [(True,)]


def test_an_index_whose_name_needs_quotes_is_found_again(empty_database: TestDatabase, release_of: ReleaseOf) -> None:
    empty_database.query('CREATE TABLE "Order" (a int)')
    migrate(empty_database, release_of({"001_a.sql": 'CREATE INDEX CONCURRENTLY "Order_a" ON "Order" (a)'}))


def test_a_build_that_an_earlier_run_finished_is_not_built_again(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    empty_database.query("CREATE TABLE t (a int, b int); CREATE INDEX t_a ON t (a)")
    assert migrate(empty_database, release_of({"001_a.sql": "CREATE INDEX CONCURRENTLY t_a ON t (a)"})).applied


def test_a_session_that_is_ended_mid_statement_is_told_with_its_file(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    sql = "SELECT pg_terminate_backend(pg_backend_pid())"
    with pytest.raises(
        MigrationFailedError, match=r"001_a.sql, line 1, SELECT pg_terminate_backend\(\): .*connection"
    ) as failure:
        migrate(empty_database, release_of({"001_a.sql": sql}))
    assert "The connection was lost. When the database answers, migrate again." in str(failure.value)


def test_an_invalid_index_that_a_killed_build_left_is_rebuilt(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    # GIVEN a unique build that failed and left its index INVALID, under the name that the migration wants
    empty_database.query("CREATE TABLE t (a int, b int)")
    empty_database.query("INSERT INTO t VALUES (1, 1), (1, 2)")
    with pytest.raises(Exception, match="could not create unique index"):
        empty_database.query("CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)")
    valid = "SELECT indisvalid, indisunique FROM pg_index WHERE indexrelid = 't_a'::regclass"
    assert empty_database.query(valid) == [(False, True)]
    # WHEN the migration runs
    migrate(empty_database, release_of({"001_b.sql": INDEX}))
    # THEN the index is the migration's own, and usable
    assert empty_database.query(valid) == [(True, False)]


def test_of_two_deployers_one_works_and_the_other_waits_and_then_finds_nothing_to_do(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    release = release_of({"001_a.sql": f"{TABLE}; SELECT pg_sleep(0.5)", "002_b.sql": INDEX})
    results: list[Result] = []
    threads = [threading.Thread(target=lambda: results.append(migrate(empty_database, release))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(result.applied) for result in results) == [0, 0, 0, 2]


def test_a_waiting_deployer_names_the_holder_and_gives_up_in_time(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    holder = empty_database.connect()
    with holder.cursor() as cursor:
        cursor.execute(QUERIES["try_lock"])
    pid = holder.info.backend_pid
    said: list[str] = []
    with pytest.raises(DeployInProgressError, match=rf"\(pid {pid}, since 20.*migrate again"):
        run(
            empty_database.connect,
            release_of({"001_a.sql": TABLE}),
            limits=RunLimits(deadline_s=0.5, poll_interval_s=0.1),
            report=lambda message, **_: said.append(message),
        )
    holder.close()
    assert f"waiting for unnamed (pid {pid}" in said[0]


def test_a_migration_waits_for_a_busy_table_in_short_turns_so_that_writers_get_through(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    # GIVEN a table that a transaction has written to and still holds
    empty_database.query(TABLE)
    busy = empty_database.connect()
    busy.autocommit = False
    with busy.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1, 1)")
    # WHEN a migration wants to change the table, and a writer comes after it
    worker = threading.Thread(
        target=migrate, args=(empty_database, release_of({"001_a.sql": "ALTER TABLE t ADD COLUMN c int"}))
    )
    worker.start()
    time.sleep(0.3)
    started = time.monotonic()
    empty_database.query("INSERT INTO t (a) VALUES (2)")
    waited_s = time.monotonic() - started
    # THEN the writer is let through long before the transaction ends
    assert worker.is_alive()
    busy.commit()
    busy.close()
    worker.join()
    assert waited_s < 2  # lock_timeout is 0.5 s; without one this would never end
    assert empty_database.query("SELECT count(c), count(*) FROM t") == [(0, 2)]


@pytest.mark.parametrize("rest", ["", "; CREATE INDEX CONCURRENTLY a_a ON a (a)"], ids=["one", "by statement"])
def test_a_statement_that_a_deadlock_undid_is_tried_again(
    empty_database: TestDatabase, release_of: ReleaseOf, rest: str
) -> None:
    # GIVEN a statement that is the victim of a deadlock at its first try; no rollback takes a sequence back
    empty_database.query("CREATE SEQUENCE tries")
    fails_once = (
        "DO $$ BEGIN IF nextval('tries') = 1 THEN RAISE EXCEPTION 'refused' USING ERRCODE = '40P01'; END IF; END $$"
    )
    release = release_of({"001_a.sql": f"CREATE TABLE a (a int); {fails_once}{rest}"})
    assert migrate(empty_database, release).applied == ("001_a.sql",)
    assert empty_database.query("SELECT last_value FROM tries") == [(2,)]


def test_roles_are_applied_on_every_run(empty_database: TestDatabase, release_of: ReleaseOf) -> None:
    release = release_of(
        {"roles.sql": "CREATE TABLE IF NOT EXISTS ran (a int); INSERT INTO ran VALUES (1)", "001_a.sql": TABLE}
    )
    migrate(empty_database, release)
    migrate(empty_database, release)
    assert empty_database.query("SELECT count(*) FROM ran") == [(2,)]
