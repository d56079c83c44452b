"""What is examined around the tables: the server, rights, roles, replication, defaults, and older views."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from handlers.errors import UnfitDatabaseError
from handlers.migrator.examination.checks import RELATIONS
from handlers.migrator.runner import run
from handlers.migrator.steps import migration_plan
from lab.embedded_postgres import ADMIN_USER, EmbeddedPostgres
from tests.support.database import BUILD, MIGRATIONS, TestDatabase, build_release
from tests.support.migrating import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handlers.migrator.examination import ExaminationFinding

pytestmark = pytest.mark.slow

# From this version on a role that may create roles may change and grant only those that it is administrator of.
ADMIN_OPTION_SINCE = 16


@pytest.fixture
def login(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A login that may nothing but connect; it is dropped with all that it made."""
    name = f"login_{uuid4().hex[:8]}"
    everywhere = TestDatabase(postgres, "postgres")
    everywhere.query(f"CREATE ROLE {name} LOGIN", user="postgres")
    yield name
    everywhere.query(f"ALTER ROLE {name} NOLOGIN", user="postgres")


def examine(database: TestDatabase, user: str = ADMIN_USER) -> dict[str, ExaminationFinding]:
    """Return what `plan` finds, by check; the last one of each."""
    planned = migration_plan(build_release(MIGRATIONS), lambda: database.connect(user))
    return {finding.check: finding for finding in planned.findings}


def test_a_table_of_another_owner_is_refused_with_the_grant_that_helps(
    empty_database: TestDatabase, login: str
) -> None:
    # GIVEN the tables of another login, in its own right
    empty_database.query(f"GRANT CREATE ON SCHEMA public TO {login}")
    empty_database.query(
        "CREATE TABLE jobs (job_id uuid PRIMARY KEY, bucket text, prefix text, execution_arn text, "
        "created_at timestamptz, updated_at timestamptz)",
        user=login,
    )
    # WHEN it is migrated by one that is no member of that role
    with pytest.raises(UnfitDatabaseError) as refused:
        migrate(empty_database)
    # THEN the way out is the one that works
    owners = examine(empty_database)["owners"]
    assert f"public.jobs: belongs to {login}. " in str(refused.value)
    statement = owners.way_out.removeprefix("Its owner or an administrator can run ").removesuffix(".")
    empty_database.query(statement, user="postgres")
    migrate(empty_database)


def test_a_function_of_another_owner_is_refused_with_the_grant_that_helps(old: TestDatabase) -> None:
    old.query("ALTER FUNCTION refresh_job_progress() OWNER TO postgres", user="postgres")
    finding = examine(old)["owners"]
    assert (finding.subject, finding.value) == ("public.refresh_job_progress()", "belongs to postgres")
    assert finding.refuses


def test_a_login_that_may_not_create_in_public_is_refused_with_the_grant_that_helps(
    empty_database: TestDatabase, login: str
) -> None:
    finding = examine(empty_database, login)["schema"]
    assert (finding.value, finding.refuses) == (
        f"belongs to pg_database_owner, and {login} may not create in it",
        True,
    )
    assert f"GRANT USAGE, CREATE ON SCHEMA public TO {login}" in finding.way_out
    empty_database.query(f"GRANT USAGE, CREATE ON SCHEMA public TO {login}")
    assert "schema" not in examine(empty_database, login)


def test_a_database_without_the_schema_public_is_refused(empty_database: TestDatabase) -> None:
    empty_database.query("DROP SCHEMA public", user="postgres")
    finding = examine(empty_database)["schema"]
    assert (finding.value, "CREATE SCHEMA public AUTHORIZATION scanner_admin" in finding.way_out) == ("missing", True)


def test_a_login_that_may_not_set_the_roles_up_is_refused_with_what_helps(
    empty_database: TestDatabase, database: TestDatabase, login: str
) -> None:
    # GIVEN the roles, which another login made for another database of the server
    assert database.query("SELECT to_regrole('scanner_app') IS NULL") == [(False,)]
    finding = examine(empty_database, login)["roles"]
    assert finding.refuses
    assert f"ALTER ROLE {login} CREATEROLE" in finding.way_out
    database.query(f"ALTER ROLE {login} CREATEROLE", user="postgres")
    if database.server.version < ADMIN_OPTION_SINCE:
        assert "roles" not in examine(empty_database, login)
        return
    assert "WITH ADMIN OPTION" in examine(empty_database, login)["roles"].way_out
    # WHEN each way out is taken
    for role in ("scanner_app", "progress_refresher", "progress_reader", "scanner_doctor"):
        database.query(f"GRANT {role} TO {login} WITH ADMIN OPTION", user="postgres")
    # THEN none is left: who is in pg_monitor and rds_iam already needs no grant
    assert "roles" not in examine(empty_database, login)


def test_a_login_that_does_not_see_other_sessions_is_told_with_the_grant_that_helps(
    empty_database: TestDatabase, login: str
) -> None:
    finding = examine(empty_database, login)["sessions"]
    assert (finding.subject, finding.refuses) == (f"login {login}", False)
    statement = finding.way_out.removeprefix("An administrator can run ").removesuffix(".")
    empty_database.query(statement, user="postgres")
    assert "sessions" not in examine(empty_database, login)


def test_each_relation_that_the_migrations_make_is_examined_under_its_name(database: TestDatabase) -> None:
    made = database.query(
        "SELECT relname, CASE relkind WHEN 'r' THEN 't' ELSE relkind::text END FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm') "
        "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')"
    )
    beside = {"job_progress_next"}  # has another name when the migration has ended
    assert set(made) == {(name, kind) for name, kind in RELATIONS.items() if name not in beside}


def test_a_superuser_may_do_all_of_it(database: TestDatabase) -> None:
    assert examine(database, "postgres") == {}


@pytest.mark.parametrize(
    ("publication", "value"),
    [
        ("FOR ALL TABLES", "FOR ALL TABLES"),
        ("FOR TABLES IN SCHEMA public", "FOR TABLES IN SCHEMA public"),
        ("FOR TABLE jobs, job_objects", "FOR TABLE job_objects, jobs"),
    ],
)
def test_a_publication_of_our_tables_is_told_with_what_to_replicate(
    database: TestDatabase, publication: str, value: str
) -> None:
    database.query(
        f"CREATE TABLE other (a int); CREATE PUBLICATION others FOR TABLE other; CREATE PUBLICATION p {publication}",
        user="postgres",
    )
    (finding,) = examine(database).values()
    assert (finding.subject, finding.value, finding.refuses) == ("publication p", value, False)
    assert "FOR TABLE jobs, job_objects, findings" in finding.way_out


def test_a_subscriber_of_our_tables_is_refused(database: TestDatabase) -> None:
    database.query(
        "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p "
        "WITH (connect = false, slot_name = NONE)",
        user="postgres",
    )
    assert examine(database) == {}
    # GIVEN what ALTER SUBSCRIPTION ... REFRESH and ENABLE would write, had it a publisher
    database.query(
        "UPDATE pg_subscription SET subenabled = true;"
        "INSERT INTO pg_subscription_rel SELECT oid, 'job_objects'::regclass, 'r' FROM pg_subscription",
        user="postgres",
    )
    finding = examine(database)["subscriptions"]
    assert (finding.subject, finding.value, finding.refuses) == ("subscription s", "fills public.job_objects", True)
    database.query("ALTER SUBSCRIPTION s DISABLE", user="postgres")
    database.query("DROP SUBSCRIPTION s", user="postgres")
    assert examine(database) == {}


def test_a_standby_is_refused(postgres: EmbeddedPostgres) -> None:
    # GIVEN a copy of a stopped server that starts as a standby
    directory = BUILD / f"postgres-standby-{os.getpid()}"
    with EmbeddedPostgres(directory, durable=False, version=postgres.version) as server:
        server.stop()
        (server.data / "standby.signal").touch()
        server.start()
        with pytest.raises(
            UnfitDatabaseError, match=r"the server: a standby. It takes no change. Next: Connect to the pri"
        ):
            run(TestDatabase(server, "scanner_db").connect, build_release(MIGRATIONS))
        assert examine(TestDatabase(server, "scanner_db"))["standby"].refuses
    shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("where", "setting", "value"),
    [
        (
            "ROLE {login} IN DATABASE {database}",
            "session_replication_role = replica",
            "session_replication_role=replica",
        ),
        ("DATABASE {database}", "default_transaction_read_only = on", "default_transaction_read_only=on"),
        (
            "DATABASE {database}",
            "default_transaction_isolation = 'repeatable read'",
            "default_transaction_isolation=repeatable read",
        ),
        ("DATABASE {database}", "search_path = app, published", "search_path=app, published"),
        ("ROLE scanner_app IN DATABASE {database}", "search_path = app", "search_path=app"),
        (
            "ROLE progress_refresher IN DATABASE {database}",
            "default_transaction_read_only = on",
            "default_transaction_read_only=on",
        ),
    ],
)
def test_a_default_under_which_writes_fail_or_are_not_counted_is_told(
    database: TestDatabase, login: str, where: str, setting: str, value: str
) -> None:
    scope = where.format(database=database.name, login=login)
    database.query(f"ALTER {scope} SET {setting}", user="postgres")
    finding = examine(database)["defaults"]
    assert (finding.subject, finding.value, finding.refuses) == (scope, value, False)
    database.query(finding.way_out.removesuffix(", where it is not meant."), user="postgres")
    assert examine(database) == {}


@pytest.mark.parametrize(
    "scope",
    [
        "ROLE {login} IN DATABASE {database} SET default_transaction_read_only = on",
        "ROLE {login} IN DATABASE {database} SET search_path = app",
        "ROLE {login} IN DATABASE postgres SET session_replication_role = replica",
    ],
)
def test_a_default_of_others_is_not_told(database: TestDatabase, login: str, scope: str) -> None:
    database.query(f"ALTER {scope.format(login=login, database=database.name)}", user="postgres")
    assert examine(database) == {}


@pytest.mark.parametrize(
    "setting",
    [
        "search_path = app, public",
        "default_transaction_read_only = off",
        "default_transaction_isolation = 'read committed'",
    ],
)
def test_a_default_that_does_no_harm_is_not_told(database: TestDatabase, setting: str) -> None:
    database.query(f"ALTER DATABASE {database.name} SET {setting}")
    assert examine(database) == {}


@pytest.mark.parametrize(
    ("make", "value", "way_out"),
    [
        (
            "CREATE FUNCTION f() RETURNS SETOF job_progress LANGUAGE sql AS 'SELECT * FROM job_progress'",
            "function public.f() depends on it",
            "DROP FUNCTION f()",
        ),
        (
            "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM team_dashboard; END",
            "function public.f() depends on it",
            "DROP FUNCTION f()",
        ),
        (
            "CREATE TABLE kept (row job_statistics[])",
            "column row of table public.kept depends on it",
            "DROP TABLE kept",
        ),
        (
            "CREATE TABLE t (a int); CREATE RULE r AS ON INSERT TO t DO ALSO SELECT * FROM team_dashboard",
            "has a rule that reads a view that is replaced",
            "DROP RULE r ON t",
        ),
        (
            "CREATE TABLE t (a text); CREATE POLICY p ON t USING (a IN (SELECT bucket FROM job_progress))",
            "policy p on table public.t depends on it",
            "DROP POLICY p ON t",
        ),
    ],
)
def test_what_depends_on_an_older_view_and_cannot_be_built_again_is_refused(
    old: TestDatabase, make: str, value: str, way_out: str
) -> None:
    old.query(make)
    finding = examine(old)["older_views"]
    assert (finding.value, finding.refuses) == (value, True)
    with pytest.raises(UnfitDatabaseError):
        migrate(old)
    assert old.query("SELECT to_regclass('schema_migrations')") == [(None,)]
    old.query(way_out)
    migrate(old)
    assert old.query("SELECT count(*) FROM team_dashboard") == [(3,)]


def test_a_view_on_a_column_that_the_new_view_lacks_is_refused(old: TestDatabase) -> None:
    old.query("DROP MATERIALIZED VIEW job_progress CASCADE")
    old.query("CREATE MATERIALIZED VIEW job_progress AS SELECT job_id, bucket, 1 AS extra FROM jobs")
    old.query(
        "CREATE VIEW report AS SELECT extra FROM job_progress; CREATE VIEW kept AS SELECT bucket FROM job_progress"
    )
    findings = [found for found in migration_plan(build_release(MIGRATIONS), old.connect).findings if found.refuses]
    assert [(found.subject, found.value) for found in findings] == [
        ("public.job_progress", "public.report reads its column extra, which the new view does not have")
    ]
    old.query("DROP VIEW report")
    migrate(old)
    assert old.query("SELECT count(*) FROM kept") == [(3,)]


def test_what_reads_a_migrated_view_is_nobodys_business(database: TestDatabase) -> None:
    database.query("CREATE FUNCTION f() RETURNS SETOF job_progress LANGUAGE sql AS 'SELECT * FROM job_progress'")
    assert examine(database) == {}
