"""Measures callers of the API at 10,000 jobs beside 2,000 updates/s: answers per second, lists, statistics, writers.

`make bench-pollers` writes `lab/bench/results/pollers.md` and `.json`. As many processes as cores run the function's
own code; `SELECT 1` goes through the same connection of the same process.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console

from lab.bench import RESULTS, floors, paced_writers, poller_client, report
from lab.bench.answers import Answer, Goal, drift_answer, milliseconds
from lab.bench.clients import answers as collect
from lab.bench.clients import client_processes
from lab.bench.dataset import Dataset
from lab.bench.own_server import PARAMETERS, run_on_own_server
from lab.bench.paced_writers import WRITERS
from lab.bench.poller_client import WARM_UP_S, Way
from lab.bench.samples import Spread, percentile, short
from lab.bench.steps import Say, Steps
from lab.embedded_postgres import EmbeddedPostgres
from scannerdb.options import current_release
from stacks import ROOT

BUILD = ROOT / "build" / "bench-pollers"
JOBS = 10_000
OBJECTS = 1_000_000
UPDATES_PER_S = 2000
# As the schedule does with the profile `large`.
REFRESH_EVERY_S = 60.0
ROUND_S = 4.0
ALONE = "no poll"
POLLED: tuple[Way, ...] = ("SELECT 1", "cached", "real-time", "query", "lookup", "code")
SUMS: tuple[Way, ...] = ("list", "statistics")
GOAL_RATE, GOAL_SUMS = Goal("at least", 0.7), Goal("at most", 50, "ms at p99")
GOAL_WRITERS, GOAL_UPDATES = Goal("at least", 0.9), Goal("at most", 1.1)
TITLES = {
    "query": "the query of a cached answer, without the function's code",
    "lookup": f"the floor of it: {floors.LOOKUP}, without the function's code",
    "code": "the floor of it: the function's code, with `SELECT 1` in the place of its query",
}
UNMEASURED = (
    "What RDS Proxy and Lambda add cannot be measured here. The proxy is a machine of AWS between function and "
    "database; Lambda has more processes, on other machines than the database. Here processes, server and writers "
    "share the cores: the rates compare ways, and are not those of a deployment."
)


@dataclass
class Polled:
    """The samples of one way.

    Attributes:
        answers_per_s: of all processes together.
        taken_ms: of each answer, by sample.
        updates_ms: of each update beside it, by sample.
        kept: the share of its rate that the slowest writer kept.

    """

    answers_per_s: list[float] = field(default_factory=list)
    taken_ms: list[list[float]] = field(default_factory=list)
    updates_ms: list[list[float]] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)

    def add(self, answers_ms: Sequence[Sequence[float]], updates_ms: Sequence[Sequence[float]]) -> None:
        """Add one sample: the answers of each process, and the updates of each writer."""
        self.answers_per_s.append(sum(1000 * len(each) / sum(each) for each in answers_ms if each))
        self.taken_ms.append([value for each in answers_ms for value in each])
        if updates_ms:
            self.updates_ms.append([value for each in updates_ms for value in each])
            self.kept.append(min(map(len, updates_ms)) / ((ROUND_S + WARM_UP_S) * UPDATES_PER_S / WRITERS))

    def percentiles(self, percent: float) -> list[float]:
        """Return a percentile of the answers of each sample."""
        return [percentile(sample, percent) for sample in self.taken_ms]

    def of_updates(self, percent: float) -> list[float]:
        """Return a percentile of the updates of each sample."""
        return [percentile(sample, percent) for sample in self.updates_ms]

    def summary(self) -> dict[str, Any]:
        """Return the samples as JSON values, without each answer."""
        figures: dict[str, Any] = {"answers_per_s": self.answers_per_s, "writers_kept": self.kept}
        for percent in (50, 99):
            figures[f"p{percent}_ms"] = self.percentiles(percent) if any(self.taken_ms) else []
            figures[f"updates_p{percent}_ms"] = self.of_updates(percent)
        return figures


class Bench:
    """The client processes, and the connection that refreshes."""

    def __init__(self, dataset: Dataset, stack: ExitStack) -> None:
        job_ids = [job.job_id for job in dataset.jobs]
        polls = [(dataset.variables("progress_reader"), job_ids, number) for number in range(os.cpu_count() or 1)]
        self._pollers = stack.enter_context(client_processes(poller_client.serve, polls))
        writes = [(dataset.dsn("scanner_app"), dataset.jobs, UPDATES_PER_S)]
        self._writers = stack.enter_context(client_processes(paced_writers.serve, writes))
        self._refresher = stack.enter_context(dataset.cursor("progress_refresher"))
        self._refreshed_s = 0.0

    def refresh(self, *, now: bool = False) -> None:
        """Refresh, where the schedule would have, or now."""
        if now or time.monotonic() - self._refreshed_s >= REFRESH_EVERY_S:
            self._refreshed_s = time.monotonic()
            self._refresher.execute("SELECT refresh_job_progress()")

    def sample(self, polled: Polled, way: Way | None, *, pollers: int | None = None, writers: bool = True) -> None:
        """Take one sample: poll in one way, or not at all, beside the writers or not."""
        self.refresh()
        asked = self._pollers[:pollers] if way else []
        writing = self._writers if writers else []
        for pipe in writing:
            pipe.send((ROUND_S + WARM_UP_S,))
        for pipe in asked:
            pipe.send((way, ROUND_S))
        answers_ms, written = collect(asked), collect(writing)
        polled.add(answers_ms, written[0] if written else [])


def measure(dataset: Dataset, *, samples: int, say: Say) -> tuple[dict[str, Polled], dict[str, Polled]]:
    """Take every sample in turn; return those of polls, and those of lists and statistics by one process."""
    polled: dict[str, Polled] = {way: Polled() for way in (ALONE, *POLLED)}
    sums: dict[str, Polled] = {f"{way}{beside}": Polled() for way in SUMS for beside in ("", " alone")}
    with ExitStack() as stack:
        bench = Bench(dataset, stack)
        for number in range(samples):
            say(f"sample {number + 1} of {samples}: no poll")
            bench.sample(polled[ALONE], None)
            for way in POLLED[:: -1 if number % 2 else 1]:
                say(f"sample {number + 1} of {samples}: {way}")
                bench.sample(polled[way], way)
            for way in SUMS:
                say(f"sample {number + 1} of {samples}: {way}")
                bench.sample(sums[way], way, pollers=1)
            bench.refresh(now=True)
            for way in SUMS:
                say(f"sample {number + 1} of {samples}: {way}, no change since the refresh")
                bench.sample(sums[f"{way} alone"], way, pollers=1, writers=False)
    return polled, sums


def answers(polled: Mapping[str, Polled], sums: Mapping[str, Polled]) -> list[Answer]:
    """Compare the polls with `SELECT 1`, the writers beside them, and lists and statistics with their goal."""
    base, alone = polled["SELECT 1"], polled[ALONE]
    found = []
    for way in POLLED[1:]:
        each, title = polled[way], TITLES.get(way, f"answers, {way}")
        rates = f"{short(Spread.of(each.answers_per_s).median)} : {short(Spread.of(base.answers_per_s).median)}"
        p99, base_p99 = each.percentiles(99), base.percentiles(99)
        found += [
            Answer(
                question=f"{title}, per second : `SELECT 1`",
                value=rates,
                ratio=Spread.of_ratios(each.answers_per_s, base.answers_per_s),
                goal=GOAL_RATE if way == "cached" else None,
            ),
            Answer(
                question=f"{title} : `SELECT 1`, p99",
                value=f"{milliseconds(Spread.of(p99))} : {milliseconds(Spread.of(base_p99))}",
                ratio=Spread.of_ratios(p99, base_p99),
            ),
        ]
    cached = polled["cached"]
    kept = min(cached.kept)
    medians = [Spread.of(each.of_updates(50)) for each in (cached, base, alone)]
    found += [
        Answer(
            question=f"of its rate, the slowest of {WRITERS} writers kept beside cached answers",
            value=f"{kept:.2f} ({min(base.kept):.2f} beside `SELECT 1`, {min(alone.kept):.2f} beside no poll)",
            goal=GOAL_WRITERS,
            judged=kept,
        ),
        Answer(
            question="one update beside cached answers : beside `SELECT 1`, p50",
            value=f"{milliseconds(medians[0])} : {milliseconds(medians[1])}; {milliseconds(medians[2])} beside no poll",
            ratio=Spread.of_ratios(cached.of_updates(50), base.of_updates(50)),
            goal=GOAL_UPDATES,
        ),
    ]
    for name_and_beside, each in sums.items():
        p99_ms = percentile([value for sample in each.taken_ms for value in sample], 99)
        name, _, without = name_and_beside.partition(" ")
        beside = "without changes since a refresh" if without else f"beside {UPDATES_PER_S:,} updates/s of all jobs"
        found.append(
            Answer(
                question=f"{name} in real time, {beside}",
                value=f"p50 {milliseconds(Spread.of(each.percentiles(50)))}, p99 {short(p99_ms)} ms",
                goal=GOAL_SUMS,
                judged=p99_ms,
            )
        )
    return found


def write(found: Sequence[Answer], figures: Mapping[str, Any]) -> None:
    """Write the table as Markdown, and every sample as JSON."""
    setting = (
        f"`make bench-pollers`: {JOBS:,} jobs with {OBJECTS:,} objects, polled at random by {figures['cores']} "
        f"processes, as many as cores, that run the function's own code, beside {WRITERS} writers that update "
        f"{UPDATES_PER_S:,} objects of all jobs a second, and a refresh each minute. Embedded PostgreSQL "
        f"{figures['version']}, {figures['samples']} samples in turn. A ratio is a median, with the quartiles in "
        "brackets. One process asks for lists and statistics."
    )
    page = "\n\n".join((f"# Callers at {JOBS:,} jobs", setting, report.verdict(found), report.table(found), UNMEASURED))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "pollers.md").write_text(f"{page}\n")
    document = {**figures, "answers": [asdict(each) for each in found]}
    (RESULTS / "pollers.json").write_text(json.dumps(document, indent=1) + "\n")


def run(server: EmbeddedPostgres, samples: int, console: Console) -> None:
    """Build the database, measure, write the results."""
    release = current_release()
    dataset = Dataset(server, OBJECTS, JOBS - 1)
    with Steps(console, total=3) as steps:
        with steps.step(f"build {JOBS:,} jobs") as say:
            dataset.build(release, say)
            with dataset.cursor() as cursor:
                cursor.execute(floors.CREATE_FUNCTIONS)
        with steps.step("poll") as say:
            polled, sums = measure(dataset, samples=samples, say=say)
        with steps.step("verify"):
            drift = dataset.scalar("SELECT count(*) FROM verify_job_progress()")
    found = [*answers(polled, sums), drift_answer(drift)]
    figures = {
        "samples": samples,
        "server": PARAMETERS,
        "version": dataset.scalar("SHOW server_version"),
        "polled": {way: each.summary() for way, each in polled.items()},
        "sums": {way: each.summary() for way, each in sums.items()},
        **report.machine(),
    }
    write(found, figures)
    report.print_table(found, console)


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench.pollers", description=__doc__)
    parser.add_argument("--samples", type=int, default=5, help="of each measurement; default: %(default)s")
    samples = parser.parse_args().samples
    return run_on_own_server(BUILD, lambda server: run(server, samples, Console()))


if __name__ == "__main__":
    sys.exit(main())
