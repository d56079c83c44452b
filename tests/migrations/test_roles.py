"""Each role may do its work and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2.errors
import pytest

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

WRITE = "INSERT INTO jobs (job_id, bucket) VALUES (gen_random_uuid(), 'b')"
FIND = (
    "INSERT INTO findings (job_id, bucket, key, etag, detector) "
    "VALUES (gen_random_uuid(), 'b', 'k', 'e', 'd') RETURNING id"
)
OLDER_API = [
    "SELECT * FROM job_progress",
    "SELECT * FROM active_jobs_progress",
    "SELECT * FROM job_statistics",
    "SELECT * FROM materialized_view_refresh_log",
    "SELECT * FROM jobs",
    """SELECT jobs.job_id, jobs.bucket, count(*) FILTER (WHERE o.status = 'queued'), max(o.updated_at),
              (SELECT count(*) FROM findings AS f WHERE f.job_id = jobs.job_id)
       FROM jobs LEFT JOIN job_objects AS o ON o.job_id = jobs.job_id GROUP BY jobs.job_id""",
]


@pytest.mark.parametrize(
    ("role", "sql"),
    [
        ("scanner_app", WRITE),
        ("scanner_app", FIND),
        ("scanner_app", "UPDATE job_objects SET status = 'failed'"),
        ("scanner_app", "DELETE FROM jobs"),
        ("progress_refresher", "SELECT refresh_job_progress()"),
        ("progress_refresher", "SELECT * FROM measure_sessions()"),
        ("scanner_doctor", "SELECT * FROM measure_sessions()"),
        ("scanner_doctor", "SELECT job_id, status, updated_at FROM job_objects"),
        ("scanner_doctor", "SELECT job_id FROM findings"),
        ("scanner_doctor", "SELECT job_id, created_at, updated_at FROM jobs"),
        ("scanner_doctor", "SELECT * FROM job_progress_live"),
        ("scanner_doctor", "SELECT * FROM schema_migrations"),
        ("scanner_doctor", "SELECT sum(size) FROM pg_ls_waldir()"),
        ("progress_reader", "SELECT * FROM job_progress"),
        ("progress_reader", "SELECT * FROM job_progress_direct"),
        ("progress_reader", "SELECT * FROM active_jobs_progress"),
        ("progress_reader", "SELECT * FROM job_statistics"),
        ("progress_reader", "SELECT * FROM materialized_view_refresh_log"),
        ("progress_reader", "SELECT should_refresh_progress(now())"),
        # The status API of an older deployment, which counts rows where the view is too old, runs as either.
        *((role, sql) for role in ("scanner_app", "progress_reader") for sql in OLDER_API),
    ],
)
def test_a_role_may_do_its_work(database: TestDatabase, role: str, sql: str) -> None:
    database.query(sql, user=role)


@pytest.mark.parametrize(
    ("role", "sql"),
    [
        ("scanner_app", "TRUNCATE findings"),
        ("scanner_app", "SELECT refresh_job_progress()"),
        ("scanner_app", "CREATE TABLE mine (a int)"),
        ("progress_refresher", "SELECT * FROM jobs"),
        ("progress_refresher", "SELECT * FROM job_progress"),
        ("progress_refresher", WRITE),
        ("progress_refresher", "REFRESH MATERIALIZED VIEW job_progress"),
        ("progress_reader", "SELECT * FROM findings"),
        ("progress_reader", "SELECT key FROM job_objects"),
        ("progress_reader", "SET TRANSACTION READ WRITE; UPDATE jobs SET updated_at = now()"),
        ("progress_reader", "SELECT refresh_job_progress()"),
        ("progress_reader", "SELECT * FROM schema_migrations"),
        ("progress_reader", "SELECT * FROM measure_sessions()"),
        ("scanner_app", "SELECT * FROM measure_sessions()"),
        ("scanner_doctor", "SELECT * FROM findings"),
        ("scanner_doctor", "SELECT key FROM job_objects"),
        ("scanner_doctor", "SELECT refresh_job_progress()"),
        ("scanner_doctor", "SET TRANSACTION READ WRITE; DELETE FROM jobs"),
    ],
)
def test_a_role_may_do_nothing_else(database: TestDatabase, role: str, sql: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.query(sql, user=role)


@pytest.mark.parametrize(
    ("role", "setting", "value"),
    [
        ("scanner_app", "statement_timeout", "5min"),
        ("scanner_app", "idle_in_transaction_session_timeout", "1min"),
        ("progress_refresher", "statement_timeout", "280s"),
        ("progress_refresher", "lock_timeout", "10s"),
        ("progress_reader", "statement_timeout", "2s"),
        ("progress_reader", "default_transaction_read_only", "on"),
        ("progress_reader", "enable_seqscan", "off"),
        ("progress_reader", "enable_bitmapscan", "off"),
        ("progress_reader", "jit", "off"),
        ("scanner_doctor", "default_transaction_read_only", "on"),
        ("scanner_doctor", "statement_timeout", "20s"),
        ("scanner_doctor", "lock_timeout", "2s"),
    ],
)
def test_settings_come_with_the_role(database: TestDatabase, role: str, setting: str, value: str) -> None:
    assert database.query(f"SHOW {setting}", user=role) == [(value,)]


@pytest.mark.parametrize("role", ["progress_refresher", "progress_reader", "scanner_doctor"])
def test_a_default_of_the_database_leaves_reads_and_refreshes_at_read_committed(
    database: TestDatabase, role: str
) -> None:
    database.query(f"ALTER DATABASE {database.name} SET default_transaction_isolation = 'serializable'")
    assert database.query("SHOW transaction_isolation", user="scanner_app") == [("serializable",)]
    assert database.query("SHOW transaction_isolation", user=role) == [("read committed",)]


@pytest.mark.parametrize("role", ["scanner_app", "progress_refresher", "progress_reader", "scanner_doctor"])
def test_each_role_signs_in_with_iam_and_has_no_password(database: TestDatabase, role: str) -> None:
    member = "SELECT pg_has_role(%s, 'rds_iam', 'MEMBER')"
    assert database.query(member, (role,)) == [(True,)]
    connection = psycopg2.connect(database.server.dsn(user="postgres", database=database.name))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = %s", (role,))
        assert cursor.fetchone() == (True,)
    connection.close()
