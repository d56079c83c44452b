"""Measures exact progress at 100,000 objects, ten times as many, and so on up to `--objects`.

`make bench OBJECTS=10000000` writes `lab/bench/results/progress.md`, `.json` and `.svg`. Both sides of a ratio are
measured alternately in one run on one server, so a ratio depends little on the machine.
"""

import argparse
import sys
from typing import Any

from rich.console import Console

from handlers.migrator.release import read_release
from lab.bench import RESULTS, backlog, cold_start, floors, held_snapshot, reads, refreshes, report, space, writers
from lab.bench.answers import Answer, Goal
from lab.bench.dataset import Dataset
from lab.bench.own_server import PARAMETERS, run_on_own_server
from lab.bench.samples import Spread
from lab.bench.steps import Steps
from lab.embedded_postgres import EmbeddedPostgres
from stacks import ROOT
from stacks.assets.package import build_release

BUILD = ROOT / "build" / "bench"
SMALLEST = 100_000


def sizes_up_to(objects: int) -> list[int]:
    """Return 100,000, ten times as many and so on, and `objects` as the last."""
    sizes = [SMALLEST]
    while sizes[-1] * 10 < objects:
        sizes.append(sizes[-1] * 10)
    return [*sizes, objects]


def run(server: EmbeddedPostgres, objects: int, samples: int, held_s: float, console: Console) -> None:
    """Build the databases, measure, write the results."""
    package = build_release()
    release = read_release(package.path.read_bytes(), expected_sha256=package.sha256)
    datasets = [Dataset(server, size) for size in sizes_up_to(objects)]
    largest = datasets[-1]
    answers: list[Answer] = []
    figures: dict[str, Any] = {"objects": objects, "samples": samples, "server": PARAMETERS, **report.machine()}
    with Steps(console, total=2 * len(datasets) + 7) as steps:
        for dataset in datasets:
            with steps.step(f"build {dataset.objects:,} objects") as say:
                dataset.build(release, say)
        figures["version"] = largest.scalar("SHOW server_version")
        loaded = space.measure(largest)

        status, counted = {}, {}
        for dataset in datasets:
            with steps.step(f"reads at {dataset.objects:,} objects") as say:
                status[dataset.objects] = reads.status_reads(dataset, samples=samples, say=say)
                counted[dataset.objects] = reads.counts(dataset, samples=samples, say=say)
        with steps.step("reads and their lower bounds") as say:
            least_reads = floors.measure(largest, samples=samples, say=say)
        answers += reads.status_answers(least_reads) + floors.answers(least_reads)
        answers += reads.count_answers(counted[objects])

        with steps.step("refreshes") as say:
            refreshed = refreshes.measure(datasets, samples=samples, say=say)
        answers += refreshes.answers(refreshed)

        with steps.step("reads with a backlog") as say:
            backlogs = backlog.measure(largest, samples=samples, say=say)
            deltas_after_load = space.measure(largest)["job_progress_deltas"]
        answers += backlog.answers(*backlogs)

        with steps.step("reads under a held snapshot") as say:
            held = held_snapshot.measure(largest, held_s=held_s, say=say)
        answers += held_snapshot.answers(held)

        with steps.step("verify") as say:
            drift = sum(dataset.scalar("SELECT count(*) FROM verify_job_progress()") for dataset in datasets)
            goal = Goal("at most", 0, "jobs")
            answers.append(
                Answer(question="drift after all of this", value=f"{drift} jobs", goal=goal, judged=float(drift))
            )
            vacuumed = space.deltas_after_vacuum(largest)

        with steps.step("writers") as say:
            written = writers.measure(largest, samples=samples, say=say)
        answers += writers.answers(written)

        with steps.step("cold starts") as say:
            cold, imports = cold_start.measure(largest, package, folder=BUILD, samples=samples, say=say)
        answers += cold_start.answers(cold)
        answers += space.answers(loaded, deltas_after_load, vacuumed)

    figures |= {
        "status_reads": {size: reads.as_figures(each) for size, each in status.items()},
        "least_reads": reads.as_figures(least_reads),
        "counts_ms": counted,
        "refreshes_ms": refreshed,
        "backlog": backlogs,
        "held_snapshot": held,
        "writers_rows_per_second": written,
        "cold_starts": cold,
        "imports_of_status": imports,
        "bytes": {**loaded, "job_progress_deltas after load": deltas_after_load, "after a vacuum": vacuumed},
    }
    read_series = {
        **{way: {size: Spread.of(each[way].p50_ms).median for size, each in status.items()} for way in status[objects]},
        **{way: {size: Spread.of(each[way]).median for size, each in counted.items()} for way in counted[objects]},
    }
    refresh_series = {
        way: {size: Spread.of(each[way]).median for size, each in refreshed.items()} for way in refreshes.WAYS
    }
    report.write(
        RESULTS,
        answers,
        figures,
        title=f"Exact progress at {objects:,} objects",
        setting=(
            f"`make bench OBJECTS={objects}`: one run on the embedded PostgreSQL {figures['version']}, "
            f"{figures['cores']} cores, {samples} samples of everything, in turn. "
            "One job holds half of the objects, 100 jobs the rest."
        ),
        series=(read_series, refresh_series),
        ages={way: held.p99_of_samples(way) for way in (held_snapshot.EXACT, held_snapshot.ALL_DELTAS)},
    )
    report.print_table(answers, console)
    console.print("Imports of `status`, in ms (with everything that it imports, by itself):")
    for each in imports:
        console.print(f"{each.total_ms:8.1f} {each.self_ms:8.1f}  {each.module}", highlight=False)


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench.progress", description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000_000, help="default: %(default)s")
    parser.add_argument("--samples", type=int, default=7, help="of each measurement; default: %(default)s")
    parser.add_argument(
        "--held-snapshot-s", type=float, default=180, help="seconds for which a snapshot is held; default: %(default)s"
    )
    arguments = parser.parse_args()
    if arguments.objects <= SMALLEST or arguments.samples < 1:
        parser.error(f"--objects must be above {SMALLEST:,}, --samples at least 1")

    def measure(server: EmbeddedPostgres) -> None:
        run(server, arguments.objects, arguments.samples, arguments.held_snapshot_s, Console())

    return run_on_own_server(BUILD, measure)


if __name__ == "__main__":
    sys.exit(main())
