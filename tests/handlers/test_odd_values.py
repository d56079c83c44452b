"""Values that PostgreSQL and older schemas allow break no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.progress import reads
from tests.support.command_line import dsn, scannerdb
from tests.support.migrating import migrate
from tests.support.old_deployment import OLD_TABLES
from tests.support.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import Databases, TestDatabase


# The last two are in Python's years where they were written, and not in UTC.
ODD_TIMES = ("infinity", "-infinity", "4000-01-01 BC", "12000-01-01", "0001-01-01 00:00+14", "9999-12-31 23:59-12")


@pytest.fixture(scope="module")
def old_tables_template(databases: Databases) -> Iterator[TestDatabase]:
    with databases.created("old_tables") as template:
        template.query(OLD_TABLES)
        migrate(template)
        template.close()
        yield template


@pytest.fixture
def old_tables(databases: Databases, old_tables_template: TestDatabase) -> Iterator[TestDatabase]:
    """A migrated database whose tables an older deployment made."""
    with databases.created("odd", template=old_tables_template.name) as database:
        yield database


@pytest.mark.parametrize("real_time", [False, True])
@pytest.mark.parametrize("state", ["active", "all"])
def test_jobs_without_a_time_are_the_last_of_the_pages(
    old_tables: TestDatabase, state: str, *, real_time: bool
) -> None:
    old_tables.query(
        "INSERT INTO jobs (bucket, prefix, created_at, updated_at) "
        "SELECT 'b', NULL, CASE WHEN n > 3 THEN now() - n * INTERVAL '1 hour' END, NULL FROM generate_series(1, 7) AS n"
    )
    old_tables.query("INSERT INTO job_objects SELECT job_id, 'b', 'k', 'e', 'queued' FROM jobs")
    old_tables.query("SELECT refresh_job_progress()")
    listed: list[str] = []
    cursor = None
    with Reader(old_tables) as reader:
        while True:
            page = reads.list_jobs(reader, state=state, limit=2, cursor=cursor, real_time=real_time)
            listed += [job["job_id"] for job in page["jobs"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        wanted = old_tables.query("SELECT job_id::text FROM jobs ORDER BY created_at DESC NULLS LAST, job_id DESC")
        assert listed == [job_id for (job_id,) in wanted]
        assert reads.job_status(reader, listed[-1], real_time=real_time)["created_at"] is None
        assert reads.statistics(reader, real_time=real_time)["total_jobs"] == 7


@pytest.mark.parametrize("real_time", [False, True])
@pytest.mark.parametrize(
    "time", ["infinity", "-infinity", "4000-01-01 BC", "12000-01-01", "0001-01-01 00:00+14", "9999-12-31 23:59-12"]
)
def test_a_time_that_python_does_not_know_breaks_no_answer(
    old_tables: TestDatabase, time: str, *, real_time: bool
) -> None:
    old_tables.query(
        "INSERT INTO jobs (bucket, created_at, updated_at) VALUES ('odd', %(time)s, %(time)s), ('b', now(), now())",
        {"time": time},
    )
    old_tables.query("INSERT INTO job_objects SELECT job_id, 'b', 'k', 'e', 'queued', NULL, %s FROM jobs", (time,))
    old_tables.query("SELECT refresh_job_progress()")
    with Reader(old_tables) as reader:
        jobs = reads.list_jobs(reader, state="active", limit=10, cursor=None, real_time=real_time)["jobs"]
        assert {job["bucket"] for job in jobs} == {"odd", "b"}
        for job in jobs:
            assert reads.job_status(reader, job["job_id"], real_time=real_time)["total"] == 1
        assert reads.statistics(reader, real_time=real_time)["total_jobs"] == 2


@pytest.mark.parametrize("real_time", [False, True])
def test_findings_without_an_etag_and_objects_without_a_time_are_counted(
    old_tables: TestDatabase, *, real_time: bool
) -> None:
    job_id = old_tables.add_job({"queued": 2})
    old_tables.query(
        "INSERT INTO findings (job_id, bucket, key, etag, detector, masked_match, byte_offset) "
        "VALUES (%(job)s, 'b', 'k', NULL, 'd', 'x', 1), (%(job)s, 'b', 'k', NULL, 'd', 'x', 1)",
        {"job": job_id},
    )
    old_tables.query("UPDATE job_objects SET updated_at = NULL")
    old_tables.query("SELECT refresh_job_progress()")
    with Reader(old_tables) as reader:
        answer = reads.job_status(reader, job_id, real_time=real_time)
    assert (answer["total"], answer["total_findings"]) == (2, 2)
    assert old_tables.query("SELECT * FROM verify_job_progress()") == []


@pytest.mark.parametrize("time", [None, "infinity", "4000-01-01 BC"])
@pytest.mark.parametrize("options", [["--real-time"], ["--json"], []])
def test_the_command_line_shows_a_job_of_an_odd_time(
    old_tables: TestDatabase, capsys: pytest.CaptureFixture[str], time: str | None, options: list[str]
) -> None:
    job_id = old_tables.add_job({"queued": 1})
    old_tables.query("UPDATE jobs SET created_at = %(time)s, updated_at = %(time)s", {"time": time})
    old_tables.query("SELECT refresh_job_progress()")
    scannerdb("status", job_id, *options, "--dsn", dsn(old_tables))
    assert job_id in capsys.readouterr().out
    scannerdb("status", *options, "--dsn", dsn(old_tables))
    assert job_id[:8] in capsys.readouterr().out


def test_a_job_with_an_empty_execution_arn_has_no_execution_to_wait_for(old_tables: TestDatabase) -> None:
    job_id = old_tables.add_job({})
    old_tables.query("UPDATE jobs SET execution_arn = ''")
    with Reader(old_tables) as reader:
        assert reads.job_status(reader, job_id, real_time=False)["status"] == "completed"


def test_lists_and_statistics_are_live_while_job_progress_is_not_filled(old_tables: TestDatabase) -> None:
    old_tables.add_job({"queued": 1})
    old_tables.query("REFRESH MATERIALIZED VIEW job_progress WITH NO DATA")
    with Reader(old_tables) as reader:
        page = reads.list_jobs(reader, state="active", limit=10, cursor=None, real_time=False)
        assert (page["data_source"], len(page["jobs"])) == ("real_time", 1)
        assert reads.statistics(reader, real_time=False)["data_source"] == "real_time"
