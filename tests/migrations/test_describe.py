"""`plan` says what a run would do before it does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handlers.migrator.runner import run
from handlers.migrator.steps import migration_plan
from tests.support.database import MIGRATIONS, build_release

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.contract.release import Release
    from tests.support.database import TestDatabase

    ReleaseOf = Callable[[dict[str, str]], Release]


def test_without_a_database_every_statement_is_listed_with_its_lock() -> None:
    steps = {step.title: step for step in migration_plan(build_release(MIGRATIONS)).steps}
    build = steps["CREATE INDEX CONCURRENTLY idx_job_objects_job_status"]
    assert (build.file, build.lock, build.blocks_writers) == (
        "002_optimize_for_scale.sql",
        "SHARE UPDATE EXCLUSIVE",
        False,
    )
    assert "the server goes on" in build.note
    table = steps["CREATE TABLE job_objects"]
    assert (table.lock, table.blocks_writers) == ("SHARE ROW EXCLUSIVE", True)
    assert "tries for 500 ms at a time" in table.note


def test_what_is_applied_is_not_listed(database: TestDatabase) -> None:
    assert migration_plan(build_release(MIGRATIONS), database.connect).steps == ()


def test_the_size_of_an_index_is_estimated_from_the_tables_statistics(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    empty_database.query("CREATE TABLE t (id uuid, status text)")
    empty_database.query(
        "INSERT INTO t SELECT gen_random_uuid(), 'succeeded' || n FROM generate_series(1, 200000) AS n; ANALYZE t"
    )
    release = release_of({"001_a.sql": "CREATE INDEX CONCURRENTLY i ON t (id, status)"})
    (step,) = migration_plan(release, empty_database.connect).steps
    run(empty_database.connect, release)
    ((real,),) = empty_database.query("SELECT pg_relation_size('i')")
    assert step.estimate_bytes is not None
    assert 0.7 < step.estimate_bytes / real < 1.4


def test_an_adoption_names_the_views_that_are_built_again(old: TestDatabase) -> None:
    steps = migration_plan(build_release(MIGRATIONS), old.connect).steps
    (changes,) = [step.changes for step in steps if step.changes]
    assert "replaces the materialized view job_progress, with 3 grants" in changes
    assert "builds the view team_dashboard again, with 1 grant" in changes
    assert "builds the materialized view team_snapshot again, with 1 grant" in changes


def test_what_exists_is_not_announced_as_work(old: TestDatabase) -> None:
    steps = {step.title: step for step in migration_plan(build_release(MIGRATIONS), old.connect).steps}
    table, index = steps["CREATE TABLE job_objects"], steps["CREATE INDEX CONCURRENTLY idx_job_objects_job_status"]
    assert (table.note, table.lock, table.blocks_writers) == ("exists, and stays as it is", None, False)
    assert (index.note, index.lock, index.estimate_bytes) == ("exists, and is checked", None, None)


def test_writers_are_said_to_wait_only_for_relations_that_exist(old: TestDatabase) -> None:
    steps = migration_plan(build_release(MIGRATIONS), old.connect).steps
    assert {step.relations for step in steps if step.blocks_writers} == {("job_objects",), ("findings",)}


def test_an_index_that_a_killed_build_left_is_announced(empty_database: TestDatabase, release_of: ReleaseOf) -> None:
    empty_database.query("CREATE TABLE t (a int)")
    empty_database.query("CREATE INDEX i ON t (a)")
    empty_database.query("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass", user="postgres")
    release = release_of({"001_a.sql": "CREATE INDEX CONCURRENTLY i ON t (a)"})
    (step,) = migration_plan(release, empty_database.connect).steps
    assert "left it INVALID" in step.note
