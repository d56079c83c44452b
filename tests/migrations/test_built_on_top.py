"""What other people built on an older deployment is, after the adoption, what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.errors import MigrationFailedError
from tests.support.migrating import migrate
from tests.support.old_deployment import create_role
from tests.support.schema import schema

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

EXTRAS = """
CREATE INDEX team_snapshot_bucket ON team_snapshot ((job_id::text));
COMMENT ON INDEX team_snapshot_bucket IS 'for a report';
ALTER INDEX team_snapshot_bucket ALTER COLUMN 1 SET STATISTICS 500;
ALTER MATERIALIZED VIEW team_snapshot CLUSTER ON team_snapshot_job;
ALTER MATERIALIZED VIEW team_snapshot ALTER COLUMN job_id SET STATISTICS 300;
ALTER MATERIALIZED VIEW team_snapshot SET (fillfactor = 70, autovacuum_enabled = false);
CREATE STATISTICS of_snapshot ON job_id, progress_percent FROM team_snapshot;
COMMENT ON COLUMN team_snapshot.job_id IS 'of the scanner';
ALTER VIEW team_dashboard ALTER COLUMN objects SET DEFAULT 7;
ALTER VIEW team_dashboard RENAME COLUMN progress TO "Best progress";
CREATE VIEW team_check WITH (security_invoker = true) AS SELECT * FROM job_progress WHERE total_objects > 1;
REVOKE ALL ON team_check FROM scanner_admin;
GRANT SELECT ON team_check TO scanner_admin;
CREATE MATERIALIZED VIEW team_empty AS SELECT count(*) FROM team_snapshot WITH NO DATA;
"""


def of_others(database: TestDatabase) -> list[str]:
    return schema(database, "--table=team_*").splitlines()


def test_everything_that_belongs_to_a_view_comes_back_with_it(filled_old: TestDatabase) -> None:
    filled_old.query(EXTRAS)
    before = of_others(filled_old)
    migrate(filled_old)
    assert of_others(filled_old) == before


def test_a_view_is_filled_after_the_adoption_where_it_was_filled_before(filled_old: TestDatabase) -> None:
    filled_old.query(EXTRAS)
    migrate(filled_old)
    filled = "SELECT relname, relispopulated FROM pg_class WHERE relname LIKE 'team%' AND relkind = 'm' ORDER BY 1"
    assert filled_old.query(filled) == [("team_empty", False), ("team_snapshot", True)]


def test_default_privileges_widen_no_view_that_is_built_again(filled_old: TestDatabase) -> None:
    create_role(filled_old, "everybody")
    create_role(filled_old, "scanner_app")
    filled_old.query("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO everybody, scanner_app")
    filled_old.query("ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO everybody")
    before = of_others(filled_old)
    migrate(filled_old)
    assert of_others(filled_old) == before
    assert (
        filled_old.query(
            "SELECT name FROM unnest(ARRAY['job_progress', 'active_jobs_progress', 'job_statistics']) AS name "
            "WHERE has_table_privilege('everybody', name, 'INSERT')"
        )
        == []
    )
    assert filled_old.query("SELECT has_function_privilege('everybody', 'refresh_job_progress()', 'EXECUTE')") == [
        (False,)
    ]


def test_views_and_functions_compute_with_the_statistics_as_before(filled_old: TestDatabase) -> None:
    filled_old.query("UPDATE job_objects SET status = 'failed' WHERE status = 'queued' AND bucket = 'one'")
    filled_old.query("REFRESH MATERIALIZED VIEW job_progress")
    filled_old.query(
        "CREATE VIEW done AS SELECT total_objects_processed / total_objects_all_jobs AS share, "
        "avg_progress AS average, total_findings_all_jobs / 7 AS sevenths FROM job_statistics"
    )
    filled_old.query(
        "CREATE FUNCTION objects() RETURNS TABLE (n numeric) LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN QUERY SELECT total_objects_all_jobs FROM job_statistics; END $$"
    )
    types = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid IN ('job_statistics'::regclass, 'job_progress'::regclass) AND attnum > 0 ORDER BY 1"
    )
    reads = ("SELECT * FROM done", "SELECT * FROM objects()", "SELECT * FROM job_statistics", types)
    before = [filled_old.query(sql) for sql in reads]
    assert before[0][0][0] == pytest.approx(0.75)
    migrate(filled_old)
    assert [filled_old.query(sql) for sql in reads] == before


def test_the_indexes_of_job_progress_are_kept_with_their_names_and_settings(filled_old: TestDatabase) -> None:
    filled_old.query("CREATE INDEX by_bucket ON job_progress (upper(bucket))")
    filled_old.query("COMMENT ON INDEX by_bucket IS 'for a report'")
    filled_old.query("ALTER INDEX by_bucket ALTER COLUMN 1 SET STATISTICS 500")
    filled_old.query("ALTER MATERIALIZED VIEW job_progress CLUSTER ON by_bucket")
    indexes = (
        "SELECT pg_get_indexdef(indexrelid), indisclustered, obj_description(indexrelid), attstattarget "
        "FROM pg_index JOIN pg_attribute ON attrelid = indexrelid AND attnum = 1 "
        "WHERE indrelid = 'job_progress'::regclass AND pg_get_indexdef(indexrelid) NOT LIKE '%_active %' "
        "ORDER BY 1"
    )
    before = filled_old.query(indexes)
    assert len(before) == 4
    migrate(filled_old)
    assert filled_old.query(indexes) == before


def test_an_index_on_a_column_that_goes_does_not_stop_the_adoption(filled_old: TestDatabase) -> None:
    filled_old.query("DROP MATERIALIZED VIEW job_progress CASCADE")
    filled_old.query("CREATE MATERIALIZED VIEW job_progress AS SELECT job_id, bucket, 1 AS extra FROM jobs")
    filled_old.query("CREATE INDEX by_extra ON job_progress (extra)")
    filled_old.query("COMMENT ON INDEX by_extra IS 'for a report'")
    filled_old.query("CREATE INDEX by_bucket ON job_progress (bucket)")
    migrate(filled_old)
    assert filled_old.query("SELECT to_regclass('by_extra') IS NULL, to_regclass('by_bucket') IS NULL") == [
        (True, False)
    ]


def test_another_index_under_the_name_of_one_of_ours_is_refused_with_the_way_out(filled_old: TestDatabase) -> None:
    filled_old.query("CREATE INDEX idx_job_progress_active ON job_progress (bucket)")
    hint = "HINT:  ALTER INDEX public.idx_job_progress_active RENAME TO ..., and migrate again"
    with pytest.raises(MigrationFailedError, match=hint):
        migrate(filled_old)
    filled_old.query("ALTER INDEX idx_job_progress_active RENAME TO by_bucket")
    migrate(filled_old)
    assert filled_old.query("SELECT to_regclass('by_bucket') IS NULL") == [(False,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM job_progress LEFT JOIN materialized_view_refresh_log ON view_name = 'job_progress'",
        "SELECT * FROM active_jobs_progress",
        "SELECT * FROM job_statistics",
        "SELECT status, count(*) FROM job_objects GROUP BY 1",
        "SELECT count(*) FROM findings",
    ],
)
def test_the_older_api_reads_as_the_scanners_role(filled_old: TestDatabase, sql: str) -> None:
    filled_old.query("REVOKE SELECT ON job_progress, active_jobs_progress, job_statistics FROM public")
    migrate(filled_old)
    filled_old.query(sql, user="scanner_app")


def test_views_of_another_schema_on_the_path_are_not_ours(filled_old: TestDatabase) -> None:
    filled_old.query("CREATE SCHEMA legacy")
    filled_old.query("CREATE VIEW legacy.job_progress AS SELECT 1 AS mine")
    filled_old.query("CREATE VIEW legacy.job_statistics AS SELECT 2 AS mine")
    filled_old.query(f"ALTER DATABASE {filled_old.name} SET search_path = public, legacy")
    migrate(filled_old)
    assert filled_old.query("SELECT mine FROM legacy.job_progress UNION SELECT mine FROM legacy.job_statistics") == [
        (1,),
        (2,),
    ]
    assert filled_old.query("SELECT * FROM objects_to_restore()") == []
