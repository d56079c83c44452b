"""A logical subscriber of every table reads exact progress, and counts exactly once it takes over."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from handlers.migrator.runner import run
from lab.embedded_postgres import DEFAULT_VERSION, EmbeddedPostgres
from tests.support.database import MIGRATIONS, TestDatabase, build_release, server_folder
from tests.support.progress import DIFFERENCES, REFRESHED_DIFFERENCES

if TYPE_CHECKING:
    from collections.abc import Iterator

REFRESH = "SELECT refresh_job_progress()"
COMPACT = "SELECT compact_job_progress_deltas(ARRAY(SELECT job_id FROM jobs))"
BURN_TRANSACTION_IDS = "DO $$ BEGIN FOR i IN 1..{} LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$"
CHANGE = "UPDATE job_objects SET status = %s WHERE key = 'queued1'"
BOUNDS = "SELECT job_id, folded_to FROM job_progress_bounds ORDER BY 1, 2"
VALID_BOUNDS = "SELECT job_id FROM job_progress_valid_bounds"
IS_BEHIND = "SELECT 1 FROM pg_replication_slots WHERE confirmed_flush_lsn IS DISTINCT FROM pg_current_wal_lsn()"
IS_COPYING = "SELECT srrelid::regclass::text FROM pg_subscription_rel WHERE srsubstate <> 'r'"
PATIENCE_S = 60


@pytest.fixture
def publisher(postgres: EmbeddedPostgres) -> Iterator[TestDatabase]:
    """A migrated database in a server of its own that writes a logical log."""
    folder = postgres.directory.with_name(f"{server_folder().name}-publisher")
    version = int(os.environ.get("POSTGRES_VERSION", DEFAULT_VERSION))
    with EmbeddedPostgres(folder, durable=False, parameters={"wal_level": "logical"}, version=version) as server:
        database = TestDatabase(server, "scanner_db")
        run(database.connect, build_release(MIGRATIONS))
        yield database
        database.close()
        server.discard()


def test_a_subscriber_of_all_tables_is_exact_before_and_after_it_takes_over(
    publisher: TestDatabase, database: TestDatabase
) -> None:
    # GIVEN a publisher whose transaction ids are far ahead, with bounds of a fold and of a compaction
    ((behind,),) = database.query("SELECT txid_current()")
    publisher.query(BURN_TRANSACTION_IDS.format(behind + 1000))
    publisher.query("CREATE PUBLICATION everything FOR ALL TABLES", user="postgres")
    publisher.add_job({"queued": 3, "succeeded": 2}, findings=1)
    publisher.query(REFRESH)
    with subscription(database, publisher):
        # WHEN changes come after the copy
        for maintain in (COMPACT, REFRESH, COMPACT):
            for status in ("processing", "failed"):
                publisher.query(CHANGE, (status,))
            publisher.query(maintain)
        publisher.query(CHANGE, ("succeeded",))
        wait_until_none(publisher, IS_BEHIND)
        # THEN the subscriber has the publisher's bounds, uses none of them, and reads the same
        assert database.query(BOUNDS) == publisher.query(BOUNDS)
        assert len(publisher.query(VALID_BOUNDS)) > 1
        assert database.query(VALID_BOUNDS) == []
        assert database.query(DIFFERENCES) == []
    # WHEN it is the one that is written to
    for maintain in (COMPACT, REFRESH, COMPACT):
        database.query(CHANGE, ("queued",))
        # THEN each write counts, although its transaction id lies below the publisher's bounds
        assert database.query(DIFFERENCES) == []
        database.query(maintain)
        assert database.query(DIFFERENCES) == []
    database.query(REFRESH)
    assert database.query(REFRESHED_DIFFERENCES) == []


@contextmanager
def subscription(subscriber: TestDatabase, publisher: TestDatabase) -> Iterator[None]:
    """Follow a publisher for a block, which begins when everything is copied."""
    server = publisher.server
    source = (
        f"host=127.0.0.1 port={server.port} dbname={publisher.name} user=postgres password={server.password} "
        "sslmode=disable"
    )
    # What a migrated database holds, and the copy brings.
    subscriber.query("TRUNCATE schema_migrations, materialized_view_refresh_log, job_progress_bounds")
    subscriber.query("CREATE SUBSCRIPTION all_of_it CONNECTION %s PUBLICATION everything", (source,), user="postgres")
    try:
        wait_until_none(subscriber, IS_COPYING)
        yield
    finally:
        subscriber.query("DROP SUBSCRIPTION all_of_it", user="postgres")


def wait_until_none(database: TestDatabase, sql: str) -> None:
    """Wait until a query returns no row."""
    deadline = time.monotonic() + PATIENCE_S
    while rows := database.query(sql, user="postgres"):
        assert time.monotonic() < deadline, f"after {PATIENCE_S} s {sql} returns {rows}"
        time.sleep(0.05)
