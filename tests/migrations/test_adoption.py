"""A database that older deployments made is taken over, and nothing that anybody built on it is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from handlers.errors import ForeignLedgerError, MigrationFailedError, UnfitDatabaseError
from handlers.migrator.runner import rollback, run
from handlers.migrator.steps import migration_plan
from tests.support.database import MIGRATIONS, build_release
from tests.support.migrating import migrate
from tests.support.old_deployment import OLD_DEPLOYMENT, OLD_TABLES, ROWS, create_analyst, create_role

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

TABLES = ("jobs", "job_objects", "findings")
# Before this version only its owner may refresh a view; later the right can be granted.
MAINTAIN_SINCE = 17


def content(database: TestDatabase) -> dict[str, Any]:
    return {table: database.query(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in TABLES}


def test_no_row_index_trigger_or_view_of_the_old_deployment_is_lost(old: TestDatabase) -> None:
    things = {
        "files": "SELECT relname, relfilenode FROM pg_class WHERE relname IN ('jobs', 'job_objects', 'findings')",
        "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('jobs', 'job_objects', 'findings')",
        "triggers": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname NOT LIKE 'track_%'",
        "views": "SELECT pg_get_viewdef('job_summary'::regclass)",
    }
    before = {name: set(old.query(sql)) for name, sql in things.items()}, content(old)
    migrate(old)
    assert ({name: set(old.query(sql)) for name, sql in things.items()}, content(old)) == before


def test_a_million_rows_are_adopted_without_rewriting_one(empty_database: TestDatabase) -> None:
    # GIVEN the tables without their indexes, which are quicker to build afterwards, and a million objects
    tables, indexes = [], []
    for statement in OLD_DEPLOYMENT.split(";\n"):
        later = "CREATE INDEX" in statement and " ON job_objects " in statement
        (indexes if later else tables).append(statement)
    create_analyst(empty_database)
    empty_database.query(";\n".join(tables))
    empty_database.query(
        "INSERT INTO jobs (bucket) SELECT 'bucket-' || n FROM generate_series(1, 10) AS n;"
        "INSERT INTO job_objects (job_id, bucket, key, etag, status) "
        "SELECT job_id, bucket, n::text, 'e', CASE WHEN n % 4 = 0 THEN 'queued' ELSE 'succeeded' END "
        "FROM jobs, generate_series(1, 100000) AS n"
    )
    empty_database.query(";\n".join(indexes))
    checksum = "SELECT count(*), sum(hashtextextended(o::text, 0)), sum(xmin::text::bigint) FROM job_objects AS o"
    before = empty_database.query(checksum)
    # WHEN it is migrated
    migrate(empty_database)
    # THEN every row is what it was, in the version it was, and counted
    assert empty_database.query(checksum) == before
    assert empty_database.query("SELECT total_jobs, total_objects_all_jobs FROM job_statistics") == [(10, 1_000_000)]
    assert empty_database.query("SELECT sum(objects) FROM team_dashboard") == [(1_000_000,)]


def test_the_new_view_answers_under_the_old_names(old: TestDatabase) -> None:
    migrate(old)
    progress = (
        "SELECT bucket, total_objects, queued_count, total_findings, progress_percent FROM job_progress ORDER BY 1"
    )
    assert old.query(progress) == [("empty", 0, 0, 0, 0), ("one", 100, 25, 3, 75), ("two", 100, 25, 0, 75)]
    assert old.query("SELECT refreshed FROM refresh_job_progress()") == [(True,)]
    assert old.query("SELECT total_jobs, pending_jobs FROM job_statistics") == [(3, 1)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE proname LIKE '%job_progress' ORDER BY 1",
        "SELECT relname, pg_get_viewdef(oid) FROM pg_class WHERE relname IN %(views)s ORDER BY 1",
        "SELECT indexdef FROM pg_indexes WHERE indexname ~ 'idx_job_progress_(job_id|active)' ORDER BY 1",
    ],
)
def test_what_replaces_the_old_views_is_what_a_new_database_has(
    old: TestDatabase, database: TestDatabase, sql: str
) -> None:
    views = ("job_progress", "active_jobs_progress", "job_statistics")
    migrate(old)
    sql = sql.replace("%(views)s", str(views))
    assert old.query(sql) == database.query(sql)
    for view in views:
        old.query(f"SELECT * FROM {view}", user="progress_reader")


def test_old_helper_views_are_replaced_also_where_there_is_no_job_progress(old: TestDatabase) -> None:
    old.query("DROP MATERIALIZED VIEW job_progress CASCADE")
    old.query("CREATE VIEW job_statistics AS SELECT count(*) AS jobs FROM jobs")
    old.query("CREATE VIEW team_count AS SELECT jobs FROM job_statistics")
    with pytest.raises(
        UnfitDatabaseError, match=r"job_statistics: public.team_count reads its column jobs, which the new"
    ):
        migrate(old)
    assert old.query("SELECT jobs FROM team_count") == [(3,)]
    old.query("DROP VIEW team_count")
    migrate(old)
    assert old.query("SELECT total_jobs FROM job_statistics") == [(3,)]


def test_views_that_others_made_on_top_go_on_working_with_their_indexes_options_and_comments(old: TestDatabase) -> None:
    names = ("team_dashboard", "team_dashboard_top", "team_snapshot")
    definitions = (
        "SELECT relname, relkind, reloptions, pg_get_viewdef(oid), obj_description(oid) FROM pg_class "
        "WHERE relname IN %s ORDER BY 1"
    )
    before = old.query(definitions, (names,))
    migrate(old)
    assert old.query(definitions, (names,)) == before
    assert old.query("SELECT * FROM team_dashboard ORDER BY 1") == [("empty", 0, 0), ("one", 100, 75), ("two", 100, 75)]
    assert old.query("SELECT total_jobs FROM team_dashboard_top") == [(3,)] * 3
    old.query("REFRESH MATERIALIZED VIEW team_snapshot")
    assert old.query("SELECT count(*) FROM team_snapshot") == [(3,)]


@pytest.mark.parametrize(
    "right",
    [
        "has_table_privilege('analyst', 'team_dashboard', 'SELECT WITH GRANT OPTION')",
        "has_column_privilege('analyst', 'team_dashboard_top', 'bucket', 'SELECT')",
        "has_column_privilege('analyst', 'job_progress', 'total_objects', 'SELECT')",
        "has_table_privilege('analyst', 'team_snapshot', 'SELECT')",
        "has_table_privilege('analyst', 'job_statistics', 'SELECT')",
        "has_function_privilege('analyst', 'refresh_job_progress()', 'EXECUTE')",
    ],
)
def test_every_grant_survives(old: TestDatabase, right: str) -> None:
    assert old.query(f"SELECT {right}") == [(True,)]
    migrate(old)
    assert old.query(f"SELECT {right}") == [(True,)]


def test_a_grant_that_was_not_given_is_not_given_now(old: TestDatabase) -> None:
    migrate(old)
    assert old.query("SELECT has_column_privilege('analyst', 'team_dashboard_top', 'total_jobs', 'SELECT')") == [
        (False,)
    ]


def test_what_cannot_be_built_again_stops_the_migration_and_nothing_is_lost(old: TestDatabase) -> None:
    old.query("CREATE FUNCTION f() RETURNS SETOF job_progress LANGUAGE sql AS 'SELECT * FROM job_progress'")
    with pytest.raises(UnfitDatabaseError, match=r"public.job_progress: function public.f\(\) depends on it"):
        migrate(old)
    assert old.query("SELECT to_regclass('team_dashboard_top') IS NULL, to_regclass('f') IS NULL") == [(False, True)]
    old.query("DROP FUNCTION f()")
    migrate(old)
    assert old.query("SELECT count(*) FROM team_dashboard") == [(3,)]


def test_a_rollback_of_what_never_took_the_old_views_place_leaves_them(old: TestDatabase) -> None:
    # GIVEN a migration that stopped there, for a reason that no examination sees
    old.query(
        "CREATE FUNCTION keep() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''kept''; END';"
        "CREATE EVENT TRIGGER keep ON ddl_command_start WHEN TAG IN ('DROP MATERIALIZED VIEW') EXECUTE FUNCTION keep()",
        user="postgres",
    )
    with pytest.raises(MigrationFailedError, match="kept"):
        migrate(old)
    old.query("DROP EVENT TRIGGER keep", user="postgres")
    # THEN the older views are still to be adopted, and nothing is to be restored
    planned = migration_plan(build_release(MIGRATIONS), old.connect)
    assert any(step.changes for step in planned.steps)
    assert not [finding for finding in planned.findings if finding.check == "restorable"]
    # AND a rollback leaves them
    rollback(old.connect, build_release(MIGRATIONS))
    assert old.query("SELECT to_regclass('job_progress') IS NULL, to_regclass('job_progress_next') IS NULL") == [
        (False, True)
    ]


def test_the_old_owner_may_go_on_reading_and_refreshing(empty_database: TestDatabase) -> None:
    create_analyst(empty_database)
    create_role(empty_database, "old_owner")
    empty_database.query("GRANT old_owner TO scanner_admin", user="postgres")
    empty_database.query("GRANT CREATE, USAGE ON SCHEMA public TO old_owner")
    empty_database.query(OLD_DEPLOYMENT, user="old_owner")
    migrate(empty_database)
    empty_database.query("SELECT refresh_job_progress()", user="old_owner")
    if empty_database.server.version >= MAINTAIN_SINCE:
        empty_database.query("REFRESH MATERIALIZED VIEW CONCURRENTLY job_progress", user="old_owner")
    else:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="must be owner of materialized view"):
            empty_database.query("REFRESH MATERIALIZED VIEW CONCURRENTLY job_progress", user="old_owner")
    assert empty_database.query("SELECT total_jobs FROM job_statistics", user="old_owner") == [(0,)]
    assert empty_database.query(
        "SELECT has_function_privilege('scanner_app', 'refresh_job_progress()', 'EXECUTE')"
    ) == [(False,)]


def test_a_view_of_a_stranger_stops_the_migration_with_the_way_out(old: TestDatabase) -> None:
    create_role(old, "stranger")
    old.query("ALTER VIEW team_dashboard_top OWNER TO stranger", user="postgres")
    with pytest.raises(
        UnfitDatabaseError, match=r"team_dashboard_top: belongs to stranger.*GRANT stranger TO scanner_admin"
    ):
        migrate(old)


def test_a_view_with_rules_is_not_taken_apart(old: TestDatabase) -> None:
    old.query("CREATE RULE keep AS ON DELETE TO team_dashboard DO INSTEAD NOTHING")
    with pytest.raises(UnfitDatabaseError, match=r"team_dashboard: has triggers or rules, which would be lost"):
        migrate(old)


def test_views_in_other_schemas_and_deep_chains_are_built_again(old: TestDatabase) -> None:
    old.query('CREATE SCHEMA "Reports"')
    old.query('CREATE VIEW "Reports".v0 AS SELECT * FROM job_progress')
    for depth in range(1, 8):
        old.query(f'CREATE VIEW "Reports".v{depth} AS SELECT * FROM "Reports".v{depth - 1}')
    old.query("""COMMENT ON COLUMN "Reports".v0.bucket IS 'where it was found'""")
    migrate(old)
    assert old.query('SELECT count(*) FROM "Reports".v7') == [(3,)]
    assert old.query("""SELECT col_description('"Reports".v0'::regclass, 2)""") == [("where it was found",)]


def test_a_log_with_a_key_of_its_own_is_taken_over(empty_database: TestDatabase) -> None:
    empty_database.query(
        "CREATE TABLE materialized_view_refresh_log "
        "(id serial PRIMARY KEY, view_name text, last_refreshed_at timestamp)"
    )
    migrate(empty_database)
    assert empty_database.query("SELECT view_name, total_jobs FROM materialized_view_refresh_log") == [
        ("job_progress", 0)
    ]


def test_a_table_under_the_name_of_the_view_is_refused_with_the_way_out(empty_database: TestDatabase) -> None:
    empty_database.query("CREATE TABLE job_progress (a int)")
    with pytest.raises(UnfitDatabaseError, match=r"ALTER TABLE public.job_progress RENAME TO"):
        migrate(empty_database)


def adoption_changes(database: TestDatabase) -> tuple[str, ...]:
    steps = migration_plan(build_release(MIGRATIONS), database.connect).steps
    return next(step.changes for step in steps if step.changes)


def test_any_status_counts_in_the_total_and_only_the_four_are_told_apart(empty_database: TestDatabase) -> None:
    # GIVEN a status of another type, with a value of its own
    empty_database.query("CREATE TYPE state AS ENUM ('queued', 'succeeded', 'skipped')")
    check = " CHECK (status IN ('queued', 'processing', 'succeeded', 'failed'))"
    empty_database.query(OLD_TABLES.replace("status text NOT NULL" + check, "status state"))
    empty_database.query(ROWS.replace("CASE WHEN", "(CASE WHEN").replace("END\n", "END)::state\n"))
    empty_database.query("UPDATE job_objects SET status = 'skipped' WHERE key = '1'")
    empty_database.query("UPDATE job_objects SET status = NULL WHERE key = '2'")
    release = build_release(MIGRATIONS)
    run(empty_database.connect, replace(release, migrations=release.migrations[:2]))
    progress = (
        "SELECT total_objects, queued_count, succeeded_count, progress_percent FROM job_progress WHERE bucket = 'one'"
    )
    assert empty_database.query(progress) == [(100, 25, 73, 73)]


def test_the_plan_says_what_the_adoption_does_not_keep(filled_old: TestDatabase) -> None:
    public = "PUBLIC may no longer execute refresh_job_progress(): GRANT EXECUTE to each role that calls it"
    assert [part for part in adoption_changes(filled_old) if not part.startswith(("builds", "replaces"))] == [public]
    filled_old.query("DROP MATERIALIZED VIEW job_progress CASCADE; DROP FUNCTION refresh_job_progress()")
    filled_old.query("CREATE MATERIALIZED VIEW job_progress AS SELECT job_id, 1 AS extra FROM jobs")
    filled_old.query("CREATE INDEX by_extra ON job_progress ((extra + 1))")
    filled_old.query("CREATE VIEW job_statistics AS SELECT sum(extra) AS total_objects_processed FROM job_progress")
    filled_old.query("ALTER TABLE materialized_view_refresh_log ALTER COLUMN last_refreshed_at TYPE timestamp")
    assert list(adoption_changes(filled_old)[2:]) == [
        "job_progress loses its column extra",
        "job_progress loses its index by_extra, for want of the column extra",
        "total_objects_processed of job_statistics is computed otherwise, and will count the objects that succeeded",
        "last_refreshed_at of materialized_view_refresh_log is a timestamp without time zone and becomes a timestamptz",
    ]


def test_another_index_under_one_of_our_names_is_refused_with_the_way_out(empty_database: TestDatabase) -> None:
    empty_database.query(OLD_DEPLOYMENT.partition("CREATE INDEX idx_job_objects_job_status")[0])
    empty_database.query("CREATE INDEX idx_job_objects_job_status ON job_objects (status)")
    with pytest.raises(UnfitDatabaseError, match=r"ALTER INDEX public.idx_job_objects_job_status RENAME TO"):
        migrate(empty_database)
    empty_database.query("ALTER INDEX idx_job_objects_job_status RENAME TO idx_job_objects_only_status")
    migrate(empty_database)


def test_a_ledger_of_another_tool_is_refused_with_the_way_out(empty_database: TestDatabase) -> None:
    empty_database.query("CREATE TABLE schema_migrations (version bigint, dirty boolean)")
    with pytest.raises(ForeignLedgerError, match="has the columns version, dirty: another tool made it; rename it"):
        migrate(empty_database)


def test_old_callers_refresh_as_before(old: TestDatabase) -> None:
    migrate(old)
    connection = psycopg2.connect(old.server.dsn(database=old.name))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT refresh_job_progress();")
        cursor.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY job_progress;")
    connection.close()
