"""`kill -9` of `scannerdb partition` at any moment, under writers: the same command goes on, `--revert` undoes.

`make test` does a few; `KILLS=20 ROWS=5000000` as many over as many rows.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.partitioning import add_jobs, fill, phase
from tests.support.processes import wait_until
from tests.support.progress import DIFFERENCES
from tests.support.schema import schema
from tests.support.writers import KnowingWriters, WaitWatch

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "3"))
ROWS = int(os.environ.get("ROWS", "30000"))
# Half of the rows are in one job, the others in these.
OTHER_JOBS = 20
# After which line, and within how many seconds of it, a process is killed: by what it is to do, and where that begins.
# Of the copy, which may take minutes, only a part passes before a kill; the next goes on, so each part has its turn.
COPY, MOMENT = (None, 15.0), (None, 1.0)
SWAP = ("exchanging the tables", 0.3)
MOMENTS: dict[tuple[str, str], list[tuple[str | None, float]]] = {
    **{
        ("partition", phase): [COPY, COPY, ("checking the foreign key", 2.0)] for phase in ("none", "shadow", "copying")
    },
    ("partition", "copied"): [("vacuum and statistics", 5.0), ("comparing", 5.0), SWAP],
    ("revert", "swapped"): [MOMENT, SWAP],
}
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'partition test'"


def start(database: TestDatabase, action: str) -> subprocess.Popen[str]:
    """Start a process, and return when it is about to connect."""
    dsn = database.server.dsn(database=database.name)
    command = [sys.executable, "-m", "tests.support.partition_process", dsn, action, "16"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    printed, _ = process.communicate(timeout=1500)
    assert process.returncode == 0, printed


def kill_or_let_be(process: subprocess.Popen[str], after_s: float, *, line: str | None = None) -> bool:
    """Kill a process a while after it has printed a line, and say whether it was alive."""
    assert process.stdout is not None
    while line is not None and (printed := process.stdout.readline()) and not printed.startswith(line):
        pass
    time.sleep(after_s)
    alive = process.poll() is None
    process.kill()
    printed, _ = process.communicate()
    assert alive or process.returncode == 0, printed
    return alive


def test_a_killed_partition_goes_on_or_is_undone_and_no_row_is_lost(database: TestDatabase) -> None:
    chance = random.Random(os.environ.get("SEED", "1"))
    shared = fill(database, ROWS // 2)
    add_jobs(database, OTHER_JOBS, ROWS // 2 // OTHER_JOBS)
    before = schema(database)
    phases: dict[str, int] = {}
    with KnowingWriters(database, shared, ROWS // 2) as writers, WaitWatch(database) as waits:
        taken_s = {}
        for action in ("partition", "revert"):
            started = time.monotonic()
            end(start(database, action))
            taken_s[action] = time.monotonic() - started
        kills, action = 0, "partition"
        while kills < KILLS:
            line, within_s = chance.choice(MOMENTS.get((action, phase(database)), [MOMENT]))
            after_s = chance.uniform(0, min(taken_s[action], within_s))
            if not kill_or_let_be(start(database, action), after_s, line=line):
                action = "revert" if action == "partition" else "partition"
                continue
            kills += 1
            reached = phase(database)
            phases[reached] = phases.get(reached, 0) + 1
            if reached == "swapped":
                action = "revert"
            elif reached == "none":
                action = "partition"
            elif chance.random() < 0.2:
                action = "revert"
        if phase(database) != "swapped":
            end(start(database, "partition"))
        end(start(database, "revert"))
        assert schema(database) == before
        end(start(database, "partition"))
        killed = start(database, "finish")
        if kill_or_let_be(killed, chance.uniform(0, 0.1)):
            end(start(database, "finish"))
    assert writers.errors == []
    assert writers.lost_or_doubled() == []
    assert database.query(DIFFERENCES) == []
    assert database.query("SELECT count(*) FROM job_objects WHERE job_id = %s", (shared,)) == [(ROWS // 2,)]
    assert phase(database) == "partitioned"
    wait_until(lambda: database.query(SESSIONS) == [(0,)])
    print(
        f"{kills} kills over {ROWS:,} rows in the phases {phases}; whole run {taken_s['partition']:.1f} s, back "
        f"{taken_s['revert']:.1f} s; {writers.done.total():,} writes, the longest took "
        f"{writers.longest_wait_s * 1000:.0f} ms, without the disk {waits.longest_busy_s * 1000:.0f} ms; the longest "
        f"wait for a lock was {waits.longest_lock_s * 1000:.0f} ms"
    )
    assert waits.longest_lock_s < 1
    assert waits.longest_busy_s < 1, writers.longest
