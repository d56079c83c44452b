"""`scannerdb status`: the same numbers as the API's, once and live, through lost connections, in any width."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from rich.console import Console

from lab.scan import ScanJob, write_scan
from scannerdb.status.job_rate import JobRate, short
from scannerdb.status.view import StatusView
from tests.support.command_line import dsn, scannerdb, start_scannerdb

if TYPE_CHECKING:
    from tests.support.database import TestDatabase


def finish(database: TestDatabase, job_id: str) -> None:
    database.query("UPDATE job_objects SET status = 'succeeded' WHERE job_id = %s", (job_id,))


def test_all_active_jobs_are_told_with_the_age_of_the_numbers(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = database.add_job({"queued": 3, "succeeded": 1})
    database.add_job({"succeeded": 1})
    scannerdb("refresh", "--dsn", dsn(database), "--quiet")
    assert capsys.readouterr().out == ""
    scannerdb("status", "--dsn", dsn(database))
    head, _, row = capsys.readouterr().out.splitlines()
    assert head.startswith("1 active job  as of ")
    assert row.split()[0] == job_id[:8]
    assert "25.0 %" in row
    scannerdb("status", "--dsn", dsn(database), "--real-time", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["data_source"], answer["jobs"][0]["progress_percent"]) == ("real_time", 25.0)


def test_without_an_active_job_in_job_progress_the_way_to_later_ones_is_told(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    scannerdb("refresh", "--dsn", dsn(database), "--quiet")
    scannerdb("status", "--dsn", dsn(database))
    assert re.fullmatch(
        r"No job is active\.  as of \S+, \S+ (m?s) ago; a later one: --real-time\n", capsys.readouterr().out
    )
    scannerdb("status", "--dsn", dsn(database), "--real-time")
    assert capsys.readouterr().out == "No job is active.  exact now\n"


def test_one_job_is_told_in_full_by_the_beginning_of_its_id(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = database.add_job({"queued": 1, "failed": 2}, findings=3)
    scannerdb("status", job_id[:6], "--dsn", dsn(database))
    out = capsys.readouterr().out
    assert f"Job {job_id}  processing  exact now" in out
    assert "1 queued  0 processing  0 succeeded  2 failed" in out
    assert "2 of 3 objects done, 3 findings" in out


def test_an_id_that_no_job_has_is_an_error(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("status", str(uuid4()), "--dsn", dsn(database), code=1)
    assert "no job has the id" in capsys.readouterr().err
    scannerdb("status", "zz", "--dsn", dsn(database), code=1)
    assert "no active job begins with 'zz'; a job that is done needs its whole id" in capsys.readouterr().err


def test_an_id_that_two_jobs_begin_with_lists_them(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [database.add_job({"queued": 1}) for _ in range(17)]
    first = next(job[0] for job in jobs if sum(other[0] == job[0] for other in jobs) > 1)
    scannerdb("status", first, "--dsn", dsn(database), code=1)
    assert f"active jobs begin with '{first}': " in capsys.readouterr().err


def test_watching_a_scan_that_runs_ends_when_it_is_done(database: TestDatabase) -> None:
    job = ScanJob(job_id=uuid4(), bucket="b", prefix="p/", created_at=datetime.now(UTC), objects=3000, done=3000)
    # The job is known before its objects, so that there is something to watch from the first look.
    unfinished = ScanJob(job_id=uuid4(), bucket="b", prefix="q/", created_at=job.created_at, objects=10, done=0)
    write_scan(database.server.dsn(user="scanner_app", database=database.name), [unfinished])

    watch = start_scannerdb("status", "--dsn", dsn(database), "--watch", "--real-time", "--interval", "0.1", "--json")
    assert watch.stdout is not None
    answers = [json.loads(watch.stdout.readline())]
    write_scan(
        database.server.dsn(user="scanner_app", database=database.name),
        [job],
        batch_objects=300,
        on_progress=lambda _: time.sleep(0.1),
    )
    finish(database, str(unfinished.job_id))
    printed, _ = watch.communicate(timeout=30)
    answers += map(json.loads, printed.splitlines())
    assert watch.returncode == 0
    assert len(answers) > 3
    assert answers[-1]["jobs"] == []
    assert any(answer["jobs"][0]["progress_percent"] < 100 for answer in answers[:-1])


def test_a_watched_job_shows_its_rate_and_the_time_left(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = database.add_job({"queued": 400})

    def work() -> None:
        for done in range(0, 400, 20):
            database.query(
                "UPDATE job_objects SET status = 'succeeded' WHERE job_id = %s AND key IN "
                "(SELECT 'queued' || n FROM generate_series(%s, %s) AS n)",
                (job_id, done + 1, done + 20),
            )
            time.sleep(0.05)

    worker = threading.Thread(target=work)
    worker.start()
    scannerdb("status", job_id, "--dsn", dsn(database), "--watch", "--real-time", "--interval", "0.1")
    worker.join()
    out = capsys.readouterr().out
    assert "/s  about " in out
    assert "left" in out
    assert out.splitlines()[-1] == "400 of 400 objects done, 0 findings"


def test_a_lost_connection_is_waited_for(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    job_id = database.add_job({"queued": 1})

    def disturb() -> None:
        for _ in range(3):
            time.sleep(0.5)
            database.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = %s AND application_name = 'scannerdb'",
                (database.name,),
            )
        time.sleep(0.5)
        finish(database, job_id)

    other = threading.Thread(target=disturb)
    other.start()
    scannerdb("status", job_id, "--dsn", dsn(database), "--watch", "--real-time", "--interval", "0.2", "--json")
    other.join()
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lost = [answer for answer in answers if "error" in answer]
    assert len(lost) >= 3
    assert lost[0]["tries"] == 1
    assert answers[-1]["status"] == "completed"


def test_a_first_connection_that_fails_is_an_error_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("status", "--watch", "--dsn", "host=127.0.0.1 port=1", code=1)
    assert "Connection refused" in capsys.readouterr().err


def active(jobs: int, total: int = 10_000_000) -> dict[str, Any]:
    return {
        "jobs": [
            {
                "job_id": str(uuid4()),
                "bucket": "a-bucket-with-quite-a-long-name-for-its-kind",
                "prefix": "p/",
                "total": total,
                "succeeded": total // 2,
                "failed": 1,
                "progress_percent": 50,
            }
            for _ in range(jobs)
        ],
        "next_cursor": None,
        "data_source": "real_time",
    }


def drawn(view: StatusView, *, width: int, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, force_terminal=False)
    with console.capture() as captured:
        console.print(view)
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_fits_the_screen(width: int) -> None:
    view = StatusView()
    answer = active(40)
    view.show(answer, 0)
    for job in answer["jobs"]:
        job["succeeded"] += 1_234_567
    view.show(answer, 60)
    lines = drawn(view, width=width, height=24)
    assert max(map(len, lines)) <= width
    assert len(lines) < 24
    assert lines[0].startswith("40 active jobs; ")
    row = lines[2]
    assert (answer["jobs"][0]["job_id"] in row) == (width == 120)
    assert "20.6K" in row  # objects a second
    assert "62.3 %" not in row  # the percentage is the server's, not ours
    assert " 3 min" in row


def test_a_standstill_has_no_time_left_and_cached_numbers_are_seen_once() -> None:
    rate = JobRate()
    for at_s, done in ((0, 10), (0, 10), (10, 110), (10, 110)):
        rate.see(at_s, done)
    assert (rate.per_second(), rate.left_s(50)) == (10, 5)
    for at_s in (20, 40, 60, 80, 100):
        rate.see(at_s, 110)
    assert (rate.per_second(), rate.left_s(50)) == (0, None)


def test_cached_numbers_advance_from_refresh_to_refresh_not_from_look_to_look() -> None:
    view = StatusView()
    answer = active(1, total=1000)
    start = datetime.now(UTC)
    for at_s, refreshed_s, done in ((0, 0, 0), (2, 0, 0), (4, 0, 0), (302, 300, 600)):
        job = {**answer["jobs"][0], "succeeded": done, "failed": 0}
        refreshed_at = start + timedelta(seconds=refreshed_s)
        view.show({**answer, "jobs": [job], "cache_refreshed_at": refreshed_at}, start.timestamp() + at_s)
    assert view.rate(job).per_second() == pytest.approx(2)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (9999, "9,999"), (62_345, "62.3K"), (1_250_000, "1.25M"), (10_000_000, "10.0M")]
)
def test_counts_are_short(count: int, text: str) -> None:
    assert short(count) == text
