"""`kill -9` of the runner at any moment, under write load: a re-run converges, and nothing is lost.

`make test` does a few; `make test-kill` does a hundred over two million rows.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from handlers.migrator.runner import run
from lab.load import WriteLoad
from tests.support.database import MIGRATIONS, build_release
from tests.support.migrating import roll_back_to
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "6"))
ROWS = int(os.environ.get("ROWS", "200000"))
VERSIONS = [migration.version for migration in build_release(MIGRATIONS).migrations]
STATE = """
SELECT (SELECT count(*) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT i.indisvalid),
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
       (SELECT array_agg(version ORDER BY version) FROM schema_migrations WHERE applied_at IS NOT NULL),
       to_regclass('job_progress_next')
"""
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'migrate test'"


def fill(database: TestDatabase) -> str:
    """Apply 001 alone and insert one job of `ROWS` objects."""
    run(database.connect, build_release(MIGRATIONS))
    roll_back_to(database, 1)
    job_id = str(uuid4())
    database.query("INSERT INTO jobs (job_id, bucket) VALUES (%s, 'b')", (job_id,))
    database.query(
        "INSERT INTO job_objects (job_id, bucket, key, etag, status) "
        "SELECT %s, 'b', n::text, 'e', 'queued' FROM generate_series(1, %s) AS n",
        (job_id, ROWS),
    )
    database.query("ANALYZE")
    return job_id


def start_runner(database: TestDatabase) -> subprocess.Popen[str]:
    """Start a deployer, and return when it is about to connect."""
    command = [sys.executable, "-m", "tests.support.runner_process", database.server.dsn(database=database.name)]
    runner = subprocess.Popen([*command, str(MIGRATIONS)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert runner.stdout is not None
    assert runner.stdout.readline() == "ready\n"
    return runner


def wait_for_end(runner: subprocess.Popen[str]) -> str:
    """Wait for a deployer and return what it said last."""
    printed, _ = runner.communicate(timeout=300)
    assert runner.returncode == 0, printed
    return printed.splitlines()[-1]


def test_a_killed_runner_leaves_nothing_that_the_next_run_does_not_mend(empty_database: TestDatabase) -> None:
    chance = random.Random(os.environ.get("SEED", "1"))
    job_id = fill(empty_database)
    started = time.monotonic()
    with WriteLoad(lambda: empty_database.connect("scanner_app"), job_id, ROWS) as load:
        wait_for_end(start_runner(empty_database))
        whole_s = time.monotonic() - started
        roll_back_to(empty_database, 1)
        kills = 0
        while kills < KILLS:
            runner = start_runner(empty_database)
            time.sleep(chance.uniform(0, whole_s))
            if runner.poll() is None:
                runner.kill()
                runner.communicate()
                kills += 1
                continue
            # It was done before its death: begin again from where there is something to do.
            runner.communicate()
            roll_back_to(empty_database, 1)
        wait_for_end(start_runner(empty_database))
    assert load.errors == []
    wait_until(lambda: empty_database.query(SESSIONS) == [(0,)])
    assert empty_database.query(STATE) == [(0, 0, VERSIONS, None)]
    assert empty_database.query("SELECT count(*) FROM job_objects") == [(ROWS + load.inserted,)]
    assert empty_database.query("SELECT * FROM verify_job_progress()") == []
    print(f"{kills} kills over {ROWS:,} rows; the longest write took {load.longest_wait_s * 1000:.0f} ms")


def test_of_ten_deployers_that_start_together_one_works_and_the_others_find_nothing_to_do(
    empty_database: TestDatabase,
) -> None:
    fill(empty_database)
    runners = [start_runner(empty_database) for _ in range(10)]
    said = sorted(wait_for_end(runner) for runner in runners)
    assert said == ["done 0"] * 9 + [f"done {len(VERSIONS) - 1}"]


def test_a_server_that_crashes_during_a_build_leaves_an_index_that_the_next_run_rebuilds(
    empty_database: TestDatabase,
) -> None:
    fill(empty_database)
    writer = empty_database.connect()
    writer.autocommit = False
    with writer.cursor() as cursor:
        cursor.execute("DELETE FROM job_objects WHERE key = '1'")
    runner = start_runner(empty_database)
    building = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('idx_job_objects_job_status')"
    deadline = time.monotonic() + 20
    while empty_database.query(building) == [(0,)] and time.monotonic() < deadline:
        time.sleep(0.05)
    empty_database.server.stop(immediate=True)
    runner.communicate(timeout=30)
    assert runner.returncode != 0
    empty_database.server.start()
    invalid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'idx_job_objects_job_status'::regclass"
    assert empty_database.query(invalid) == [(False,)]
    assert wait_for_end(start_runner(empty_database)) == f"done {len(VERSIONS) - 1}"
    wait_until(lambda: empty_database.query(SESSIONS) == [(0,)])
    assert empty_database.query(STATE) == [(0, 0, VERSIONS, None)]
