"""004: what the doctor reads comes and goes; what may have been there before stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg2
import pytest

from handlers.migrator.runner import run
from lab.embedded_postgres import RESERVED_CONNECTIONS_SINCE
from tests.support.database import MIGRATIONS, build_release
from tests.support.migrating import roll_back_to
from tests.support.schema import schema

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

EXTENSION = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'"


def test_a_server_that_does_not_give_the_extension_does_not_stop_a_deployment(empty_database: TestDatabase) -> None:
    # GIVEN somebody who may create tables, but no extension
    empty_database.query(f'ALTER DATABASE "{empty_database.name}" OWNER TO postgres', user="postgres")
    empty_database.query("GRANT CREATE ON SCHEMA public TO scanner_admin", user="postgres")
    empty_database.query(f'GRANT TEMPORARY ON DATABASE "{empty_database.name}" TO scanner_admin', user="postgres")
    release = build_release(MIGRATIONS)
    run(empty_database.connect, replace(release, migrations=release.migrations[:3]))
    up_to_004 = replace(release, migrations=release.migrations[:4])
    assert run(empty_database.connect, up_to_004).applied == ("004_grant_diagnosis.sql",)
    assert empty_database.query(EXTENSION) == [(0,)]


def test_a_server_that_gives_the_extension_has_it_after_a_deployment(empty_database: TestDatabase) -> None:
    # GIVEN somebody who may create it, as the master user on RDS may
    run(lambda: empty_database.connect("postgres"), build_release(MIGRATIONS))
    assert empty_database.query(EXTENSION) == [(1,)]


def test_an_extension_that_was_there_before_outlives_a_rollback(empty_database: TestDatabase) -> None:
    empty_database.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", user="postgres")
    run(empty_database.connect, build_release(MIGRATIONS))
    roll_back_to(empty_database, 3)
    assert empty_database.query(EXTENSION) == [(1,)]


def test_a_rollback_takes_every_right_of_the_doctor_back(database: TestDatabase) -> None:
    rights = (
        "SELECT count(*) FROM pg_shdepend JOIN pg_database AS d ON d.oid = dbid AND d.datname = current_database() "
        "WHERE refobjid = 'scanner_doctor'::regrole"
    )
    assert database.query(rights) > [(8,)]
    roll_back_to(database, 3)
    assert database.query(rights) == [(0,)]


def test_running_the_roles_again_changes_nothing(database: TestDatabase) -> None:
    members = (
        "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members "
        "WHERE member = 'scanner_doctor'::regrole ORDER BY 1"
    )
    before = database.query(members)
    has_reserved = database.server.version >= RESERVED_CONNECTIONS_SINCE
    assert before == [
        ("pg_monitor", "scanner_doctor"),
        *([("pg_use_reserved_connections", "scanner_doctor")] if has_reserved else []),
        ("rds_iam", "scanner_doctor"),
    ]
    run(database.connect, build_release(MIGRATIONS))
    assert database.query(members) == before


@pytest.mark.parametrize(
    "dropped", ["MATERIALIZED VIEW job_progress CASCADE", "VIEW job_statistics", "VIEW active_jobs_progress"]
)
def test_what_somebody_dropped_is_restored_as_it_was(database: TestDatabase, dropped: str) -> None:
    database.add_job({"queued": 2})
    before = schema(database)
    database.query(f"DROP {dropped}")
    database.query("SELECT restore_job_progress()")
    assert schema(database) == before


def test_a_restored_view_is_refreshed_and_read_as_before(database: TestDatabase) -> None:
    job_id = database.add_job({"queued": 1})
    database.query("DROP MATERIALIZED VIEW job_progress CASCADE")
    names = ["job_progress", "active_jobs_progress", "job_statistics"]
    assert database.query("SELECT restore_job_progress()") == [(names,)]
    database.query("SELECT refresh_job_progress()", user="progress_refresher")
    assert database.query("SELECT job_id::text FROM active_jobs_progress", user="progress_reader") == [(job_id,)]
    assert database.query("SELECT restore_job_progress()") == [([],)]


@pytest.mark.parametrize("role", ["progress_refresher", "progress_reader", "scanner_doctor", "scanner_app"])
def test_nobody_but_the_owner_restores(database: TestDatabase, role: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.query("SELECT restore_job_progress()", user=role)


def test_a_login_that_may_not_lend_reserved_connections_migrates_all_the_same(empty_database: TestDatabase) -> None:
    if empty_database.server.version < RESERVED_CONNECTIONS_SINCE:
        pytest.skip("this version has no such role")
    run(empty_database.connect, build_release(MIGRATIONS))
    member = (
        "SELECT 1 FROM pg_auth_members WHERE roleid = 'pg_use_reserved_connections'::regrole "
        "AND member = 'scanner_doctor'::regrole"
    )
    empty_database.query(
        "REVOKE pg_use_reserved_connections FROM scanner_doctor, rds_superuser CASCADE", user="postgres"
    )
    try:
        run(empty_database.connect, build_release(MIGRATIONS))
        assert empty_database.query(member) == []
    finally:
        grant = "GRANT pg_use_reserved_connections TO rds_superuser WITH ADMIN OPTION"
        empty_database.query(grant, user="postgres")
        run(empty_database.connect, build_release(MIGRATIONS))
    assert empty_database.query(member) == [(1,)]
