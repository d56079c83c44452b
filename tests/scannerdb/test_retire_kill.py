"""`kill -9` of `scannerdb retire` at any moment, under writers: progress stays exact, and the same command goes on.

`make test` does a few; `make test-retire KILLS=20 ROWS=5000000` as many over as many rows.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.partitioning import fill
from tests.support.processes import wait_until
from tests.support.progress import DIFFERENCES
from tests.support.retiring import PROGRESS, large_old_job, left, old_job
from tests.support.writers import KnowingWriters, WaitWatch

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "4"))
ROWS = int(os.environ.get("ROWS", "40000"))
SMALL_JOBS, SHARED_ROWS = 20, 5000
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'progress_refresher'"
BEGUN = "SELECT count(*) FROM retired_jobs WHERE deleted_at IS NULL"


def start(database: TestDatabase) -> subprocess.Popen[str]:
    """Start a process, and return when it is about to connect."""
    dsn = database.server.dsn(user="progress_refresher", database=database.name)
    command = [sys.executable, "-m", "tests.support.retire_process", dsn]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def run_to_its_end(database: TestDatabase) -> float:
    """Run a process, and return the seconds that it took."""
    started = time.monotonic()
    process = start(database)
    printed, _ = process.communicate(timeout=1500)
    assert process.returncode == 0, printed
    return time.monotonic() - started


def add_jobs(database: TestDatabase) -> list[str]:
    """Insert a large old job and small ones."""
    return [
        *(old_job(database, {"succeeded": number, "failed": 1}, findings=number) for number in range(SMALL_JOBS)),
        large_old_job(database, ROWS),
    ]


def test_a_killed_retirement_goes_on_and_progress_is_exact_throughout(database: TestDatabase) -> None:
    chance = random.Random(os.environ.get("SEED", "1"))
    shared = fill(database, SHARED_ROWS)
    jobs = add_jobs(database)
    with KnowingWriters(database, shared, SHARED_ROWS) as writers, WaitWatch(database) as waits:
        whole_s = run_to_its_end(database)
        progress: dict[str, tuple[object, ...]] = {}
        kills = in_the_middle = 0
        while kills < KILLS:
            if not database.query("SELECT 1 FROM retirable_jobs('90 days')"):
                added = add_jobs(database)
                jobs += added
                query = f"SELECT {PROGRESS} FROM job_progress_live WHERE job_id = ANY (%s::uuid[])"
                progress |= {row[0]: row for row in database.query(query, (added,))}
            process = start(database)
            time.sleep(chance.uniform(0, whole_s))
            kills += process.poll() is None
            process.kill()
            process.communicate()
            in_the_middle += database.query(BEGUN) != [(0,)]
            assert database.query(DIFFERENCES) == []
            if chance.random() < 0.3:
                database.query("SELECT refresh_job_progress()")
        run_to_its_end(database)
    assert (writers.errors, writers.lost_or_doubled()) == ([], [])
    assert database.query(DIFFERENCES) == []
    assert {left(database, job) for job in jobs} == {(0, 0, 0)}
    assert database.query("SELECT count(*), count(deleted_at) FROM retired_jobs") == [(len(jobs), len(jobs))]
    query = f"SELECT {PROGRESS} FROM retired_jobs WHERE job_id = ANY (%s::uuid[])"
    assert {row[0]: row for row in database.query(query, (list(progress),))} == progress
    wait_until(lambda: database.query(SESSIONS) == [(0,)])
    print(
        f"{kills} kills, {in_the_middle} of them in the middle of a job, over {ROWS:,} rows; a whole run "
        f"{whole_s:.1f} s; {writers.done.total():,} writes, the longest took {writers.longest_wait_s * 1000:.0f} ms, "
        f"without the disk {waits.longest_busy_s * 1000:.0f} ms; the longest wait for a lock was "
        f"{waits.longest_lock_s * 1000:.0f} ms"
    )
    assert waits.longest_lock_s < 1
    assert waits.longest_busy_s < 1, writers.longest
