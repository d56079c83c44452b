"""No statement of ours, and none of a writer, fails because our tables are published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.migrator.runner import run
from tests.support.database import MIGRATIONS, build_release
from tests.support.migrating import roll_back_to
from tests.support.progress import DIFFERENCES, compact_often

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

# An UPDATE or DELETE of a published table fails without one of these.
WITHOUT_IDENTITY = """
SELECT class.oid::regclass::text
FROM pg_class AS class
WHERE class.relkind IN ('r', 'p')
  AND class.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  AND class.relreplident <> 'f'
  AND NOT EXISTS (SELECT
                  FROM pg_index
                  WHERE indrelid = class.oid
                    AND (indisreplident OR (indisprimary AND class.relreplident = 'd')))
"""


def test_each_table_of_ours_has_a_replica_identity(database: TestDatabase) -> None:
    assert database.query(WITHOUT_IDENTITY) == []


@pytest.mark.parametrize("published", ["ALL TABLES", "TABLES IN SCHEMA public"])
def test_writers_refreshes_and_migrations_go_on_while_every_table_is_published(
    empty_database: TestDatabase, published: str
) -> None:
    empty_database.query(f"CREATE PUBLICATION everything FOR {published}", user="postgres")
    run(empty_database.connect, build_release(MIGRATIONS))
    compact_often(empty_database, 1)
    job_id = empty_database.add_job({"queued": 10}, findings=3)
    for status in ("processing", "succeeded"):
        empty_database.query("UPDATE job_objects SET status = %s", (status,), user="scanner_app")
    empty_database.query("SELECT refresh_job_progress()", user="progress_refresher")
    empty_database.query("UPDATE job_progress_counts SET queued_count = 5")
    empty_database.query("BEGIN ISOLATION LEVEL SERIALIZABLE; TRUNCATE findings; COMMIT")
    empty_database.query("DELETE FROM jobs WHERE job_id = %s", (job_id,), user="scanner_app")
    empty_database.query("SELECT rebuild_job_progress()", user="progress_refresher")
    empty_database.query("SELECT refresh_job_progress()", user="progress_refresher")
    assert empty_database.query(DIFFERENCES) == []
    roll_back_to(empty_database, 0)
