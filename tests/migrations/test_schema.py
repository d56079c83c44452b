"""The schema that the migrations make is the published contract, and adopts what is there already."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import psycopg2.errors
import pytest

from handlers.errors import MigrationFailedError
from handlers.migrator.runner import run
from tests.support.database import MIGRATIONS, build_release
from tests.support.migrating import migrate, roll_back, roll_back_to
from tests.support.schema import SCHEMA, schema, schema_file

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

OLD_TABLES = """
CREATE TABLE jobs (job_id uuid PRIMARY KEY, bucket text NOT NULL, prefix text, execution_arn text,
                   created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE job_objects (job_id uuid REFERENCES jobs ON DELETE CASCADE, bucket text, key text, etag text,
                          status text CHECK (status IN ('queued', 'processing', 'succeeded', 'failed')),
                          last_error text, updated_at timestamptz DEFAULT now(),
                          PRIMARY KEY (job_id, bucket, key, etag));
CREATE TABLE findings (id bigserial PRIMARY KEY, job_id uuid NOT NULL, bucket text, key text, etag text, detector text,
                       masked_match text, context text, byte_offset int, created_at timestamptz DEFAULT now(),
                       UNIQUE (bucket, key, etag, detector, byte_offset));
"""
PROGRESS_COLUMNS = [
    *("job_id", "bucket", "prefix", "execution_arn", "created_at", "updated_at", "total_objects", "queued_count"),
    *(
        "processing_count",
        "succeeded_count",
        "failed_count",
        "total_findings",
        "progress_percent",
        "last_object_update",
    ),
]


def test_job_progress_has_the_published_columns_in_their_order(database: TestDatabase) -> None:
    columns = database.query(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'job_progress'::regclass AND attnum > 0 ORDER BY attnum"
    )
    assert [name for (name,) in columns] == PROGRESS_COLUMNS


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("idx_job_objects_job_status", "(job_id, status)"),
        ("idx_job_objects_job_updated", "(job_id, updated_at DESC)"),
        ("idx_job_objects_bucket_key_composite", "(bucket, key, job_id)"),
        ("idx_findings_job_detector", "(job_id, detector)"),
    ],
)
def test_each_composite_index_is_there_and_valid(database: TestDatabase, name: str, columns: str) -> None:
    ((definition, valid),) = database.query(
        "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index WHERE indexrelid = %s::regclass", (name,)
    )
    assert valid
    assert definition.endswith(columns)


def test_a_job_without_objects_is_at_zero_per_cent(database: TestDatabase) -> None:
    database.add_job({})
    database.query("SELECT refresh_job_progress()")
    assert database.query("SELECT total_objects, progress_percent FROM job_progress") == [(0, 0)]


def test_progress_counts_each_status_and_the_findings(database: TestDatabase) -> None:
    job_id = database.add_job({"queued": 1, "processing": 2, "succeeded": 4, "failed": 1}, findings=3)
    database.add_job({"succeeded": 2})
    database.query("SELECT refresh_job_progress()")
    for source in ("job_progress", "job_progress_direct"):
        assert database.query(
            f"SELECT total_objects, queued_count, processing_count, succeeded_count, failed_count, total_findings, "
            f"progress_percent FROM {source} WHERE job_id = %s",
            (job_id,),
        ) == [(8, 1, 2, 4, 1, 3, 62.5)]


def test_helper_views_tell_active_jobs_and_statistics(database: TestDatabase) -> None:
    database.add_job({"succeeded": 2}, findings=1)
    active = database.add_job({"succeeded": 1, "queued": 1})
    pending = database.add_job({"queued": 3})
    database.query("SELECT refresh_job_progress()")
    assert [job for (job,) in database.query("SELECT job_id FROM active_jobs_progress")] == [pending, active]
    assert database.query(
        "SELECT total_jobs, completed_jobs, in_progress_jobs, pending_jobs, total_objects_all_jobs, "
        "total_objects_processed, total_findings_all_jobs, avg_progress FROM job_statistics"
    ) == [(3, 1, 1, 1, 7, 3, 1, 50)]


def test_statistics_of_no_jobs_are_zeros(database: TestDatabase) -> None:
    assert database.query("SELECT total_jobs, total_objects_all_jobs, avg_progress FROM job_statistics") == [(0, 0, 0)]


def test_a_refresh_logs_itself_in_its_own_transaction(database: TestDatabase) -> None:
    database.add_job({"queued": 5})
    connection = database.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("SELECT refreshed, total_jobs, total_objects FROM refresh_job_progress()")
        assert cursor.fetchone() == (True, 1, 5)
    connection.rollback()
    connection.close()
    log = "SELECT total_jobs, total_objects FROM materialized_view_refresh_log WHERE view_name = 'job_progress'"
    assert database.query(log) == [(0, 0)]
    database.query("SELECT refresh_job_progress()")
    assert database.query(log) == [(1, 5)]


def test_a_policy_that_hides_rows_from_the_owner_stops_a_refresh(database: TestDatabase) -> None:
    database.add_job({"queued": 5})
    database.query("ALTER TABLE jobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security policy"):
        database.query("SELECT refresh_job_progress()", user="progress_refresher")
    database.query("ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY")
    assert database.query("SELECT total_jobs FROM refresh_job_progress()", user="progress_refresher") == [(1,)]


def test_should_refresh_progress_is_true_after_five_minutes(database: TestDatabase) -> None:
    ages = "SELECT should_refresh_progress(now() - %s::interval)"
    assert database.query(ages, ("5 minutes 1 second",)) == [(True,)]
    assert database.query(ages, ("4 minutes 59 seconds",)) == [(False,)]
    assert database.query("SELECT should_refresh_progress(NULL)") == [(True,)]


@pytest.mark.slow
def test_one_job_is_counted_by_index_scans_only(database: TestDatabase) -> None:
    job_id = database.add_job({"succeeded": 20_000}, findings=2_000)
    database.add_job({"succeeded": 50_000}, findings=20_000)
    database.query("ANALYZE")
    plan = database.query("EXPLAIN SELECT * FROM job_progress_direct WHERE job_id = %s", (job_id,))
    assert "Seq Scan on job_objects" not in str(plan)
    assert "Seq Scan on findings" not in str(plan)


def test_a_database_that_has_the_tables_and_data_is_adopted_untouched(empty_database: TestDatabase) -> None:
    empty_database.query(OLD_TABLES)
    job_id = empty_database.add_job({"succeeded": 3, "queued": 1}, findings=2)
    files = "SELECT relname, relfilenode FROM pg_class WHERE relname IN ('jobs', 'job_objects', 'findings') ORDER BY 1"
    before = empty_database.query(files)
    migrate(empty_database)
    assert empty_database.query(files) == before
    assert empty_database.query("SELECT job_id, total_objects, total_findings FROM job_progress") == [(job_id, 4, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("count", range(1, len(build_release(MIGRATIONS).migrations) + 1))
def test_rolling_back_and_forward_again_gives_the_same_schema(database: TestDatabase, count: int) -> None:
    before = schema(database)
    roll_back(database, count=count)
    assert schema(database) != before
    migrate(database)
    assert schema(database) == before


def test_the_schema_file_is_what_the_migrations_make(database: TestDatabase, empty_database: TestDatabase) -> None:
    if database.server.version >= 16:
        assert schema_file(database) == SCHEMA.read_text(), "run `make schema`"
    else:  # which prints a view's columns with the names of their tables
        empty_database.query(f"SET check_function_bodies = off; {SCHEMA.read_text()}")
        assert schema_file(database) == schema_file(empty_database), "run `make schema`"


def test_rolling_back_the_first_migration_refuses_while_there_are_rows(database: TestDatabase) -> None:
    roll_back_to(database, 1)
    database.add_job({"queued": 1})
    with pytest.raises(MigrationFailedError, match="rolling back 001 would drop tables that hold rows"):
        roll_back(database)
    assert database.query("SELECT count(*) FROM job_objects") == [(1,)]


def test_rolling_back_the_first_migration_waits_for_a_writer_and_then_refuses(database: TestDatabase) -> None:
    roll_back_to(database, 1)
    writer = database.connect()
    writer.autocommit = False
    with writer.cursor() as cursor:
        cursor.execute("INSERT INTO jobs (job_id, bucket) VALUES (gen_random_uuid(), 'b')")
    refusals: list[str] = []

    def attempt() -> None:
        try:
            roll_back(database)
        except MigrationFailedError as refusal:
            refusals.append(str(refusal))

    attempts = threading.Thread(target=attempt)
    attempts.start()
    time.sleep(1)
    writer.commit()
    writer.close()
    attempts.join()
    assert "would drop tables that hold rows" in refusals[0]
    assert database.query("SELECT count(*) FROM jobs") == [(1,)]


@pytest.mark.parametrize(
    ("version", "done"),
    [(2, done) for done in (0, 1, 2, 5, 6, 8, 9, 13, 15, 16, 19, 22, 24, 26, 27, 28, 29, 30)]
    + [(3, done) for done in (0, 2, 4, 6, 10, 14, 17, 20, 23, 25, 26, 27, 28)],
)
def test_a_migration_that_stopped_anywhere_can_be_rolled_back(
    empty_database: TestDatabase, version: int, done: int
) -> None:
    release = build_release(MIGRATIONS)
    stopped = release.migrations[version - 1]
    run(empty_database.connect, replace(release, migrations=release.migrations[: version - 1]))
    before = schema(empty_database)
    for position in range(done):
        empty_database.query(stopped.statements[position].sql)
    empty_database.query(
        "INSERT INTO schema_migrations (version, name, checksum, applied_statements, release) "
        "VALUES (%s, %s, %s, %s, '')",
        (version, stopped.name, stopped.checksum, [statement.checksum for statement in stopped.statements[:done]]),
    )
    roll_back(empty_database)
    assert schema(empty_database) == before


def test_a_job_is_at_a_hundred_per_cent_with_its_last_object_and_not_before(database: TestDatabase) -> None:
    database.add_job({"succeeded": 20_000, "queued": 1})
    database.add_job({"succeeded": 1, "queued": 20_000})
    database.query("SELECT refresh_job_progress()")
    assert database.query("SELECT progress_percent FROM job_progress ORDER BY 1") == [(0,), (Decimal("99.99"),)]
    assert database.query("SELECT completed_jobs, in_progress_jobs, pending_jobs FROM job_statistics") == [(0, 2, 0)]


def test_nothing_in_another_schema_takes_the_place_of_what_a_refresh_calls(database: TestDatabase) -> None:
    # GIVEN a database in which anybody may create in public, as those born before PostgreSQL 15
    database.query("GRANT CREATE ON SCHEMA public TO public")
    database.query(
        "CREATE FUNCTION public.hashtextextended(text, int) RETURNS bigint LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$",
        user="scanner_app",
    )
    assert database.query("SELECT refreshed FROM refresh_job_progress()", user="progress_refresher") == [(True,)]
