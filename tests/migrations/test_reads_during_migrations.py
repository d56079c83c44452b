"""A runner may die after any statement: until the next run, each read works or fails as it did before the file."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import psycopg2
import pytest

from handlers.migrator.runner import run
from tests.support.database import MIGRATIONS, build_release
from tests.support.old_deployment import OLD_DEPLOYMENT, create_analyst
from tests.support.reader import READS, Reader

if TYPE_CHECKING:
    from handlers.migrator.release import Statement
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

RELEASE = build_release(MIGRATIONS)
OBJECTS = 3
ROWS = """
INSERT INTO jobs (job_id, bucket, created_at) VALUES (gen_random_uuid(), 'b', now() - INTERVAL '1 hour');
INSERT INTO job_objects (job_id, bucket, key, etag, status)
SELECT job_id, 'b', key, 'e', 'queued' FROM jobs, unnest(ARRAY['k1', 'k2', 'k3']) AS key
"""
OLD_CALLERS = ("SELECT job_id FROM job_progress", "SELECT * FROM job_statistics", "SELECT refresh_job_progress()")


def outcomes(reader: Reader, job_id: str) -> dict[str, str]:
    """Return what each read ends in: "works", or the SQLSTATE of its error."""
    ended = {}
    for name, read in READS.items():
        for real_time in (False, True):
            try:
                objects, _ = read(reader, job_id, real_time=real_time)
            except psycopg2.Error as error:
                ended[f"{name}, {real_time=}"] = str(error.pgcode)
            else:
                assert objects == OBJECTS, (name, real_time)
                ended[f"{name}, {real_time=}"] = "works"
    return ended


def assert_readable_after_each(database: TestDatabase, statements: tuple[Statement, ...]) -> None:
    """Apply statements while one connection reads, as that of the status function does."""
    ((job_id,),) = database.query("SELECT job_id::text FROM jobs")
    with Reader(database) as reader:
        states = [outcomes(reader, job_id)]
        for statement in statements:
            database.query(statement.sql)
            states.append(outcomes(reader, job_id))
    before, after = states[0], states[-1]
    for statement, (last, state) in zip(statements, pairwise(states), strict=True):
        for read, outcome in state.items():
            where = f"{read} ends in {outcome} after line {statement.line}, {statement.title}"
            assert outcome == "works" or not last[read] == after[read] == "works", where
            # Before 002 no read works, and which of their errors comes then does not matter.
            assert outcome in {"works", before[read], after[read]} or "works" not in before.values(), where


@pytest.mark.parametrize("version", [2, 3, 4])
def test_each_read_works_after_each_statement_or_fails_as_before_the_file(
    empty_database: TestDatabase, version: int
) -> None:
    run(empty_database.connect, replace(RELEASE, migrations=RELEASE.migrations[: version - 1]))
    empty_database.query(ROWS)
    if version > 2:
        empty_database.query("SELECT refresh_job_progress()")
    assert_readable_after_each(empty_database, RELEASE.migrations[version - 1].statements)


@pytest.mark.parametrize("version", [4, 3])
def test_each_read_works_after_each_statement_of_a_rollback_or_fails_as_after_it(
    empty_database: TestDatabase, version: int
) -> None:
    run(empty_database.connect, replace(RELEASE, migrations=RELEASE.migrations[:version]))
    empty_database.query(ROWS)
    empty_database.query("SELECT refresh_job_progress()")
    down = RELEASE.migrations[version - 1].down
    assert down is not None
    assert_readable_after_each(empty_database, down.statements)


def test_callers_of_an_older_deployment_read_and_refresh_after_each_statement(empty_database: TestDatabase) -> None:
    create_analyst(empty_database)
    empty_database.query(OLD_DEPLOYMENT)
    empty_database.query(ROWS)
    empty_database.query("REFRESH MATERIALIZED VIEW job_progress")
    run(empty_database.connect, replace(RELEASE, migrations=RELEASE.migrations[:1]))
    for migration in RELEASE.migrations[1:]:
        for statement in migration.statements:
            empty_database.query(statement.sql)
            for sql in OLD_CALLERS:
                assert len(empty_database.query(sql)) == 1, (statement.title, sql)
    assert empty_database.query("SELECT objects FROM team_dashboard") == [(OBJECTS,)]
