"""A retired job leaves with all its rows, in parts that are exact at any moment; a job that is written to stays."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg2.errors
import pytest

from tests.support.migrating import migrate, roll_back, roll_back_to
from tests.support.partitioning import differences, finish, partition
from tests.support.progress import DIFFERENCES, REFRESHED_DIFFERENCES
from tests.support.retiring import AGE, PROGRESS, age, batch, held, large_old_job, left, old_job
from tests.support.schema import schema

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

DONE = {"succeeded": 5, "failed": 2}
CLAIMS = "SELECT count(*) FROM retired_jobs WHERE deleted_at IS NULL"
LISTED = "SELECT job_id, objects, findings, deleted_objects FROM retirable_jobs(%s)"


def listed(database: TestDatabase) -> list[tuple[Any, ...]]:
    return database.query(LISTED, (AGE,), user="progress_refresher")


def assert_exact(database: TestDatabase) -> None:
    """Known progress is what a full count says, before and after a refresh."""
    assert database.query(DIFFERENCES) == []
    database.query("SELECT refresh_job_progress()")
    assert database.query(DIFFERENCES) == []
    assert database.query(REFRESHED_DIFFERENCES) == []


def test_a_finished_old_job_leaves_with_its_rows_and_its_progress_stays(database: TestDatabase) -> None:
    job, other = old_job(database, DONE, findings=3), old_job(database, {"queued": 1}, findings=2)
    (progress,) = database.query(f"SELECT {PROGRESS} FROM job_progress_live WHERE job_id = %s", (job,))
    assert batch(database, job) == ("retired", 7, 3)
    assert (left(database, job), left(database, other)) == ((0, 0, 0), (1, 1, 2))
    assert database.query(f"SELECT {PROGRESS} FROM retired_jobs") == [progress]
    assert database.query("SELECT deleted_at >= retired_at FROM retired_jobs") == [(True,)]
    assert_exact(database)


@pytest.mark.parametrize("partitioned", [False, True])
def test_a_job_leaves_in_batches_and_is_exact_and_complete_after_each(
    database: TestDatabase, *, partitioned: bool
) -> None:
    job = old_job(database, {"succeeded": 23, "failed": 8}, findings=11)
    other = old_job(database, {"succeeded": 40}, findings=5, days=1)
    if partitioned:
        partition(database)
        finish(database)
    states = []
    while not states or states[-1] == "deleting":
        state, objects, findings = batch(database, job, 4)
        assert objects + findings <= 4
        states.append(state)
        assert_exact(database)
        # Never without objects: it would be listed as active.
        assert database.query("SELECT count(*) FROM active_jobs_progress") == [(0,)]
    assert (states[-1], len(states)) == ("retired", 11)
    assert (left(database, job), left(database, other)) == ((0, 0, 0), (1, 40, 5))


def test_a_job_leaves_both_tables_while_one_is_made_of_the_other(database: TestDatabase) -> None:
    job = old_job(database, DONE, findings=2)
    old_job(database, DONE, days=1)
    partition(database, until_copied=True)
    assert batch(database, job, 5) == ("deleting", 3, 2)
    assert batch(database, job, 5) == ("retired", 4, 0)
    assert differences(database) == []
    partition(database)
    assert_exact(database)


@pytest.mark.parametrize(
    ("statuses", "days"),
    [({"succeeded": 3, "queued": 1}, 100), ({"processing": 1}, 100), ({"succeeded": 3}, 89), ({}, 89)],
)
def test_a_job_that_is_not_finished_or_too_young_stays(
    database: TestDatabase, statuses: dict[str, int], days: float
) -> None:
    job = old_job(database, statuses, days=days)
    assert listed(database) == []
    assert batch(database, job) == ("kept", 0, 0)
    assert left(database, job)[0] == 1
    assert database.query("SELECT count(*) FROM retired_jobs") == [(0,)]


@pytest.mark.parametrize("column", ["created_at", "updated_at"])
def test_the_age_counts_from_the_newest_time_of_the_job_and_its_objects(database: TestDatabase, column: str) -> None:
    job = old_job(database, {"succeeded": 3})
    database.query(f"UPDATE jobs SET {column} = now()")
    assert listed(database) == []
    age(database, job, 100)
    database.query("UPDATE job_objects SET updated_at = now() WHERE key = 'succeeded2'")
    assert listed(database) == []


def test_a_job_without_objects_leaves_too(database: TestDatabase) -> None:
    job = old_job(database, {}, findings=2)
    assert batch(database, job, 2) == ("deleting", 0, 2)
    assert batch(database, job, 2) == ("retired", 0, 0)
    assert_exact(database)


def test_what_begun_first_is_listed_first_and_goes_on(database: TestDatabase) -> None:
    oldest, begun = old_job(database, DONE, days=200), old_job(database, DONE, findings=1)
    batch(database, begun, 3)
    assert listed(database) == [(begun, 5, 0, 2), (oldest, 7, 0, 0)]
    assert batch(database, begun, age=timedelta(days=1000)) == ("retired", 5, 0)


WRITES = {
    "an object": "INSERT INTO job_objects (job_id, bucket, key, etag, status) VALUES (%s, 'b', 'new', 'e', 'queued')",
    "a done one": "INSERT INTO job_objects (job_id, bucket, key, etag, status) VALUES (%s, 'b', 'new', 'e', 'failed')",
    "a status": "UPDATE job_objects SET status = 'queued', updated_at = now() WHERE job_id = %s AND key = 'succeeded5'",
    "a status without its time": "UPDATE job_objects SET status = 'queued' WHERE job_id = %s AND key = 'succeeded5'",
    "a time": "UPDATE job_objects SET updated_at = now() WHERE job_id = %s AND key = 'succeeded5'",
    "a finding": "INSERT INTO findings (job_id, bucket, key, etag, detector) VALUES (%s, 'b', 'k', 'e', 'd')",
    "the job": "UPDATE jobs SET updated_at = now() WHERE job_id = %s",
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_job_that_is_written_to_while_it_is_deleted_stays_with_the_rest(database: TestDatabase, write: str) -> None:
    job = old_job(database, DONE, findings=3)
    assert batch(database, job, 5) == ("deleting", 2, 3)
    database.query(write, (job,), user="scanner_app")
    rows = left(database, job)
    assert batch(database, job, 5) == ("kept", 0, 0)
    assert left(database, job) == rows
    assert database.query("SELECT count(*) FROM retired_jobs") == [(0,)]
    assert_exact(database)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_that_is_not_committed_yet_keeps_the_job_too(database: TestDatabase, write: str) -> None:
    # A finding has no foreign key, so one that is not committed is known to no other.
    job = old_job(database, DONE, findings=3)
    if "findings" in write:
        batch(database, job, 5)
    writer = database.connect("scanner_app")
    writer.autocommit = False
    writer.cursor().execute(write, (job,))
    state, *_ = batch(database, job, 5)
    assert state in {"busy", "deleting"}
    writer.commit()
    writer.close()
    rows = left(database, job)
    assert batch(database, job) == ("kept", 0, 0)
    assert left(database, job) == rows
    assert_exact(database)


def test_rows_that_another_holds_are_passed_over_and_deleted_later(database: TestDatabase) -> None:
    job = old_job(database, DONE, findings=3)
    holder = held(database, "SELECT FROM job_objects WHERE key = 'succeeded1' FOR UPDATE")
    assert batch(database, job) == ("busy", 6, 3)
    assert batch(database, job) == ("busy", 0, 0)
    holder.rollback()
    holder.close()
    assert batch(database, job) == ("retired", 1, 0)
    assert_exact(database)


def test_two_runs_meet_without_waiting_and_share_the_rows(database: TestDatabase) -> None:
    job = old_job(database, DONE, findings=3)
    other = held(database, f"SELECT * FROM retire_job('{job}', '90 days', 4)", "progress_refresher")
    with pytest.raises(psycopg2.errors.LockNotAvailable):  # both are about to claim it
        batch(database, job, 4)
    other.commit()
    other.cursor().execute(f"SELECT * FROM retire_job('{job}', '90 days', 4)")
    assert batch(database, job, 4) == ("busy", 0, 0)
    other.commit()
    other.close()
    assert batch(database, job, 4) == ("retired", 2, 0)
    assert_exact(database)


@pytest.mark.parametrize("partitioned", [False, True])
def test_rows_are_deleted_by_address_also_where_the_statistics_are_those_of_an_empty_table(
    database: TestDatabase, *, partitioned: bool
) -> None:
    if partitioned:
        partition(database)
        finish(database)
    for table in ("job_objects", "findings"):
        database.query(f"ANALYZE {table}")
    job = large_old_job(database, 2000)
    connection, plans = database.connect("postgres"), []
    with connection.cursor() as cursor:
        cursor.execute("LOAD 'auto_explain'")
        cursor.execute("SET auto_explain.log_min_duration = 0")
        cursor.execute("SET auto_explain.log_nested_statements = on")
        cursor.execute("SET client_min_messages = log")
        for _ in range(12):  # more than the first five, whose plans are made for their arrays
            connection.notices.clear()
            cursor.execute("SELECT state FROM retire_job(%s, '90 days', 150)", (job,))
            plans += [notice for notice in connection.notices if "Delete on" in notice]
    connection.close()
    assert len(plans) == 24
    # An index scan would compare each row of the job with each address.
    assert [plan for plan in plans if "Index" in plan or "Seq Scan" in plan] == []


def test_a_job_that_came_back_under_its_id_is_retired_again(database: TestDatabase) -> None:
    job = old_job(database, DONE)
    batch(database, job)
    database.query("INSERT INTO jobs (job_id, bucket) VALUES (%s, 'again')", (job,))
    assert batch(database, job) == ("kept", 0, 0)
    age(database, job, 100)
    assert batch(database, job, 1) == ("retired", 0, 0)
    assert database.query("SELECT bucket, total_objects, deleted_objects FROM retired_jobs") == [("again", 0, 0)]


def test_a_job_that_was_deleted_by_others_is_forgotten_by_the_next_run(database: TestDatabase) -> None:
    job = old_job(database, DONE)
    batch(database, job, 3)
    database.query("DELETE FROM jobs WHERE job_id = %s", (job,))
    assert listed(database) == [(job, 0, 0, 3)]
    assert batch(database, job) == ("kept", 0, 0)
    assert database.query(CLAIMS) == [(0,)]
    assert_exact(database)


def test_a_finding_of_another_job_in_the_same_object_stays(database: TestDatabase) -> None:
    job, other = old_job(database, {"succeeded": 1}), old_job(database, {"succeeded": 1}, days=1)
    database.query(
        "INSERT INTO findings (job_id, bucket, key, etag, detector) "
        "SELECT job_id, bucket, key, etag, 'of ' || job_id FROM job_objects"
    )
    assert batch(database, job) == ("retired", 1, 1)
    assert database.query("SELECT job_id FROM findings") == [(other,)]


def test_times_that_an_older_table_lets_be_null_do_not_matter(database: TestDatabase) -> None:
    database.query("ALTER TABLE job_objects ALTER updated_at DROP NOT NULL, ALTER status DROP NOT NULL")
    database.query("ALTER TABLE jobs ALTER updated_at DROP NOT NULL, ALTER created_at DROP NOT NULL")
    job = old_job(database, {"succeeded": 3})
    database.query("UPDATE jobs SET updated_at = NULL")
    database.query("UPDATE job_objects SET updated_at = NULL")
    assert batch(database, job, 2) == ("deleting", 2, 0)
    assert batch(database, job, 2) == ("retired", 1, 0)
    never = old_job(database, {"succeeded": 3})
    database.query("UPDATE jobs SET created_at = NULL, updated_at = NULL")
    database.query("UPDATE job_objects SET updated_at = NULL")
    assert batch(database, never) == ("kept", 0, 0)


def test_a_retirement_that_sees_an_old_snapshot_is_refused(database: TestDatabase) -> None:
    job = old_job(database, DONE)
    connection = database.connect()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(psycopg2.errors.FeatureNotSupported, match="retire_job"):
            cursor.execute("SELECT retire_job(%s, '90 days', 5)", (job,))
    connection.close()


def test_no_age_of_less_than_a_day_is_accepted(database: TestDatabase) -> None:
    job = old_job(database, DONE)
    with pytest.raises(psycopg2.errors.InvalidParameterValue, match="1 day at least"):
        batch(database, job, age=timedelta(hours=23))


@pytest.mark.parametrize("role", ["scanner_app", "progress_reader", "scanner_doctor"])
def test_no_other_role_may_retire_a_job(database: TestDatabase, role: str) -> None:
    for call in ("retire_job(gen_random_uuid(), '1 day', 1)", "retirable_jobs('1 day')"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            database.query(f"SELECT * FROM {call}", user=role)


def test_statistics_are_of_the_jobs_that_are_there(database: TestDatabase) -> None:
    job = old_job(database, DONE, findings=3)
    old_job(database, {"queued": 2})
    batch(database, job)
    database.query("SELECT refresh_job_progress()")
    statistics = (
        "SELECT total_jobs, completed_jobs, total_objects_all_jobs, total_findings_all_jobs FROM job_statistics"
    )
    assert database.query(statistics) == [(1, 0, 2, 0)]


def test_a_rollback_keeps_the_progress_of_retired_jobs_and_a_deploy_finds_it_again(database: TestDatabase) -> None:
    retired, begun = old_job(database, DONE), old_job(database, DONE)
    batch(database, retired)
    batch(database, begun, 3)
    roll_back_to(database, 2)
    assert database.query("SELECT job_id FROM retired_jobs") == [(retired,)]
    assert left(database, begun) == (1, 4, 0)
    migrate(database)
    assert batch(database, begun) == ("retired", 4, 0)
    assert_exact(database)


def test_a_rollback_leaves_nothing_where_no_job_was_retired(database: TestDatabase) -> None:
    before = schema(database)
    roll_back(database)
    assert database.query("SELECT to_regclass('retired_jobs'), to_regproc('retire_job')") == [(None, None)]
    migrate(database)
    assert schema(database) == before


def test_a_migration_that_runs_between_two_batches_changes_nothing(database: TestDatabase) -> None:
    job = old_job(database, DONE)
    batch(database, job, 3)
    migrate(database)
    assert batch(database, job) == ("retired", 4, 0)
