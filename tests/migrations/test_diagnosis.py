"""004: what the doctor reads comes and goes; what may have been there before stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from handlers.migrator.runner import rollback, run
from tests.conftest import MIGRATIONS, build_release

if TYPE_CHECKING:
    from tests.conftest import TestDatabase

EXTENSION = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'"


def test_a_server_that_does_not_give_the_extension_does_not_stop_a_deployment(empty_database: TestDatabase) -> None:
    # GIVEN somebody who may create tables, but no extension
    empty_database.query(f'ALTER DATABASE "{empty_database.name}" OWNER TO postgres', user="postgres")
    empty_database.query("GRANT CREATE ON SCHEMA public TO scanner_admin", user="postgres")
    empty_database.query(f'GRANT TEMPORARY ON DATABASE "{empty_database.name}" TO scanner_admin', user="postgres")
    release = build_release(MIGRATIONS)
    run(empty_database.connect, replace(release, migrations=release.migrations[:3]))
    assert run(empty_database.connect, release).applied == ("004_grant_diagnosis.sql",)
    assert empty_database.query(EXTENSION) == [(0,)]


def test_a_server_that_gives_the_extension_has_it_after_a_deployment(empty_database: TestDatabase) -> None:
    # GIVEN somebody who may create it, as the master user on RDS may
    run(lambda: empty_database.connect("postgres"), build_release(MIGRATIONS))
    assert empty_database.query(EXTENSION) == [(1,)]


def test_an_extension_that_was_there_before_outlives_a_rollback(empty_database: TestDatabase) -> None:
    empty_database.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", user="postgres")
    run(empty_database.connect, build_release(MIGRATIONS))
    rollback(empty_database.connect, build_release(MIGRATIONS))
    assert empty_database.query(EXTENSION) == [(1,)]


def test_a_rollback_takes_every_right_of_the_doctor_back(database: TestDatabase) -> None:
    rights = (
        "SELECT count(*) FROM pg_shdepend JOIN pg_database AS d ON d.oid = dbid AND d.datname = current_database() "
        "WHERE refobjid = 'scanner_doctor'::regrole"
    )
    assert database.query(rights) > [(8,)]
    rollback(database.connect, build_release(MIGRATIONS))
    assert database.query(rights) == [(0,)]


def test_running_the_roles_again_changes_nothing(database: TestDatabase) -> None:
    members = (
        "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members "
        "WHERE member = 'scanner_doctor'::regrole ORDER BY 1"
    )
    before = database.query(members)
    assert before == [("pg_monitor", "scanner_doctor"), ("rds_iam", "scanner_doctor")]
    run(database.connect, build_release(MIGRATIONS))
    assert database.query(members) == before
