"""An older deployment's script, run once more, is noticed, and the next `migrate` replaces what it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.migrator.runner import run
from handlers.migrator.steps import migration_plan
from tests.support.database import MIGRATIONS, build_release
from tests.support.migrating import migrate, roll_back_to
from tests.support.old_deployment import create_analyst, run_old_002
from tests.support.schema import schema

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

TO_RESTORE = "SELECT name, is_missing FROM objects_to_restore() ORDER BY 1"
VIEWS = [("active_jobs_progress", False), ("job_progress", False), ("job_statistics", False)]


@pytest.mark.parametrize("role", ["progress_refresher", "progress_reader", "scanner_doctor", "scanner_admin"])
def test_any_role_sees_what_a_migrate_would_restore(database: TestDatabase, role: str) -> None:
    assert database.query(TO_RESTORE, user=role) == []
    run_old_002(database)
    assert database.query(TO_RESTORE, user=role) == VIEWS
    database.query("DROP VIEW job_statistics")
    database.query("DROP FUNCTION refresh_job_progress(), should_refresh_progress(timestamptz)")
    database.query("DROP TABLE materialized_view_refresh_log")
    assert database.query(TO_RESTORE, user=role) == [
        *VIEWS[:2],
        ("job_statistics", True),
        ("materialized_view_refresh_log", True),
        ("refresh_job_progress()", True),
        ("should_refresh_progress(timestamptz)", True),
    ]


def test_a_plan_names_what_a_migrate_would_restore_and_the_migrate_says_so(database: TestDatabase) -> None:
    release = build_release(MIGRATIONS)
    run_old_002(database)
    database.query("DROP VIEW job_statistics")
    planned = migration_plan(release, database.connect)
    assert planned.steps == ()
    assert [(found.subject, found.value, found.refuses) for found in planned.findings] == [
        ("public.active_jobs_progress", "replaced by an older deployment's script", False),
        ("public.job_progress", "replaced by an older deployment's script", False),
        ("public.job_statistics", "missing", False),
    ]
    said: list[str] = []
    run(database.connect, release, report=lambda message, **_: said.append(message))
    assert said == [f"found {found}" for found in planned.findings]
    assert migration_plan(release, database.connect).findings == ()


def test_one_migrate_brings_back_what_a_script_replaced(database: TestDatabase) -> None:
    # GIVEN a healthy database, on which the older script runs with a function that it could replace, and people build
    job_id = database.add_job({"succeeded": 3, "queued": 1})
    database.query("DROP FUNCTION refresh_job_progress()")
    create_analyst(database)
    run_old_002(database)
    database.query("GRANT EXECUTE ON FUNCTION refresh_job_progress() TO analyst")
    database.query("CREATE VIEW report AS SELECT sum(total_objects) AS objects FROM job_progress")
    database.query("CREATE MATERIALIZED VIEW report_copy AS SELECT * FROM report")
    assert database.query(TO_RESTORE) == [*VIEWS, ("refresh_job_progress()", False)]
    # WHEN nothing is pending and migrate runs
    migrate(database)
    # THEN views and function are those of the release
    assert database.query(TO_RESTORE) == []
    assert database.query("SELECT job_id FROM job_progress", user="progress_reader") == [(job_id,)]
    assert database.query("SELECT refreshed FROM refresh_job_progress()", user="progress_refresher") == [(True,)]
    assert database.query("SELECT objects FROM report") == [(4,)]
    assert database.query("SELECT objects FROM report_copy") == [(4,)]
    assert database.query(
        "SELECT has_function_privilege('analyst', 'refresh_job_progress()', 'EXECUTE'), "
        "has_function_privilege('scanner_app', 'refresh_job_progress()', 'EXECUTE')"
    ) == [(True, False)]


def test_a_refresh_costs_what_changed_again_after_the_migrate(database: TestDatabase) -> None:
    database.add_job({"succeeded": 3})
    run_old_002(database)
    migrate(database)
    reads = "SELECT pg_get_viewdef('job_progress'::regclass)"
    assert "job_progress_source" in str(database.query(reads))
    assert database.query("SELECT * FROM verify_job_progress()") == []


@pytest.mark.parametrize(
    "drop",
    [
        "MATERIALIZED VIEW job_progress CASCADE",
        "VIEW active_jobs_progress",
        "TABLE materialized_view_refresh_log",
        "FUNCTION refresh_job_progress()",
        "FUNCTION should_refresh_progress(timestamptz)",
    ],
)
def test_a_migrate_restores_what_was_dropped(database: TestDatabase, drop: str) -> None:
    before = schema(database)
    database.query(f"DROP {drop}")
    assert schema(database) != before
    migrate(database)
    assert schema(database) == before
    database.query("SELECT refresh_job_progress()", user="progress_refresher")


def test_a_migrate_with_nothing_to_restore_changes_nothing(filled_old: TestDatabase) -> None:
    migrate(filled_old)
    files = "SELECT oid, relname, relfilenode FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    before = filled_old.query(files), schema(filled_old)
    migrate(filled_old)
    assert (filled_old.query(files), schema(filled_old)) == before


def test_what_was_adopted_first_is_given_back_after_the_script_ran_again(filled_old: TestDatabase) -> None:
    filled_old.query("COMMENT ON MATERIALIZED VIEW job_progress IS 'the first'")
    migrate(filled_old)
    run_old_002(filled_old)
    migrate(filled_old)
    roll_back_to(filled_old, 1)
    assert filled_old.query("SELECT obj_description('job_progress'::regclass)") == [("the first",)]


def test_a_view_that_an_interrupted_migrate_left_beside_is_built_anew(database: TestDatabase) -> None:
    run_old_002(database)
    database.query("SELECT build_job_progress_beside()")
    job_id = database.add_job({"queued": 1})
    migrate(database)
    assert database.query("SELECT job_id FROM job_progress") == [(job_id,)]
