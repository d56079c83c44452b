"""What the tests of exact progress share: each kind of statement that changes it, and a full count beside it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    import psycopg2

    from tests.support.database import TestDatabase

JOBS = tuple(str(UUID(int=number)) for number in (1, 2, 3))
KEYS = tuple(f"k{number}" for number in range(1, 7))
STATUSES = ("queued", "processing", "succeeded", "failed")
# An older table may allow more: they count in the total, and are not done.
OTHER_STATUSES = ("skipped", "QUEUED", "", None)

# What a writer sends, by its kind. COPY reads one line for each of the keys.
WRITES = {
    "create job": "INSERT INTO jobs (job_id, bucket) VALUES (%(job)s, 'b') ON CONFLICT DO NOTHING",
    "create jobs with objects": """
        WITH new_jobs AS (
            INSERT INTO jobs (job_id, bucket) VALUES (%(job)s, 'b'), (%(other)s, 'b') ON CONFLICT DO NOTHING)
        INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at)
        SELECT job_id, 'b', key, 'e', %(status)s, %(at)s
        FROM unnest(ARRAY[%(job)s, %(other)s]::uuid[]) AS job_id, unnest(%(keys)s) AS key
        ON CONFLICT DO NOTHING""",
    "delete job": "DELETE FROM jobs WHERE job_id = %(job)s",
    "delete two jobs": "DELETE FROM jobs WHERE job_id IN (%(job)s, %(other)s)",
    "insert": """
        INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at)
        VALUES (%(job)s, 'b', %(key)s, 'e', %(status)s, %(at)s)""",
    "insert into two jobs": """
        INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at)
        SELECT job_id, 'b', key, 'e', %(status)s, %(at)s
        FROM unnest(ARRAY[%(job)s, %(other)s]::uuid[]) AS job_id, unnest(%(keys)s) AS key""",
    "copy": "COPY job_objects (job_id, bucket, key, etag, status, updated_at) FROM STDIN",
    "insert or nothing": """
        INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at)
        SELECT %(job)s, 'b', key, 'e', %(status)s, %(at)s FROM unnest(%(keys)s) AS key
        ON CONFLICT DO NOTHING""",
    "insert or update": """
        INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at)
        SELECT %(job)s, 'b', key, 'e', %(status)s, %(at)s FROM unnest(%(keys)s) AS key
        ON CONFLICT (job_id, bucket, key, etag)
        DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at""",
    "merge": """
        MERGE INTO job_objects AS object
        USING unnest(%(keys)s) AS key ON object.job_id = %(job)s AND object.key = key.key
        WHEN MATCHED AND object.status = 'failed' THEN DELETE
        WHEN MATCHED THEN UPDATE SET status = %(status)s, updated_at = %(at)s
        WHEN NOT MATCHED THEN INSERT (job_id, bucket, key, etag, status, updated_at)
                              VALUES (%(job)s, 'b', key.key, 'e', %(status)s, %(at)s)""",
    "update": """
        UPDATE job_objects SET status = %(status)s, updated_at = %(at)s
        WHERE job_id = %(job)s AND bucket = 'b' AND key = %(key)s AND etag = 'e'""",
    "update two jobs": """
        UPDATE job_objects SET status = %(status)s, updated_at = %(at)s WHERE job_id IN (%(job)s, %(other)s)""",
    "touch": "UPDATE job_objects SET updated_at = %(at)s WHERE job_id = %(job)s AND key = %(key)s",
    "move": """
        UPDATE job_objects SET job_id = %(other)s
        WHERE job_id = %(job)s
          AND key = ANY (%(keys)s)
          AND key <> ALL (SELECT key FROM job_objects WHERE job_id = %(other)s)""",
    "move one": """
        UPDATE job_objects SET job_id = %(other)s, status = %(status)s WHERE job_id = %(job)s AND key = %(key)s""",
    "delete and insert": """
        WITH gone AS (DELETE FROM job_objects WHERE job_id = %(job)s AND key = ANY (%(keys)s) RETURNING *)
        INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at)
        SELECT %(other)s, bucket, key, etag, %(status)s, updated_at FROM gone
        ON CONFLICT DO NOTHING""",
    "delete": "DELETE FROM job_objects WHERE job_id = %(job)s AND key = ANY (%(keys)s)",
    "insert findings": """
        INSERT INTO findings (job_id, bucket, key, etag, detector, byte_offset)
        SELECT %(job)s, 'b', key, 'e', coalesce(%(status)s, 'card'), 1 FROM unnest(%(keys)s) AS key""",
    "copy findings": "COPY findings (job_id, bucket, key, etag, detector, created_at) FROM STDIN",
    "insert or move findings": """
        INSERT INTO findings (job_id, bucket, key, etag, detector, byte_offset)
        SELECT %(job)s, 'b', key, 'e', coalesce(%(status)s, 'card'), 1 FROM unnest(%(keys)s) AS key
        ON CONFLICT (bucket, key, etag, detector, byte_offset) DO UPDATE SET job_id = excluded.job_id""",
    "mask findings": "UPDATE findings SET masked_match = '****' WHERE job_id = %(job)s",
    "move findings": "UPDATE findings SET job_id = %(other)s WHERE job_id = %(job)s",
    "delete findings": "DELETE FROM findings WHERE job_id = %(job)s AND key = ANY (%(keys)s)",
}
# What only their owner may send.
TRUNCATIONS = (
    "TRUNCATE job_objects",
    "TRUNCATE findings",
    "TRUNCATE findings, job_objects",
    "TRUNCATE jobs CASCADE",
)

# In one statement, and so in one snapshot, with every table named: a lock that is waited for comes before the snapshot.
DIFFERENCES = """
SELECT 'drift', to_jsonb(d) FROM verify_job_progress() AS d
UNION ALL
SELECT 'live', to_jsonb(d) FROM (SELECT * FROM job_progress_live EXCEPT SELECT * FROM job_progress_direct) AS d
UNION ALL
SELECT 'counted', to_jsonb(d) FROM (SELECT * FROM job_progress_direct EXCEPT SELECT * FROM job_progress_live) AS d
"""
REFRESHED_DIFFERENCES = """
SELECT 'refreshed', to_jsonb(d) FROM (SELECT * FROM job_progress EXCEPT SELECT * FROM job_progress_direct) AS d
UNION ALL
SELECT 'counted', to_jsonb(d) FROM (SELECT * FROM job_progress_direct EXCEPT SELECT * FROM job_progress) AS d
"""
# What a fold leaves none of.
USELESS_COUNTS = """
SELECT 1 FROM job_progress_counts
WHERE 0 = ALL (ARRAY[queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings])
"""


def write(cursor: psycopg2.extensions.cursor, sql: str, values: dict[str, Any]) -> None:
    """Send one of `WRITES`; the values are `job`, `other`, `key`, `keys`, `status` and `at`."""
    if sql.startswith("COPY"):
        null = "card" if "findings" in sql else r"\N"
        status = null if values["status"] is None else values["status"]
        lines = (f"{values['job']}\tb\t{key}\te\t{status}\t{values['at']}\n" for key in values["keys"])
        cursor.copy_expert(sql, io.StringIO("".join(lines)))
    else:
        cursor.execute(sql, values)


def allow_any_status(database: TestDatabase) -> None:
    """Let status be NULL or any text, as in tables that an older deployment made."""
    database.query("ALTER TABLE job_objects DROP CONSTRAINT job_objects_status_check, ALTER status DROP NOT NULL")


def compact_often(database: TestDatabase, chance: float) -> None:
    """Let the triggers compact by this chance: one statement in a thousand would hardly be met in a test."""
    for function in ("track_job_objects", "track_findings"):
        ((definition,),) = database.query("SELECT pg_get_functiondef(%s::regproc)", (function,))
        assert definition.count(" 0.001 ") == 1
        database.query(definition.replace(" 0.001 ", f" {chance} "))
