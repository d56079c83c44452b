"""A load of all data into a migrated database, as pg_restore --data-only does, and what mends the counts after it."""

from __future__ import annotations

import io
from contextlib import closing
from typing import TYPE_CHECKING

from handlers.migrator.runner import run
from tests.support.database import MIGRATIONS, build_release
from tests.support.progress import DIFFERENCES, REFRESHED_DIFFERENCES

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

# The order of pg_dump: by name, but a table after those that it refers to.
TABLES = (
    *("findings", "job_progress_bounds", "job_progress_counts", "job_progress_deltas", "job_progress_recounts", "jobs"),
    "job_objects",
)


def test_a_rebuild_mends_what_a_load_of_all_tables_counts_twice(
    database: TestDatabase, empty_database: TestDatabase
) -> None:
    # GIVEN a database with counts, and with deltas that are not folded
    database.add_job({"queued": 30, "succeeded": 20}, findings=10)
    database.query("SELECT refresh_job_progress()")
    database.query("UPDATE job_objects SET status = 'failed' WHERE key = 'queued1'")
    database.add_job({"processing": 5})
    # WHEN all its rows are loaded into a migrated database, whose triggers count them
    run(empty_database.connect, build_release(MIGRATIONS))
    for table in TABLES:
        copy(table, database, empty_database)
    # THEN what was folded is counted twice, and a rebuild is what a full count says
    total = "SELECT total_objects, total_findings FROM {} ORDER BY 1"
    assert empty_database.query(total.format("job_progress_live"))[-1] == (100, 20)
    assert empty_database.query("SELECT rebuild_job_progress()", user="progress_refresher") == [(2,)]
    assert empty_database.query(total.format("job_progress_live")) == [(5, 0), (50, 10)]
    assert empty_database.query(DIFFERENCES) == []
    assert empty_database.query("SELECT refreshed FROM refresh_job_progress()") == [(True,)]
    assert empty_database.query(REFRESHED_DIFFERENCES) == []
    assert empty_database.query(DIFFERENCES) == []


def copy(table: str, source: TestDatabase, target: TestDatabase) -> None:
    """Copy a table's rows, in one COPY as pg_restore does."""
    rows = io.StringIO()
    with closing(source.connect()) as connection, connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} TO STDOUT", rows)
    rows.seek(0)
    with closing(target.connect()) as connection, connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} FROM STDIN", rows)
