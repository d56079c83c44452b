"""Times the adoption of a database that has rows: `migrate` under writers, and their longest statement beside it."""

import contextlib
import functools
import os
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handlers.contract.release import Release
from handlers.migrator.runner import run
from handlers.migrator.session import RunLimits
from lab.background import Background
from lab.bench.answers import Answer, Goal
from lab.bench.dataset import Dataset
from lab.bench.samples import short
from lab.bench.space import gigabytes, of_database
from lab.bench.steps import Say
from lab.load import WriteLoad

WRITERS = 4
ALONE_S = 10.0
GOAL = Goal("at most", 1, "s")
EXAMINATION = "the examination before the first step"
SYNC_EVERY_S = 0.05
# A page of PostgreSQL.
SYNCED_BYTES = 8192


@dataclass
class Adopted:
    """What the adoption took, in seconds and bytes.

    Attributes:
        duration_s: of `migrate`.
        longest_alone_s: the longest statement of a writer before it.
        longest_s: the longest statement of a writer beside it.
        longest_during: the step that ran when that statement ended.
        longest_sync_s: the longest write of one page to the same disk beside it, with fdatasync.
        added_bytes: by which the database grew.
        steps_s: of each step, the second at which it began.

    """

    duration_s: float = 0
    longest_alone_s: float = 0
    longest_s: float = 0
    longest_during: str = ""
    longest_sync_s: float = 0
    added_bytes: int = 0
    steps_s: list[tuple[float, str]] = field(default_factory=list)


def measure(dataset: Dataset, release: Release, say: Say) -> Adopted:
    """Migrate a database that was loaded, under writers that update and insert objects of one of its jobs."""
    adopted, job = Adopted(), dataset.jobs[1]
    before = of_database(dataset).size
    connect = functools.partial(dataset.connect, "scanner_app")
    load = WriteLoad(connect, job.job_id, job.objects - 1, writers=WRITERS, primary_key=job.primary_key)
    with load:
        say(f"{WRITERS} writers alone")
        time.sleep(ALONE_S)
        adopted.longest_alone_s, load.longest_wait_s = load.longest_wait_s, 0.0
        started_s = time.monotonic()

        def report(message: str, **_: Any) -> None:
            adopted.steps_s.append((time.monotonic() - started_s, message))
            say(message)

        with longest_sync(dataset.server.log_file.parent, adopted):
            run(dataset.connect, release, limits=RunLimits(poll_interval_s=1), report=report)
        adopted.duration_s = time.monotonic() - started_s
    if load.errors:
        raise load.errors[0]
    adopted.longest_s = load.longest_wait_s
    adopted.longest_during = step_at(adopted.steps_s, load.longest_wait_at_s - started_s)
    adopted.added_bytes = of_database(dataset).size - before
    return adopted


def step_at(steps_s: list[tuple[float, str]], second: float) -> str:
    """Return the step that ran at a second of the adoption; the runner reports none while it examines the database."""
    begun = bisect_right([at_s for at_s, _ in steps_s], second)
    return steps_s[begun - 1][1] if begun else EXAMINATION


@contextlib.contextmanager
def longest_sync(folder: Path, adopted: Adopted) -> Iterator[None]:
    """Write a page and wait for the disk again and again: a commit beside the same work waits as long at least."""

    def write() -> None:
        path = folder / "synced"
        try:
            with path.open("wb", buffering=0) as file:
                while not background.ended.wait(SYNC_EVERY_S):
                    started_s = time.monotonic()
                    file.seek(0)
                    file.write(bytes(SYNCED_BYTES))
                    os.fdatasync(file.fileno())
                    adopted.longest_sync_s = max(adopted.longest_sync_s, time.monotonic() - started_s)
        finally:
            path.unlink(missing_ok=True)

    with Background() as background:
        background.start(write)
        yield
    background.check()


def answers(adopted: Adopted, *, objects: int) -> list[Answer]:
    """Say what the adoption took, and compare a writer's longest statement with its goal."""
    return [
        Answer(
            question=f"adopting {objects:,} objects: `migrate` under {WRITERS} writers",
            value=f"{adopted.duration_s:,.0f} s; adds {gigabytes(adopted.added_bytes)}",
        ),
        Answer(
            question="longest statement of a writer beside it",
            value=(
                f"{short(adopted.longest_s)} s, during `{adopted.longest_during.partition(',')[0]}`; before it "
                f"{short(adopted.longest_alone_s)} s"
            ),
            goal=GOAL,
            judged=adopted.longest_s,
        ),
        Answer(
            question="the floor of it: longest write of 8 KB with fdatasync to the same disk",
            value=f"{short(adopted.longest_sync_s)} s",
        ),
    ]
