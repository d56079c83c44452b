"""A rollback past 002 gives an older deployment back what it had."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from handlers.errors import MigrationFailedError
from handlers.migrator.runner import run
from tests.support.database import MIGRATIONS, build_release
from tests.support.migrating import migrate, roll_back, roll_back_to
from tests.support.old_deployment import BUILT_ON_TOP, OLD_TABLES, ROWS, create_analyst, create_role, run_old_002
from tests.support.schema import schema

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

RELEASE = build_release(MIGRATIONS)
DOWN = RELEASE.migrations[1].down.statements if RELEASE.migrations[1].down else ()
FILLED = "SELECT relname, relispopulated FROM pg_class WHERE relkind = 'm' ORDER BY 1"
LOG = "SELECT * FROM materialized_view_refresh_log"
EXTRAS = """
COMMENT ON MATERIALIZED VIEW job_progress IS 'since 2019';
COMMENT ON COLUMN job_progress.bucket IS 'of S3';
COMMENT ON FUNCTION refresh_job_progress() IS 'called by cron';
CREATE INDEX "Odd index" ON job_progress (lower(bucket)) WHERE total_objects > 10;
COMMENT ON INDEX "Odd index" IS 'for a report';
ALTER INDEX "Odd index" ALTER COLUMN 1 SET STATISTICS 500;
ALTER MATERIALIZED VIEW job_progress ALTER COLUMN bucket SET STATISTICS 300;
ALTER MATERIALIZED VIEW job_progress ALTER COLUMN bucket SET (n_distinct = 5);
ALTER MATERIALIZED VIEW job_progress ALTER COLUMN bucket SET STORAGE EXTERNAL;
ALTER MATERIALIZED VIEW job_progress ALTER COLUMN bucket SET COMPRESSION pglz;
ALTER MATERIALIZED VIEW job_progress CLUSTER ON idx_job_progress_created;
ALTER MATERIALIZED VIEW job_progress SET (fillfactor = 70);
CREATE STATISTICS of_progress (dependencies) ON bucket, prefix FROM job_progress;
ALTER STATISTICS of_progress SET STATISTICS 200;
COMMENT ON STATISTICS of_progress IS 'for a report';
ALTER VIEW job_statistics ALTER COLUMN total_jobs SET DEFAULT 0;
REVOKE SELECT ON job_statistics FROM public;
REVOKE INSERT, TRUNCATE ON job_progress FROM scanner_admin;
GRANT SELECT ON materialized_view_refresh_log TO analyst WITH GRANT OPTION;
CREATE VIEW log_report AS SELECT view_name, last_refreshed_at FROM materialized_view_refresh_log;
"""


def apply_001(database: TestDatabase) -> None:
    """Apply the file that keeps the tables of an older deployment, and grants the scanner's role its rights on them."""
    run(database.connect, replace(RELEASE, migrations=RELEASE.migrations[:1]))


@pytest.mark.parametrize("deployment", ["old", "filled_old"])
def test_the_schema_after_a_rollback_is_the_schema_before_the_adoption(
    deployment: str, request: pytest.FixtureRequest
) -> None:
    database: TestDatabase = request.getfixturevalue(deployment)
    if deployment == "filled_old":
        database.query(EXTRAS)
    apply_001(database)
    before, filled = schema(database), database.query(FILLED)
    for _ in range(2):
        migrate(database)
        assert schema(database) != before
        roll_back_to(database, 1)
        assert schema(database) == before
        assert database.query(FILLED) == filled


def test_the_older_views_and_those_on_them_answer_after_a_rollback(filled_old: TestDatabase) -> None:
    reads = (
        "SELECT bucket, total_objects, progress_percent FROM job_progress ORDER BY 1",
        "SELECT * FROM job_statistics",
        "SELECT * FROM team_dashboard ORDER BY 1",
        "SELECT job_id, progress_percent FROM team_snapshot ORDER BY 1",
    )
    before = [filled_old.query(sql) for sql in reads]
    migrate(filled_old)
    roll_back_to(filled_old, 1)
    assert [filled_old.query(sql) for sql in reads] == before
    filled_old.query("DELETE FROM jobs")
    filled_old.query("SELECT refresh_job_progress()")
    assert filled_old.query("SELECT total_jobs FROM job_statistics") == [(0,)]


def test_views_that_were_made_since_the_adoption_survive_a_rollback(filled_old: TestDatabase) -> None:
    migrate(filled_old)
    filled_old.query("CREATE VIEW later AS SELECT bucket, last_object_update FROM job_progress")
    filled_old.query("CREATE MATERIALIZED VIEW later_copy AS SELECT * FROM later")
    roll_back_to(filled_old, 1)
    assert filled_old.query("SELECT count(*) FROM later_copy") == [(3,)]


def test_a_view_on_a_column_that_the_older_one_lacks_stops_the_rollback_and_nothing_changes(old: TestDatabase) -> None:
    migrate(old)
    old.query("CREATE VIEW later AS SELECT last_object_update FROM job_progress")
    roll_back_to(old, 2)
    with pytest.raises(MigrationFailedError, match=r'column "?(job_progress\.)?last_object_update"? does not exist'):
        roll_back(old)
    assert old.query("SELECT refreshed FROM refresh_job_progress()") == [(True,)]
    assert old.query("SELECT version, applied_at IS NULL FROM schema_migrations ORDER BY 1") == [(1, False), (2, False)]
    old.query("DROP VIEW later")
    roll_back(old)


def test_where_there_was_no_older_view_one_that_others_made_stops_the_rollback(database: TestDatabase) -> None:
    database.query("CREATE VIEW later AS SELECT count(*) FROM job_progress")
    roll_back_to(database, 2)
    with pytest.raises(MigrationFailedError, match=r"view public\.later depends on materialized view"):
        roll_back(database)
    assert database.query("SELECT refreshed FROM refresh_job_progress()") == [(True,)]
    assert database.query("SELECT version, applied_at IS NULL FROM schema_migrations ORDER BY 1") == [
        (1, False),
        (2, False),
    ]


def test_an_older_view_that_can_no_longer_be_filled_comes_back_empty(filled_old: TestDatabase) -> None:
    filled_old.query("DROP VIEW team_dashboard CASCADE")
    filled_old.query("DROP MATERIALIZED VIEW job_progress CASCADE")
    filled_old.query("CREATE MATERIALIZED VIEW job_progress AS SELECT job_id, 1 / length(bucket) AS n FROM jobs")
    migrate(filled_old)
    filled_old.query("INSERT INTO jobs (bucket) VALUES ('')")
    roll_back_to(filled_old, 1)
    assert filled_old.query(FILLED) == [("job_progress", False)]


def test_only_the_composite_indexes_of_002_are_dropped(empty_database: TestDatabase) -> None:
    create_analyst(empty_database)
    empty_database.query(OLD_TABLES)
    empty_database.query("CREATE INDEX idx_findings_job_detector ON findings (job_id, detector)")
    apply_001(empty_database)
    before = schema(empty_database)
    migrate(empty_database)
    roll_back_to(empty_database, 1)
    assert schema(empty_database) == before


@pytest.mark.parametrize("done", [1, 2, 3, 4, 7, len(DOWN)])
def test_a_rollback_that_died_on_the_way_can_be_repeated_and_a_deploy_adopts_again(
    filled_old: TestDatabase, done: int
) -> None:
    apply_001(filled_old)
    before = schema(filled_old)
    migrate(filled_old)
    roll_back_to(filled_old, 2)
    for statement in DOWN[:done]:
        filled_old.query(statement.sql)
    filled_old.query("UPDATE schema_migrations SET applied_at = NULL, applied_statements = '{}' WHERE version = 2")
    if done % 2:
        migrate(filled_old)
        assert filled_old.query("SELECT count(*) FROM objects_to_restore()") == [(0,)]
        roll_back_to(filled_old, 2)
    roll_back(filled_old)
    assert schema(filled_old) == before


def test_what_an_older_script_made_since_stays(database: TestDatabase) -> None:
    run_old_002(database)
    roll_back_to(database, 1)
    assert database.query("SELECT total_jobs FROM job_statistics") == [(0,)]
    assert database.query("SELECT to_regprocedure('refresh_job_progress()') IS NULL") == [(True,)]


def test_a_function_that_an_older_script_made_since_stays_too(database: TestDatabase) -> None:
    database.query("DROP FUNCTION refresh_job_progress()")
    run_old_002(database)
    roll_back_to(database, 1)
    returned = "SELECT prorettype::regtype::text FROM pg_proc WHERE proname = 'refresh_job_progress'"
    assert database.query(returned) == [("void",)]


def test_another_owner_gets_its_objects_back(empty_database: TestDatabase) -> None:
    create_analyst(empty_database)
    create_role(empty_database, "old_owner")
    empty_database.query("GRANT old_owner TO scanner_admin", user="postgres")
    empty_database.query("GRANT CREATE, USAGE ON SCHEMA public TO old_owner")
    empty_database.query(OLD_TABLES + ROWS)
    empty_database.query("GRANT SELECT ON jobs, job_objects, findings TO old_owner")
    run_old_002(empty_database, user="old_owner")
    empty_database.query(BUILT_ON_TOP.partition("CREATE INDEX")[0], user="old_owner")
    apply_001(empty_database)
    before = schema(empty_database)
    migrate(empty_database)
    roll_back_to(empty_database, 1)
    assert schema(empty_database) == before


def test_the_log_keeps_its_columns_types_and_rows(empty_database: TestDatabase) -> None:
    # GIVEN a log in local time, with a key of its own, and a view on it
    create_analyst(empty_database)
    empty_database.query(OLD_TABLES)
    empty_database.query(f"ALTER DATABASE {empty_database.name} SET timezone = 'Europe/Berlin'")
    empty_database.query(
        "CREATE TABLE materialized_view_refresh_log (id serial PRIMARY KEY, view_name varchar(40), "
        "last_refreshed_at timestamp DEFAULT now());"
        "INSERT INTO materialized_view_refresh_log (view_name, last_refreshed_at) VALUES ('other', '2026-01-01 12:00');"
        "CREATE VIEW log_report AS SELECT view_name, last_refreshed_at FROM materialized_view_refresh_log"
    )
    apply_001(empty_database)
    before = schema(empty_database)
    # WHEN it is adopted
    migrate(empty_database)
    # THEN the time is the same moment, and the view goes on
    assert empty_database.query("SELECT last_refreshed_at = '2026-01-01 11:00+00' FROM log_report LIMIT 1") == [(True,)]
    roll_back_to(empty_database, 1)
    assert schema(empty_database) == before
    assert empty_database.query("SELECT last_refreshed_at::text FROM log_report WHERE view_name = 'other'") == [
        ("2026-01-01 12:00:00",)
    ]
