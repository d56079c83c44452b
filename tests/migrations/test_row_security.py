"""Rows that a policy hides from the owner are never taken for rows that are gone: an error instead, and no change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2.errors
import pytest

from tests.support.progress import DIFFERENCES, compact_often
from tests.support.retiring import batch, left, old_job

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

KNOWN = "SELECT to_jsonb(counts) FROM job_progress_counts AS counts ORDER BY job_id"
VIEW = "SELECT to_jsonb(progress) FROM job_progress AS progress ORDER BY job_id"


COUNTERS = {
    "jobs": ["refresh_job_progress"],
    "job_objects": ["verify_job_progress", "rebuild_job_progress", "refresh_job_progress"],
    "findings": ["verify_job_progress", "rebuild_job_progress"],
}


@pytest.fixture
def counted(database: TestDatabase) -> TestDatabase:
    """Two jobs, refreshed."""
    for _ in range(2):
        database.add_job({"queued": 60, "failed": 40}, findings=30)
    database.query("SELECT refresh_job_progress()")
    return database


def hide(database: TestDatabase, table: str) -> None:
    """Hide all rows of a table from everyone but the scanner, from its owner too."""
    database.query(
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; "
        f"CREATE POLICY hides ON {table} USING (false) WITH CHECK (true); "
        f"CREATE POLICY shows ON {table} TO scanner_app USING (true)"
    )


@pytest.mark.parametrize(
    ("table", "function"), [(table, function) for table, functions in COUNTERS.items() for function in functions]
)
def test_what_counts_rows_raises_where_a_policy_hides_them_and_changes_nothing(
    counted: TestDatabase, table: str, function: str
) -> None:
    hide(counted, table)
    before = counted.query(KNOWN), counted.query(VIEW)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security") as refusal:
        counted.query(f"SELECT {function}()", user="progress_refresher")
    assert "NO FORCE ROW LEVEL SECURITY" in refusal.value.diag.message_hint
    assert (counted.query(KNOWN), counted.query(VIEW)) == before


@pytest.mark.parametrize("table", COUNTERS)
def test_no_job_is_retired_where_a_policy_hides_rows(counted: TestDatabase, table: str) -> None:
    job = old_job(counted, {"succeeded": 3}, findings=2)
    hide(counted, table)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
        batch(counted, job)
    counted.query(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    assert left(counted, job) == (1, 3, 2)


@pytest.mark.parametrize(
    ("table", "call"),
    [
        ("jobs", "retirable_jobs('90 days')"),
        ("jobs", "build_job_progress('job_progress_next')"),
        ("job_objects", "fold_job_progress_deltas()"),
    ],
)
def test_what_the_owner_calls_by_hand_raises_too(counted: TestDatabase, table: str, call: str) -> None:
    counted.query("UPDATE job_objects SET status = 'failed' WHERE key = 'queued1'")
    hide(counted, table)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
        counted.query(f"SELECT * FROM {call}")


def test_writers_go_on_and_are_counted_where_policies_hide_rows_from_the_owner(counted: TestDatabase) -> None:
    compact_often(counted, 1)
    for table in COUNTERS:
        hide(counted, table)
    for sql in (
        "UPDATE job_objects SET status = 'succeeded' WHERE key = 'queued1'",
        "DELETE FROM job_objects WHERE key = 'queued2'",
        "DELETE FROM findings WHERE byte_offset > 10",
        "INSERT INTO findings (job_id, bucket, key, etag, detector) SELECT job_id, 'c', 'k', 'e', job_id FROM jobs",
    ):
        counted.query(sql, user="scanner_app")
    for table in COUNTERS:
        counted.query(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    live = "SELECT DISTINCT queued_count, succeeded_count, total_findings FROM job_progress_live"
    assert counted.query(live) == [(58, 1, 11)]
    assert counted.query(DIFFERENCES) == []


def test_a_truncate_is_counted_where_policies_hide_the_rows(counted: TestDatabase) -> None:
    for table in COUNTERS:
        hide(counted, table)
    counted.query("TRUNCATE job_objects, findings")
    for table in COUNTERS:
        counted.query(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    assert counted.query(DIFFERENCES) == []
