"""`scannerdb retire` lists and deletes old finished jobs, asks first, and can be stopped at any point."""

from __future__ import annotations

import json
import signal
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from handlers.progress import retirement
from tests.support.command_line import dsn, scannerdb, start_scannerdb
from tests.support.processes import wait_until
from tests.support.progress import DIFFERENCES
from tests.support.retiring import batch, held, large_old_job, left, old_job

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

DONE = {"succeeded": 5, "failed": 2}
IDLE = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'scannerdb' AND state = 'idle'"
INTERRUPTED = "what is deleted stays deleted; the same command goes on from there"


def retire(database: TestDatabase, *options: str, age: str = "90d", code: int = 0) -> None:
    scannerdb("retire", "--older-than", age, *options, "--dsn", dsn(database), code=code)


def test_a_dry_run_lists_the_jobs_with_counts_and_bytes_and_changes_nothing(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [old_job(database, DONE, findings=3, days=days) for days in (200, 100)]
    old_job(database, DONE, days=10)
    retire(database, "--dry-run")
    *lines, summary = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == jobs
    assert lines[0].endswith("  7 objects, 3 findings")
    assert summary.startswith("2 jobs with 14 objects and 6 findings (about 0.00 GiB).")
    retire(database, "--dry-run", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["objects"], answer["findings"], [job["job_id"] for job in answer["jobs"]]) == (14, 6, jobs)
    # Of the pages of three jobs two thirds.
    ((size,),) = database.query(
        "SELECT pg_total_relation_size('job_objects') * 2 / 3 + pg_total_relation_size('findings')"
    )
    assert answer["bytes"] == pytest.approx(size, abs=2)
    assert left(database, jobs[0]) == (1, 7, 3)


def test_the_jobs_are_retired_and_the_rest_stays(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    old, young, active = (
        old_job(database, DONE, findings=3),
        old_job(database, DONE, days=80),
        old_job(database, {"queued": 1}),
    )
    retire(database, "--yes")
    printed = capsys.readouterr()
    assert printed.out == "Retired 1 job: 7 objects and 3 findings deleted.\n"
    assert "1 job with 7 objects and 3 findings (about 0.00 GiB) will be deleted. This cannot be undone." in printed.err
    assert [left(database, job)[0] for job in (old, young, active)] == [0, 1, 1]
    retire(database, "--yes")
    assert capsys.readouterr().out == "No job is finished and old enough.\n"
    retire(database, "--yes", "--json", age="79d")
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"jobs": 1, "objects": 7, "findings": 0, "kept": {}, "left": 0}


def test_the_status_of_a_retired_job_says_when_it_was_retired(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    job = old_job(database, DONE)
    batch(database, job)
    scannerdb("status", job, "--watch", "--dsn", dsn(database))
    assert f"Job {job}  completed  retired {datetime.now().astimezone():%Y-%m-%d}" in capsys.readouterr().out


def test_nothing_is_deleted_without_a_confirmation(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    job = old_job(database, DONE)
    retire(database, code=1)
    assert capsys.readouterr().err.endswith("so the question cannot be asked; add --yes\n")
    assert left(database, job) == (1, 7, 0)


@pytest.mark.parametrize("age", ["90", "ninety days", "-1d", "1w", "", "90m", "23h"])
def test_an_age_that_is_none_is_refused(database: TestDatabase, age: str) -> None:
    retire(database, "--yes", age=age, code=2)


def test_a_job_whose_rows_others_hold_is_left_and_named_by_the_exit_code(
    database: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retirement.retire, "__kwdefaults__", {"patience_s": 0.2})
    held_job, other = old_job(database, {"succeeded": 3}), old_job(database, {"failed": 2})
    holder = held(database, f"SELECT FROM job_objects WHERE job_id = '{held_job}' AND key = 'succeeded2' FOR UPDATE")
    retire(database, "--yes", code=1)
    holder.rollback()
    holder.close()
    first, second = capsys.readouterr().out.splitlines()
    assert first == "Retired 1 job: 4 objects and 0 findings deleted."
    assert second.startswith("1 job left: other sessions held rows for ")
    assert (left(database, held_job), left(database, other)) == ((1, 1, 0), (0, 0, 0))
    retire(database, "--yes")
    assert left(database, held_job) == (0, 0, 0)


def test_a_job_that_was_written_to_while_it_was_deleted_is_told_with_what_it_lost(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    job = old_job(database, DONE)
    batch(database, job, 3)
    database.query("UPDATE job_objects SET updated_at = now() WHERE key = 'succeeded5'")
    retire(database, "--yes")
    assert capsys.readouterr().out.splitlines() == [
        "Retired 0 jobs: 0 objects and 0 findings deleted.",
        f"{job} was written to, so it stays; 3 objects of it were deleted before.",
    ]
    assert left(database, job) == (1, 4, 0)


def test_a_lock_on_a_table_makes_it_wait_and_no_writer_with_it(database: TestDatabase) -> None:
    job = old_job(database, DONE)
    holder = held(database, "LOCK TABLE job_objects IN SHARE MODE", "scanner_admin")  # as CREATE INDEX
    process = start_scannerdb("retire", "--older-than", "90d", "--yes", "--dsn", dsn(database))
    wait_until(lambda: database.query(IDLE))
    assert left(database, job)[1] == 7
    holder.rollback()
    holder.close()
    assert process.wait(timeout=20) == 0
    assert left(database, job) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["ctrl-c", "deadline"])
def test_it_stops_in_the_middle_and_the_same_command_goes_on(database: TestDatabase, way: str) -> None:
    job = large_old_job(database, 60_000)
    arguments = ["retire", "--older-than", "90d", "--yes", "--dsn", dsn(database)]
    process = start_scannerdb(*arguments, *(["--deadline-s", "0.15"] if way == "deadline" else []))
    if way == "ctrl-c":
        wait_until(lambda: database.query("SELECT 1 FROM retired_jobs"))
        process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=20)
    assert process.returncode == (130 if way == "ctrl-c" else 1)
    assert complaint.splitlines()[-1].endswith(f"; {INTERRUPTED}")
    assert "Traceback" not in complaint
    assert left(database, job)[0] == 1
    assert database.query(DIFFERENCES) == []
    retire(database, "--yes")
    assert left(database, job) == (0, 0, 0)


def test_a_table_of_others_that_references_a_job_stops_it_with_its_name(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    job = old_job(database, DONE)
    database.query("CREATE TABLE reports (job_id uuid REFERENCES jobs)")
    database.query("INSERT INTO reports VALUES (%s)", (job,))
    retire(database, "--yes", code=1)
    assert 'violates foreign key constraint "reports_job_id_fkey" on table "reports"' in capsys.readouterr().err
    assert left(database, job) == (1, 7, 0)
    assert database.query(DIFFERENCES) == []
