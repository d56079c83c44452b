"""The synthetic scan: what it plans, and what it leaves in the database."""

from datetime import UTC, datetime, timedelta

import pytest

from lab.embedded_postgres import EmbeddedPostgres
from lab.scan import plan_scan, write_scan
from tests.support.database import TestDatabase


def test_the_first_job_holds_half_and_no_object_is_lost() -> None:
    jobs = plan_scan(100_003)
    assert len(jobs) == 20
    assert jobs[0].objects == 50_001
    assert sum(job.objects for job in jobs) == 100_003
    others = [job.objects for job in jobs[1:]]
    assert max(others) - min(others) <= 1


def test_only_the_last_job_is_younger_than_five_minutes() -> None:
    now = datetime.now(UTC)
    jobs = plan_scan(1000, now=now)
    assert [job for job in jobs if now - job.created_at < timedelta(minutes=5)] == [jobs[-1]]


def test_some_jobs_are_complete_and_some_still_run() -> None:
    jobs = plan_scan(1000)
    complete = [job for job in jobs if job.done == job.objects]
    assert 5 <= len(complete) <= 15
    assert 0 < jobs[0].done < jobs[0].objects, "the large job still runs"
    assert plan_scan(1000, now=jobs[-1].created_at) == plan_scan(1000, now=jobs[-1].created_at)


@pytest.mark.parametrize(("objects", "jobs"), [(0, 20), (19, 20), (100, 1), (-5, 2)])
def test_too_few_objects_are_refused_with_the_numbers(objects: int, jobs: int) -> None:
    with pytest.raises(ValueError, match=f"^{objects} objects cannot make {jobs} jobs"):
        plan_scan(objects, jobs=jobs)


def test_the_scanners_own_role_writes_what_was_planned(postgres: EmbeddedPostgres, database: TestDatabase) -> None:
    jobs = plan_scan(2000)
    batches: list[int] = []
    dsn = postgres.dsn(user="scanner_app", database=database.name)
    write_scan(dsn, jobs, batch_objects=300, on_progress=batches.append)
    assert sum(batches) == 2000
    assert max(batches) == 300
    database.query("SELECT refresh_job_progress()")
    counted = {
        row[0]: row[1:]
        for row in database.query(
            "SELECT job_id::text, total_objects, succeeded_count + failed_count, failed_count, total_findings "
            "FROM job_progress"
        )
    }
    for job in jobs:
        total, done, failed, findings = counted[str(job.job_id)]
        assert (total, done) == (job.objects, job.done)
        assert failed == sum(number % 40 == 39 for number in range(job.done))
        assert findings == sum(number % 50 == 0 for number in range(job.done))


def test_a_writer_that_fails_or_is_interrupted_stops_the_other_one(
    postgres: EmbeddedPostgres, database: TestDatabase
) -> None:
    batches: list[int] = []

    def interrupt(objects: int) -> None:
        batches.append(objects)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scan(
            postgres.dsn(user="scanner_app", database=database.name),
            plan_scan(20_000),
            batch_objects=100,
            on_progress=interrupt,
        )
    assert len(batches) in {1, 2}
    assert database.query("SELECT count(*) <= 200 FROM job_objects") == [(True,)]
