"""A run of migrate gives back each right that a restore or a DROP OWNED took, and takes no right of other roles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg2.errors
import pytest

from handlers.errors import UnfitDatabaseError
from handlers.migrator.runner import run
from tests.support.database import MIGRATIONS, build_release
from tests.support.migrating import migrate, roll_back_to
from tests.support.old_deployment import create_analyst

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

ROLES = "scanner_app, progress_refresher, progress_reader, scanner_doctor"
RIGHTS = """
SELECT object, grantee::regrole::text, privilege_type, is_grantable
FROM (SELECT oid::regclass::text AS object, relacl AS acl FROM pg_class WHERE relnamespace = 'public'::regnamespace
      UNION ALL
      SELECT attrelid::regclass || '.' || attname, attacl FROM pg_attribute WHERE attacl IS NOT NULL
      UNION ALL
      SELECT oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace AND proname !~ '^pg_stat_statements'
      UNION ALL
      SELECT 'database', datacl FROM pg_database WHERE datname = current_database()) AS objects
CROSS JOIN aclexplode(acl) AS rights
WHERE grantee <> 'scanner_admin'::regrole
ORDER BY 1, 2, 3
"""
# What `pg_restore --no-privileges` leaves: the defaults of PostgreSQL, by which PUBLIC may execute each function.
WITHOUT_PRIVILEGES = f"""
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {ROLES};
REVOKE ALL (job_id, bucket, prefix, execution_arn, created_at, updated_at) ON jobs FROM {ROLES};
REVOKE ALL (job_id, status, updated_at) ON job_objects FROM {ROLES};
REVOKE ALL (job_id) ON findings FROM {ROLES};
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {ROLES};
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM {ROLES};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO public;
"""


@pytest.mark.parametrize("loss", [WITHOUT_PRIVILEGES, f"DROP OWNED BY {ROLES}"], ids=["restore", "drop owned"])
def test_rights_that_were_lost_are_given_back_although_nothing_is_pending(database: TestDatabase, loss: str) -> None:
    migrate(database)  # the database's CONNECT is no part of the template
    before = database.query(RIGHTS)
    assert len(before) > 60
    database.query(loss, user="postgres")
    lost = database.query(RIGHTS)
    assert lost != before
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.query("SELECT * FROM jobs", user="scanner_app")
    migrate(database)
    assert database.query(RIGHTS) == before


@pytest.mark.parametrize("role", ["scanner_app", "progress_reader", "scanner_doctor"])
def test_after_a_restore_and_a_run_no_other_role_may_rebuild(database: TestDatabase, role: str) -> None:
    database.query(WITHOUT_PRIVILEGES)
    database.query("SELECT rebuild_job_progress()", user="scanner_app")
    migrate(database)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.query("SELECT rebuild_job_progress()", user=role)


def test_public_may_execute_no_function_that_runs_with_its_owners_rights(database: TestDatabase) -> None:
    assert (
        database.query(
            "SELECT oid::regprocedure FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace "
            "AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0))"
        )
        == []
    )


def test_rights_of_other_roles_stay_as_they_are(database: TestDatabase) -> None:
    create_analyst(database)
    database.query(
        "GRANT SELECT ON findings, job_progress TO analyst WITH GRANT OPTION;"
        "GRANT EXECUTE ON FUNCTION rebuild_job_progress() TO analyst;"
        "GRANT SELECT ON job_progress TO public;"
        "GRANT TRUNCATE ON findings TO scanner_app"
    )
    database.query("SET ROLE analyst; GRANT SELECT ON job_progress TO progress_reader", user="postgres")
    before = database.query(RIGHTS)
    migrate(database)
    assert set(before) <= set(database.query(RIGHTS))
    database.query("SET ROLE analyst; SELECT context FROM findings", user="postgres")


def test_a_run_with_every_right_in_place_writes_none(database: TestDatabase) -> None:
    migrate(database)
    versions = (
        "SELECT array_agg(xmin::text ORDER BY oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "UNION ALL SELECT array_agg(xmin::text ORDER BY oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "AND proname NOT IN ('expected_rights', 'grant_rights')"
    )
    before = database.query(versions)
    migrate(database)
    assert database.query(versions) == before


def test_a_login_that_was_dropped_and_made_again_has_its_rights_and_settings(database: TestDatabase) -> None:
    database.query("ALTER ROLE progress_reader RENAME TO former_reader", user="postgres")
    try:
        database.query("CREATE ROLE progress_reader")
        database.query("ALTER ROLE progress_reader LOGIN")
        migrate(database)
        assert database.query("SELECT * FROM job_progress_live", user="progress_reader") == []
        assert database.query("SHOW statement_timeout", user="progress_reader") == [("2s",)]
        assert database.query("SELECT pg_has_role('progress_reader', 'rds_iam', 'MEMBER')") == [(True,)]
    finally:
        database.query("DROP OWNED BY progress_reader", user="postgres")
        database.query("DROP ROLE progress_reader", user="postgres")
        database.query("ALTER ROLE former_reader RENAME TO progress_reader", user="postgres")


def test_a_schema_that_public_may_not_use_is_opened_to_the_roles(database: TestDatabase) -> None:
    database.query("REVOKE USAGE ON SCHEMA public FROM public")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.query("SELECT * FROM public.job_progress", user="progress_reader")
    migrate(database)
    assert database.query("SELECT * FROM public.job_progress", user="progress_reader") == []


def test_a_sequence_of_another_name_is_granted_too(database: TestDatabase) -> None:
    database.query("ALTER SEQUENCE findings_id_seq RENAME TO hits_number")
    database.query("REVOKE ALL ON SEQUENCE hits_number FROM scanner_app")
    migrate(database)
    database.query("SELECT nextval('hits_number')", user="scanner_app")


def test_an_object_of_another_owner_stops_the_run_with_what_an_administrator_can_do(database: TestDatabase) -> None:
    database.query("ALTER TABLE findings OWNER TO postgres", user="postgres")
    database.query("REVOKE INSERT ON findings FROM scanner_app", user="postgres")
    with pytest.raises(UnfitDatabaseError) as refused:
        migrate(database)
    assert "public.findings: belongs to postgres" in str(refused.value)
    assert "an administrator can run GRANT postgres TO scanner_admin" in str(refused.value)


def test_what_an_older_deployment_lets_public_do_stays_until_its_function_is_replaced(old: TestDatabase) -> None:
    release = build_release(MIGRATIONS)
    for _ in range(2):
        run(old.connect, replace(release, migrations=release.migrations[:1]))
    public = "SELECT count(*) FROM pg_proc, aclexplode(proacl) WHERE proname = 'refresh_job_progress' AND grantee = 0"
    assert old.query(public) == [(1,)]
    run(old.connect, release)
    assert old.query(public) == [(0,)]


def test_a_run_after_a_rollback_of_004_gives_the_doctor_nothing_before_004_does(database: TestDatabase) -> None:
    rights = "SELECT count(*) FROM (" + RIGHTS.strip() + ") AS rights WHERE grantee = 'scanner_doctor'"
    roll_back_to(database, 3)
    release = build_release(MIGRATIONS)
    run(database.connect, replace(release, migrations=release.migrations[:3]))
    assert database.query(rights) == [(1,)]  # CONNECT
    migrate(database)
    assert database.query(rights) > [(15,)]
