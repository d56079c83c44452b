"""A table that others made may have any type of status: no write fails for it, and each object counts."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from handlers.migrator.runner import run
from tests.support.database import MIGRATIONS, build_release
from tests.support.progress import DIFFERENCES, REFRESHED_DIFFERENCES, compact_often

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

# What makes the type, the type, and the statuses that it takes beside NULL. An enum may lack one of the four.
TYPES = {
    "text": ("", "text", ("queued", "failed", "succeeded", "skipped", "")),
    "varchar": ("", "varchar(20)", ("queued", "failed", "succeeded", "skipped")),
    "char": ("", "char(20)", ("queued", "failed", "succeeded", "skipped")),
    "name": ("", "name", ("queued", "failed", "succeeded", "skipped")),
    "enum": (
        "CREATE TYPE state AS ENUM ('queued', 'succeeded', 'failed', 'skipped')",
        "state",
        ("queued", "failed", "succeeded", "skipped"),
    ),
    "citext": ("CREATE EXTENSION citext", "citext", ("queued", "failed", "succeeded", "Queued", "SKIPPED")),
    "domain": ("CREATE DOMAIN state AS text", "state", ("queued", "failed", "succeeded", "skipped")),
    "domain of an enum": (
        "CREATE TYPE states AS ENUM ('queued', 'succeeded', 'failed', 'skipped'); CREATE DOMAIN state AS states",
        "state",
        ("queued", "failed", "succeeded", "skipped"),
    ),
    "int": ("", "int", ("1", "2", "3", "4")),
}
TABLES = """
CREATE TABLE jobs (
    job_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), bucket text NOT NULL, prefix text, execution_arn text,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
);
CREATE TABLE job_objects (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE, bucket text, key text, etag text, status {type},
    last_error text, updated_at timestamptz DEFAULT now(), PRIMARY KEY (job_id, bucket, key, etag)
);
INSERT INTO jobs (bucket) VALUES ('b'), ('c');
"""
INSERT = """
INSERT INTO job_objects (job_id, bucket, key, etag, status)
SELECT job_id, bucket, number || %(key)s, 'e', status::{type}
FROM jobs, unnest(%(statuses)s) WITH ORDINALITY AS statuses (status, number)
"""
INSERT_ONE = "INSERT INTO job_objects SELECT job_id, bucket, 'one', 'e', %(status)s::{type} FROM jobs LIMIT 1"
WRITES = (
    "UPDATE job_objects SET status = %(status)s::{type} WHERE key = 'one'",
    "UPDATE job_objects SET status = NULL WHERE key = 'one'",
    "UPDATE job_objects SET status = %(status)s::{type} WHERE key = '1a'",
    "UPDATE job_objects SET status = %(status)s::{type} WHERE status IS NULL",
    "DELETE FROM job_objects WHERE status::text = %(status)s",
)


@pytest.mark.parametrize("name", TYPES)
def test_no_write_fails_for_the_type_of_a_status_and_each_object_counts(
    empty_database: TestDatabase, name: str
) -> None:
    # GIVEN objects of each status, of another, and of none
    create_type, status_type, statuses = TYPES[name]
    values = {"key": "a", "statuses": [*statuses, None]}
    empty_database.query(create_type + ";" + TABLES.format(type=status_type))
    empty_database.query(INSERT.format(type=status_type), values)
    # WHEN it is migrated
    run(empty_database.connect, build_release(MIGRATIONS))
    # THEN all are in the total
    total = "SELECT DISTINCT total_objects FROM job_progress_live"
    assert empty_database.query(total) == [(len(statuses) + 1,)]
    assert empty_database.query(DIFFERENCES) == []
    # AND each write is counted
    compact_often(empty_database, 0.5)
    with closing(empty_database.connect("scanner_app")) as writer, writer.cursor() as cursor:
        cursor.execute(INSERT.format(type=status_type), {**values, "key": "b"})
        for status in (None, *statuses):
            for sql in (INSERT_ONE, *WRITES):
                cursor.execute(sql.format(type=status_type), {"status": status})
            assert empty_database.query(DIFFERENCES) == []
            cursor.execute("DELETE FROM job_objects WHERE key = 'one'")
        cursor.execute(INSERT.format(type=status_type), {**values, "key": "c"})
    empty_database.query("SELECT refresh_job_progress()")
    assert empty_database.query(REFRESHED_DIFFERENCES) == []
    assert empty_database.query(DIFFERENCES) == []


@pytest.mark.parametrize("status_type", ["varchar(20)", "citext", "state"])
def test_a_session_goes_on_writing_after_the_type_of_status_changed(database: TestDatabase, status_type: str) -> None:
    database.query("CREATE EXTENSION citext; CREATE TYPE state AS ENUM ('queued', 'processing', 'succeeded', 'failed')")
    job_id = database.add_job({"queued": 5})
    with closing(database.connect("scanner_app")) as writer, writer.cursor() as cursor:
        writes = (
            "INSERT INTO job_objects SELECT %(job)s, 'b', gen_random_uuid(), 'e', 'failed' FROM generate_series(1, 4)",
            "UPDATE job_objects SET status = 'succeeded' WHERE key = 'queued1'",
            "UPDATE job_objects SET status = 'processing'",
            "DELETE FROM job_objects WHERE key = 'queued2'",
        )
        for sql in writes:
            cursor.execute(sql, {"job": job_id})
        database.query(
            "ALTER TABLE job_objects DROP CONSTRAINT job_objects_status_check; DROP VIEW job_progress_direct CASCADE; "
            f"ALTER TABLE job_objects ALTER status TYPE {status_type} USING status::{status_type}"
        )
        for sql in writes:
            cursor.execute(sql, {"job": job_id})
    assert database.query("SELECT * FROM verify_job_progress()") == []
