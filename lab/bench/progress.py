"""Measures exact progress at 100,000 objects, ten times as many, and so on up to `--objects`.

`make bench OBJECTS=10000000` writes `lab/bench/results/progress.md`, `.json` and `.svg`. Both sides of a ratio are
measured alternately in one run on one server, so a ratio depends little on the machine.

Above 10 million objects the rows need more than the memory. Then a thousand jobs share what the first leaves, what
scans the rows is measured once, and writers are measured at 10 million objects: where no write waits for the disk, a
trigger's share of it is largest.
"""

import argparse
import shutil
import sys
import time
from typing import Any

from rich.console import Console

from handlers.migrator.release import read_release
from lab.bench import (
    RESULTS,
    adoption,
    backlog,
    cold_start,
    floors,
    held_snapshot,
    reads,
    refreshes,
    report,
    space,
    writers,
)
from lab.bench.answers import Answer, drift_answer
from lab.bench.dataset import LARGE, OTHER_JOBS, OTHER_JOBS_WHEN_LARGE, Dataset
from lab.bench.own_server import LARGE_PARAMETERS, PARAMETERS, run_on_own_server
from lab.bench.samples import Spread, short, time_ms
from lab.bench.steps import Steps
from lab.embedded_postgres import EmbeddedPostgres
from stacks import ROOT
from stacks.assets.package import build_release

BUILD = ROOT / "build" / "bench"
SMALLEST = 100_000
# Of an object with its indexes (450), of all smaller databases, of WAL, and of the sort of the largest index.
BYTES_AN_OBJECT = 640


def sizes_up_to(objects: int) -> list[int]:
    """Return 100,000, ten times as many and so on, and `objects` as the last."""
    sizes = [SMALLEST]
    while sizes[-1] * 10 < objects:
        sizes.append(sizes[-1] * 10)
    return [*sizes, objects]


def parameters_for(objects: int) -> dict[str, str]:
    """Return the server's parameters for a run up to so many objects."""
    return LARGE_PARAMETERS if objects > LARGE else PARAMETERS


class Run:
    """One run: its databases, and the answers and figures so far."""

    def __init__(self, server: EmbeddedPostgres, objects: int, samples: int, held_s: float, steps: Steps) -> None:
        self.objects, self.samples, self.held_s, self.steps = objects, samples, held_s, steps
        self.package = build_release()
        self.other_jobs = OTHER_JOBS_WHEN_LARGE if objects > LARGE else OTHER_JOBS
        self.datasets = [Dataset(server, size, self.other_jobs) for size in sizes_up_to(objects)]
        self.largest = self.datasets[-1]
        self.written_to = [dataset for dataset in self.datasets if not dataset.is_large][-1]
        self.answers: list[Answer] = []
        self.figures: dict[str, Any] = {"objects": objects, "samples": samples, **report.machine()}
        # Milliseconds of each way by size, for the plots.
        self.read_series: dict[str, dict[int, float]] = {}
        self.refresh_series: dict[str, dict[int, float]] = {}
        self.ages: dict[str, dict[int, float]] = {}

    def build(self) -> None:
        """Build the databases, and adopt the largest under writers."""
        release = read_release(self.package.path.read_bytes(), expected_sha256=self.package.sha256)
        for dataset in self.datasets[:-1]:
            with self.steps.step(f"build {dataset.objects:,} objects") as say:
                dataset.build(release, say)
        with self.steps.step(f"load {self.objects:,} objects") as say:
            load_s = time_ms(lambda: self.largest.load(release, say)) / 1000
        with self.steps.step(f"adopt {self.objects:,} objects") as say:
            adopted = adoption.measure(self.largest, release, say)
            self.largest.settle()
        database = space.of_database(self.largest)
        self.answers += space.building_answers(self.objects, load_s, database, self.figures["memory_bytes"])
        self.answers += adoption.answers(adopted, objects=self.objects)
        version = self.largest.scalar("SHOW server_version")
        self.figures |= {"version": version, "load_s": load_s, "database": database, "adopted": adopted}

    def read(self) -> None:
        """Time the reads, at every size in turn."""
        with self.steps.step("status reads") as say:
            status = reads.status_reads_at(self.datasets, samples=self.samples, say=say)
        with self.steps.step("counts") as say:
            counted = {each.objects: reads.counts(each, samples=self.samples, say=say) for each in self.datasets}
        with self.steps.step("reads and their lower bounds") as say:
            least_reads = floors.measure(self.largest, samples=self.samples, say=say)
        self.answers += reads.status_answers(least_reads) + floors.answers(least_reads) + reads.size_answers(status)
        self.answers += reads.count_answers(counted[self.objects])
        self.figures |= {
            "status_reads": {size: reads.as_figures(each) for size, each in status.items()},
            "least_reads": reads.as_figures(least_reads),
            "counts_ms": counted,
        }
        for way in status[self.objects]:
            self.read_series[way] = {size: Spread.of(each[way].p50_ms).median for size, each in status.items()}
        for way in counted[self.objects]:
            self.read_series[way] = {size: Spread.of(each[way]).median for size, each in counted.items()}

    def change(self) -> None:
        """Time refreshes and reads after changes and beside them."""
        with self.steps.step("refreshes") as say:
            refreshed = refreshes.measure(self.datasets, samples=self.samples, say=say)
        with self.steps.step("reads with a backlog") as say:
            backlogs = backlog.measure(self.largest, samples=self.samples, say=say)
        with self.steps.step("reads under a held snapshot") as say:
            held = held_snapshot.measure(self.largest, held_s=self.held_s, say=say)
        self.answers += refreshes.answers(refreshed) + backlog.answers(*backlogs) + held_snapshot.answers(held)
        self.figures |= {"refreshes_ms": refreshed, "backlog": backlogs, "held_snapshot": held}
        for way in refreshes.WAYS:
            self.refresh_series[way] = {size: Spread.of(each[way]).median for size, each in refreshed.items()}
        self.ages = {way: held.p99_of_samples(way) for way in (held_snapshot.EXACT, held_snapshot.ALL_DELTAS)}

    def maintain(self) -> None:
        """Compare every count with the rows, and vacuum; time both at the largest size."""
        deltas_after_changes = space.measure(self.largest)["job_progress_deltas"]
        drifted, verify_s = 0, 0.0
        with self.steps.step("verify") as say:
            for dataset in self.datasets:
                say(f"{dataset.objects:,} objects")
                started_s = time.monotonic()
                drifted += dataset.scalar("SELECT count(*) FROM verify_job_progress()")
                verify_s = time.monotonic() - started_s
        self.answers += [
            drift_answer(drifted),
            Answer(question=f"verify: a full count of {self.objects:,} objects", value=f"{short(verify_s)} s"),
        ]
        with self.steps.step("vacuum"):
            deltas_after_vacuum = space.deltas_after_vacuum(self.largest)
            vacuum = space.vacuum_objects(self.largest)
        sizes = space.measure(self.largest)
        self.answers += [space.vacuum_answer(vacuum), *space.answers(sizes, deltas_after_changes, deltas_after_vacuum)]
        self.figures |= {"verify_s": verify_s, "vacuum": vacuum, "bytes": sizes}

    def write(self) -> None:
        """Time writers, and the starts of the functions."""
        with self.steps.step("writers") as say:
            written = writers.measure(self.written_to, samples=self.samples, say=say)
        with self.steps.step("cold starts") as say:
            options: Any = {"folder": BUILD, "samples": self.samples, "say": say}
            cold, limited, imports = cold_start.measure(self.largest, self.package, **options)
        self.answers += [*writers.answers(written), *cold_start.answers(cold, limited)]
        self.figures |= {
            "writers_objects": self.written_to.objects,
            "writers_rows_per_second": written,
            "cold_starts": cold,
            "cold_starts_on_a_share": limited,
            "imports_of_status": imports,
        }

    @property
    def setting(self) -> str:
        """What was measured, in a sentence or two."""
        text = (
            f"`make bench OBJECTS={self.objects}`: one run on the embedded PostgreSQL {self.figures['version']}, "
            f"{self.figures['cores']} cores, {self.samples} samples, in turn. "
            f"One job holds half of the objects, {self.other_jobs:,} jobs the rest."
        )
        if self.largest.is_large:
            written_to = self.written_to.objects
            text += f" What scans {self.objects:,} rows has one sample. Writers write to {written_to:,} objects."
        return text


def run(server: EmbeddedPostgres, objects: int, samples: int, held_s: float, console: Console) -> None:
    """Build the databases, measure, write the results."""
    started_s = time.monotonic()
    with Steps(console, total=len(sizes_up_to(objects)) + 11) as steps:
        bench = Run(server, objects, samples, held_s, steps)
        for stage in (bench.build, bench.read, bench.change, bench.maintain, bench.write):
            stage()
    report.write(
        RESULTS,
        bench.answers,
        {**bench.figures, "server": parameters_for(objects), "took_s": time.monotonic() - started_s},
        title=f"Exact progress at {objects:,} objects",
        setting=bench.setting,
        series=(bench.read_series, bench.refresh_series),
        ages=bench.ages,
    )
    report.print_table(bench.answers, console)
    console.print("Imports of `status`, in ms (with everything that it imports, by itself):")
    for each in bench.figures["imports_of_status"]:
        console.print(f"{each.total_ms:8.1f} {each.self_ms:8.1f}  {each.module}", highlight=False)


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench.progress", description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000_000, help="default: %(default)s")
    parser.add_argument("--samples", type=int, help=f"of each measurement; default: 7, above {LARGE:,} objects 5")
    parser.add_argument(
        "--held-snapshot-s", type=float, default=180, help="seconds for which a snapshot is held; default: %(default)s"
    )
    arguments = parser.parse_args()
    objects = arguments.objects
    samples = (5 if objects > LARGE else 7) if arguments.samples is None else arguments.samples
    if objects <= SMALLEST or samples < 1:
        parser.error(f"--objects must be above {SMALLEST:,}, --samples at least 1")

    def measure(server: EmbeddedPostgres) -> None:
        free, needed = shutil.disk_usage(server.log_file.parent).free, objects * BYTES_AN_OBJECT
        if free < needed:
            have, need = space.gigabytes(free), space.gigabytes(needed)
            parser.error(f"{objects:,} objects need {need} of disk; {server.log_file.parent} has {have} free")
        run(server, objects, samples, arguments.held_snapshot_s, Console())

    return run_on_own_server(BUILD, measure, parameters=parameters_for(objects))


if __name__ == "__main__":
    sys.exit(main())
