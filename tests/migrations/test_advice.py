"""A statement that failed is followed by the step that its cause asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest

from handlers.errors import DatabaseUnavailableError, MigrationFailedError
from handlers.migrator.advice import connecting_step
from handlers.migrator.runner import rollback, run
from handlers.migrator.session import RunLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.contract.release import Release
    from tests.support.database import TestDatabase

    ReleaseOf = Callable[[dict[str, str]], Release]

FAST = RunLimits(poll_interval_s=0.2, lock_timeout_ms=50, lock_patience_s=0)


def failure(database: TestDatabase, release: Release) -> str:
    """Return the last line of what a run says that fails."""
    with pytest.raises(MigrationFailedError) as error:
        run(database.connect, release, limits=FAST)
    return str(error.value).splitlines()[-1]


def raising(code: str, *, hint: str = "") -> str:
    using = f", HINT = '{hint}'" if hint else ""
    return f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'{using}; END $$"


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("08006", "The connection was lost. When the database answers, migrate again."),
        ("25006", "Connect to the writer: the instance's own endpoint, or the cluster endpoint of Aurora."),
        ("42501", "The owner of the object that the message names, or an administrator, can grant it (BYPASSRLS,"),
        (
            "53100",
            "The server's disk is full. Add or free space (database.max_allocated_storage_gib), then migrate again.",
        ),
        ("53200", "The server is out of memory."),
        ("53300", "The server is out of connections. End idle sessions, then migrate again."),
        ("53400", "The server is out of a resource that the message names."),
        ("57014", "Another session cancelled the statement."),
        ("40001", "Another session changed the same rows at the same time. When it has ended, migrate again."),
        ("40P01", "End those that `scannerdb doctor lock-waits` names, then migrate again."),
        ("55P03", "End those that `scannerdb doctor lock-waits` names, then migrate again."),
        ("42P06", "An object of this name exists and is another one."),
        ("42P07", "An object of this name exists and is another one."),
        ("42710", "An object of this name exists and is another one."),
        ("42723", "An object of this name exists and is another one."),
        ("2BP01", "Other objects depend on what the statement drops."),
        ("55006", "Another session uses the object that the message names. When it has ended, migrate again."),
        ("57P01", "The connection was lost. When the database answers, migrate again."),
        ("58030", "The server could not read or write a file. Its log says more."),
        ("XX001", "The server failed inside. Its log says more; ask who runs it, then migrate again."),
        ("P0001", "A function or an event trigger refused the statement. Do what its message asks for, then"),
        ("22P02", "Correct the rows that the message names, or the file, then migrate again."),
        ("23505", "Correct the rows that the message names, or the file, then migrate again."),
    ],
)
def test_the_file_is_not_blamed_for_what_the_error_code_says(
    empty_database: TestDatabase, release_of: ReleaseOf, code: str, advice: str
) -> None:
    said = failure(empty_database, release_of({"001_a.sql": raising(code)}))
    assert advice in said
    assert "Correct the file and" not in said
    assert said.endswith("What is recorded in schema_migrations stays applied.")


def test_a_statement_that_postgresql_does_not_understand_is_the_files_fault(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    said = failure(empty_database, release_of({"001_a.sql": "ALTER TABLE missing ADD a int"}))
    assert said.startswith("Correct the file and migrate again.")


def test_a_table_of_another_owner_is_named_with_its_owner(empty_database: TestDatabase, release_of: ReleaseOf) -> None:
    empty_database.query("CREATE TABLE theirs (a int)", user="postgres")
    said = failure(empty_database, release_of({"001_a.sql": "ALTER TABLE theirs ADD b int"}))
    assert said.startswith("theirs belongs to postgres. An administrator can run GRANT postgres TO scanner_admin, then")


def test_a_lock_that_is_not_to_be_had_leads_to_the_sessions_that_hold_it(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    empty_database.query("CREATE TABLE t (a int)")
    holder = empty_database.connect()
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE t")
    said = failure(empty_database, release_of({"001_a.sql": "ALTER TABLE t ADD b int"}))
    holder.close()
    assert "End those that `scannerdb doctor lock-waits` names, then migrate again." in said


def test_an_error_that_brings_its_own_way_out_gets_no_second_one(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    hinted = release_of({"001_a.sql": raising("P0001", hint="Rename it, and migrate again.")})
    assert failure(empty_database, hinted) == "What is recorded in schema_migrations stays applied."


@pytest.mark.parametrize(
    ("before", "sql", "advice"),
    [
        (
            "",
            "SELECT set_config('transaction_read_only', 'on', true); CREATE TABLE u (a int)",
            "The server may only be read. Connect to the writer",
        ),
        ("CREATE TABLE u (b text)", "CREATE TABLE u (a int)", "An object of this name exists and is another one."),
        (
            "CREATE TABLE u (a int); CREATE VIEW theirs AS SELECT * FROM u",
            "DROP TABLE u",
            "Other objects depend on what the statement drops.",
        ),
        ("CREATE TABLE u AS SELECT 'x' AS a", "ALTER TABLE u ALTER a TYPE int USING a::int", "Rows contradict the"),
        (
            "CREATE TABLE u (a int); ALTER TABLE u ENABLE ROW LEVEL SECURITY; ALTER TABLE u FORCE ROW LEVEL SECURITY",
            "SELECT * FROM u",
            "can grant it (BYPASSRLS, where the message names row-level security), then migrate again.",
        ),
        (
            "",
            "CREATE TABLE u (a int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED); INSERT INTO u VALUES (1), (1)",
            "Rows contradict the statement.",
        ),
    ],
)
def test_the_cause_is_told_with_its_own_next_step(
    empty_database: TestDatabase, release_of: ReleaseOf, before: str, sql: str, advice: str
) -> None:
    if before:
        empty_database.query(before)
    assert advice in failure(empty_database, release_of({"001_a.sql": sql}))


def test_a_ledger_that_the_user_may_not_read_is_a_missing_right_of_his(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    run(empty_database.connect, release_of({"001_a.sql": "SELECT 1"}))
    empty_database.query("ALTER TABLE schema_migrations OWNER TO postgres", user="postgres")
    said = failure(empty_database, release_of({"001_a.sql": "SELECT 1"}))
    assert said.startswith("scanner_admin lacks a right. The owner of the object that the message names")


def test_a_server_without_a_second_connection_is_told_with_what_a_run_needs(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    empty_database.query("ALTER ROLE scanner_admin CONNECTION LIMIT 1", user="postgres")
    try:
        with pytest.raises(DatabaseUnavailableError, match="too many connections for role") as error:
            run(empty_database.connect, release_of({"001_a.sql": "SELECT 1"}))
    finally:
        empty_database.query("ALTER ROLE scanner_admin CONNECTION LIMIT -1", user="postgres")
    assert str(error.value).splitlines()[-1].startswith("A run takes two connections. End idle sessions")


@pytest.mark.parametrize(
    "refusal",
    [
        "FATAL:  sorry, too many clients already",
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'FATAL:  too many connections for database "scanner_db"',
    ],
)
def test_each_way_of_having_no_connection_left_is_told_so(refusal: str) -> None:
    assert connecting_step(psycopg2.OperationalError(refusal)).startswith("A run takes two connections.")
    assert connecting_step(psycopg2.OperationalError("Connection refused")) == ""


def test_a_rollback_that_fails_is_told_to_roll_back_again(empty_database: TestDatabase, release_of: ReleaseOf) -> None:
    release = release_of({"001_a.sql": "SELECT 1", "001_a.down.sql": "DROP TABLE missing"})
    run(empty_database.connect, release)
    with pytest.raises(MigrationFailedError) as error:
        rollback(empty_database.connect, release)
    said = "Correct the file and roll back again. A migrate before that applies the migration again."
    assert str(error.value).splitlines()[-1] == said
