"""The refresh log of an older deployment is written on, or refused before anything changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.errors import MigrationFailedError, UnfitDatabaseError
from tests.support.migrating import migrate
from tests.support.old_deployment import create_role

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow


def test_its_types_stay_where_a_refresh_can_write_them(filled_old: TestDatabase) -> None:
    columns = (
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
        "WHERE attrelid = 'materialized_view_refresh_log'::regclass AND attnum > 0 ORDER BY attnum"
    )
    before = filled_old.query(columns)
    assert ("total_jobs", "integer", False) in before
    migrate(filled_old)
    assert filled_old.query(columns) == before
    assert filled_old.query("SELECT total_jobs FROM materialized_view_refresh_log") == [(3,)]


def test_a_log_of_another_owner_is_written_by_a_refresh(filled_old: TestDatabase) -> None:
    create_role(filled_old, "old_owner")
    filled_old.query("GRANT old_owner TO scanner_admin", user="postgres")
    filled_old.query("ALTER TABLE materialized_view_refresh_log OWNER TO old_owner", user="postgres")
    migrate(filled_old)
    filled_old.query("SELECT refresh_job_progress()", user="progress_refresher")
    assert filled_old.query("SELECT total_jobs FROM materialized_view_refresh_log", user="progress_reader") == [(3,)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DROP COLUMN view_name", "log.view_name: missing.*ALTER TABLE public.materialized_view_refresh_log RENAME TO"),
        ("ALTER COLUMN total_objects TYPE boolean USING true", 'column "total_objects" is of type boolean'),
        ("ADD CHECK (total_jobs IS NULL)", "violates check constraint"),
        ("DROP CONSTRAINT materialized_view_refresh_log_pkey", "a row for each refresh\nHINT:  Rename it"),
    ],
)
def test_a_log_that_a_refresh_cannot_write_is_refused_before_anything_changes(
    filled_old: TestDatabase, change: str, message: str
) -> None:
    filled_old.query(f"ALTER TABLE materialized_view_refresh_log {change}")
    if "pkey" in change:
        filled_old.query("INSERT INTO materialized_view_refresh_log SELECT * FROM materialized_view_refresh_log")
    views = "SELECT relname, oid FROM pg_class WHERE relname LIKE 'job_%' AND relkind IN ('m', 'v') ORDER BY 1"
    before = filled_old.query(views)
    with pytest.raises((MigrationFailedError, UnfitDatabaseError), match=message):
        migrate(filled_old)
    assert set(before) <= set(filled_old.query(views))
    filled_old.query("ALTER TABLE materialized_view_refresh_log RENAME TO older_log")
    migrate(filled_old)
    assert filled_old.query("SELECT total_jobs FROM materialized_view_refresh_log") == [(3,)]


def test_a_deployment_without_a_log_gets_one(filled_old: TestDatabase) -> None:
    filled_old.query("DROP TABLE materialized_view_refresh_log")
    migrate(filled_old)
    assert filled_old.query("SELECT total_jobs FROM materialized_view_refresh_log", user="progress_reader") == [(3,)]


def test_a_deployment_without_helper_views_gets_them(filled_old: TestDatabase) -> None:
    filled_old.query("DROP VIEW active_jobs_progress, job_statistics CASCADE")
    migrate(filled_old)
    assert filled_old.query("SELECT total_jobs FROM job_statistics", user="progress_reader") == [(3,)]
    assert filled_old.query("SELECT count(*) FROM team_dashboard") == [(3,)]


def test_views_on_a_log_in_local_time_are_built_and_filled_again(filled_old: TestDatabase) -> None:
    filled_old.query("ALTER TABLE materialized_view_refresh_log ALTER COLUMN last_refreshed_at TYPE timestamp")
    filled_old.query(
        "CREATE MATERIALIZED VIEW joined AS SELECT job_id, last_refreshed_at FROM job_progress "
        "CROSS JOIN materialized_view_refresh_log"
    )
    filled_old.query(
        "CREATE MATERIALIZED VIEW log_report AS SELECT last_refreshed_at FROM materialized_view_refresh_log"
    )
    migrate(filled_old)
    assert filled_old.query("SELECT (SELECT count(*) FROM joined), (SELECT count(*) FROM log_report)") == [(3, 1)]
