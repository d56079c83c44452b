"""An index is compared with the catalogue by its columns, so their names may need quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.errors import MigrationFailedError, UnfitDatabaseError
from handlers.migrator.runner import run
from handlers.migrator.session import RunLimits
from handlers.migrator.steps import migration_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.contract.release import Release
    from tests.support.database import TestDatabase

    ReleaseOf = Callable[[dict[str, str]], Release]

pytestmark = pytest.mark.slow

LIMITS = RunLimits(poll_interval_s=0.2)
TABLE = 'CREATE TABLE "My.Table" (a int, "createdAt" int, "order" int, "ä" text, tags int[])'
# What the migration builds, and what is another one under its name.
PAIRS = {
    '("createdAt", "order" DESC, "ä")': '("createdAt", "order", "ä")',
    "(a)": '("createdAt")',
    "(a DESC)": "(a DESC NULLS LAST)",
    "(a NULLS FIRST)": "(a)",
    '("ä")': '("ä" text_pattern_ops)',
    '("ä", a)': '("ä" COLLATE "C", a)',
    '(a, "order")': '(a) INCLUDE ("order")',
    '("order")': '("order") WHERE a > 0',
    "(tags)": "USING gin (tags)",
    "(a, tags)": "(a, (a + 1))",
    "USING gin (tags)": "(tags)",
}


@pytest.mark.parametrize("columns", PAIRS)
def test_an_index_is_built_once_and_found_right_by_a_run_that_was_killed_before_it_recorded_it(
    empty_database: TestDatabase, release_of: ReleaseOf, columns: str
) -> None:
    files = {"001_a.sql": TABLE, "002_b.sql": f'CREATE INDEX CONCURRENTLY "I.x" ON "My.Table" {columns}'}
    release = release_of(files)
    run(empty_database.connect, release, limits=LIMITS)
    built = "SELECT oid FROM pg_class WHERE relname = 'I.x'"
    before = empty_database.query(built)
    empty_database.query("DELETE FROM schema_migrations WHERE version = 2")
    (step,) = migration_plan(release, empty_database.connect).steps
    assert step.note == "exists, and is checked"
    assert run(empty_database.connect, release, limits=LIMITS).applied == ("002_b.sql",)
    assert empty_database.query(built) == before


@pytest.mark.parametrize(("columns", "others"), PAIRS.items())
def test_another_index_under_its_name_is_refused_before_the_first_change(
    empty_database: TestDatabase, release_of: ReleaseOf, columns: str, others: str
) -> None:
    create = 'INDEX "I.x" ON "My.Table"'
    empty_database.query(f"{TABLE}; CREATE {create} {others}")
    files = {"001_a.sql": "SELECT 1", "002_b.sql": f"CREATE {create.replace('INDEX', 'INDEX CONCURRENTLY')} {columns}"}
    with pytest.raises(UnfitDatabaseError, match=r"A migration builds the index of this name on .My.Table. USING"):
        run(empty_database.connect, release_of(files), limits=LIMITS)


def test_a_procedure_may_commit_and_what_it_sets_ends_with_it(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    body = "BEGIN INSERT INTO t VALUES (1); COMMIT; SET search_path = nowhere; INSERT INTO public.t VALUES (2); END"
    files = {
        "001_a.sql": f"CREATE TABLE t (a int); CREATE PROCEDURE p() LANGUAGE plpgsql AS $${body}$$",
        "002_b.sql": "CALL p(); INSERT INTO t SELECT 3 WHERE current_setting('search_path') = 'public, pg_temp'",
    }
    run(empty_database.connect, release_of(files), limits=LIMITS)
    assert empty_database.query("SELECT a FROM t ORDER BY a") == [(1,), (2,), (3,)]


def test_a_procedure_gives_up_on_a_lock_as_other_statements_do(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    body = "BEGIN ALTER TABLE t ADD b int; END"
    files = {
        "001_a.sql": f"CREATE TABLE t (a int); CREATE PROCEDURE p() LANGUAGE plpgsql AS $${body}$$",
        "002_b.sql": "CALL p()",
    }
    run(empty_database.connect, release_of({"001_a.sql": files["001_a.sql"]}), limits=LIMITS)
    holder = empty_database.connect()
    try:
        holder.cursor().execute("BEGIN; LOCK TABLE t IN ROW EXCLUSIVE MODE")
        impatient = RunLimits(poll_interval_s=0.2, lock_timeout_ms=50, lock_patience_s=0)
        with pytest.raises(MigrationFailedError, match=r"002_b.sql, line 1, CALL p\(\): .*lock timeout"):
            run(empty_database.connect, release_of(files), limits=impatient)
    finally:
        holder.close()
    assert run(empty_database.connect, release_of(files), limits=LIMITS).applied == ("002_b.sql",)
