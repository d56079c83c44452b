"""Measures what partitioning `job_objects` changes: two copies of one database, one of them partitioned, in turn.

`make bench-partitions OBJECTS=10000000` writes `lab/bench/results/partitions.md` and `.json`.
"""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from handlers.migrator.session import RunLimits
from lab.bench import RESULTS, refreshes, report
from lab.bench.answers import Answer
from lab.bench.changes import update_one_by_one
from lab.bench.dataset import Dataset
from lab.bench.own_server import PARAMETERS, run_on_own_server
from lab.bench.reads import status_reads
from lab.bench.samples import Spread, short, time_ms
from lab.bench.steps import Say, Steps
from lab.bench.writers import WORKS, client_pipes, round_of
from lab.embedded_postgres import EmbeddedPostgres
from scannerdb.options import current_release
from scannerdb.partition import run as partitioning
from scannerdb.partition.steps import Options
from stacks import ROOT

BUILD = ROOT / "build" / "bench-partitions"
MODULUS = 16
# Dead rows before a timed vacuum. Those of one job lie in one of the 16 partitions.
UPDATED = 20_000
PLAIN, PARTITIONED = "plain", "partitioned"
REFRESH, STATUS, INDEX = "refresh", "status read", "index build"
VACUUM, VACUUM_ALL = "vacuum of one job", "vacuum of all jobs"
# What the table calls each measurement.
TITLES = {
    REFRESH: f"refresh after {refreshes.CHANGES:,} changes",
    STATUS: "status read of the job with half of the objects, real time",
    VACUUM: f"vacuum after {UPDATED:,} updates of one job: its partition against the whole plain table",
    VACUUM_ALL: f"vacuum after {UPDATED:,} updates of 100 jobs: every partition against the whole plain table",
    INDEX: "building an index CONCURRENTLY",
}
WRITES = {str(work): title for work, (_count, title) in WORKS.items()}

# Milliseconds or rows per second of each sample, by measurement and by table.
Samples = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Partitioned(Dataset):
    """The copy with the partitioned table."""

    @property
    def name(self) -> str:
        """The database's name."""
        return f"objects_{self.objects}_partitioned"

    def copy(self, original: Dataset, say: Say) -> float:
        """Copy a database, partition its table, and return the seconds that the partitioning took."""
        with self.server.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {self.name} OWNER scanner_admin TEMPLATE {original.name}")

        def tell(message: str, **_: Any) -> None:
            say(message)

        started = time.monotonic()
        limits = RunLimits(poll_interval_s=1)
        partitioning.partition(self.connect, Options(modulus=MODULUS), limits=limits, report=tell)
        took_s = time.monotonic() - started
        partitioning.finish(self.connect, limits=limits, report=tell)
        with self.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE) job_objects")
        return took_s


def measure(datasets: Mapping[str, Dataset], samples: int, say: Say) -> Samples:
    """Take every sample of both tables; they alternate in being first."""
    taken: Samples = {}

    def sample(what: str, take: Callable[[Dataset, int], float]) -> None:
        for number in range(samples):
            for table in list(datasets)[:: 1 if number % 2 else -1]:
                say(f"{what}, {table}, sample {number + 1} of {samples}")
                taken.setdefault(what, {name: [] for name in datasets})[table].append(take(datasets[table], number))

    sample(REFRESH, _refresh)
    sample(STATUS, _status)
    with contextlib.ExitStack() as stack:
        clients = {table: stack.enter_context(client_pipes(dataset)) for table, dataset in datasets.items()}
        for work, (count, _title) in WORKS.items():
            by_dataset = {dataset.name: clients[table][:count] for table, dataset in datasets.items()}
            sample(work, lambda dataset, _, pipes=by_dataset, kind=work: round_of(pipes[dataset.name], kind))  # type: ignore[misc]
    sample(VACUUM, _vacuum)
    sample(VACUUM_ALL, _vacuum_all)
    sample(INDEX, _index)
    return taken


def _refresh(dataset: Dataset, number: int) -> float:
    with refreshes.refresher(dataset, refreshes.OURS) as cursor:
        refreshes.change(dataset, number)
        return time_ms(lambda: cursor.execute(refreshes.WAYS[refreshes.OURS][1]))


def _status(dataset: Dataset, _number: int) -> float:
    return status_reads(dataset, samples=1, say=lambda _: None)["real-time"].p50_ms[0]


def _vacuum(dataset: Dataset, number: int) -> float:
    """Vacuum after updates of one job: the whole plain table, or the job's partition alone."""
    job = dataset.jobs[1 + number]
    with dataset.cursor("scanner_app") as cursor:
        update_one_by_one(cursor, [job], updates=UPDATED, first=0)
    with dataset.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text FROM job_objects WHERE job_id = %s LIMIT 1",
            (job.job_id,),
        )
        row = cursor.fetchone()
        assert row is not None
        return time_ms(lambda: cursor.execute(f"VACUUM {row[0]}"))


def _vacuum_all(dataset: Dataset, number: int) -> float:
    """Vacuum after as many updates over all jobs but the largest, which touch every partition."""
    with dataset.cursor("scanner_app") as cursor:
        update_one_by_one(cursor, dataset.jobs[1:], updates=UPDATED, first=number * UPDATED // dataset.other_jobs)
    with dataset.cursor() as cursor:
        return time_ms(lambda: cursor.execute("VACUUM job_objects"))


def _index(dataset: Dataset, _number: int) -> float:
    """Build an index as a migration would; on a partitioned table one for each partition, then attach them."""
    with dataset.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'job_objects'::regclass")
        partitions = [name for (name,) in cursor.fetchall()]
        started = time.perf_counter()
        for number, table in enumerate(partitions or ["job_objects"]):
            cursor.execute(f"CREATE INDEX CONCURRENTLY bench_{number} ON {table} (job_id, etag)")
        if partitions:
            cursor.execute("CREATE INDEX bench ON ONLY job_objects (job_id, etag)")
            for number in range(len(partitions)):
                cursor.execute(f"ALTER INDEX bench ATTACH PARTITION bench_{number}")
        took_ms = (time.perf_counter() - started) * 1000
        cursor.execute("DROP INDEX IF EXISTS bench; DROP INDEX IF EXISTS bench_0")
        return took_ms


def answers(taken: Samples, *, objects: int, partition_s: float) -> list[Answer]:
    """Compare the partitioned table with the plain one, in milliseconds or in rows per second."""
    rows = [
        Answer(
            question=f"partitioning {objects:,} objects, without writers",
            value=f"{partition_s:.0f} s, {objects / partition_s:,.0f} rows/s",
        )
    ]
    for what, tables in taken.items():
        ratio = Spread.of_ratios(tables[PARTITIONED], tables[PLAIN])
        of_each = {table: Spread.of(values) for table, values in tables.items()}
        unit = short if what in WRITES else lambda number: f"{short(number)} ms"
        value = f"{unit(of_each[PARTITIONED].median)} : {unit(of_each[PLAIN].median)}"
        question = TITLES.get(what) or WRITES[what]
        rows.append(Answer(question=f"{question}; partitioned : plain", value=value, ratio=ratio))
    return rows


def write(rows: Sequence[Answer], figures: Mapping[str, Any], *, objects: int) -> None:
    """Write the table as Markdown, and every sample as JSON."""
    header = ("question", "value", "ratio")
    table = [header, ("---",) * 3, *(row.cells()[:3] for row in rows)]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    setting = (
        f"`make bench-partitions OBJECTS={objects}`: two copies of one database in one run, one of them "
        f"with {MODULUS} partitions, on the embedded PostgreSQL {figures['version']}, {figures['cores']} cores, "
        f"{figures['samples']} samples of everything, in turn. A ratio is a median, with the quartiles in brackets. "
        "Of rows per second more is better, of milliseconds less."
    )
    page = f"# Partitions at {objects:,} objects\n\n{setting}\n\n{text}\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "partitions.md").write_text(page)
    document = {**figures, "answers": [asdict(row) for row in rows]}
    (RESULTS / "partitions.json").write_text(json.dumps(document, indent=1, default=asdict) + "\n")


def run(server: EmbeddedPostgres, objects: int, samples: int, console: Console) -> None:
    """Build both databases, measure, write the results."""
    release = current_release()
    plain, partitioned = Dataset(server, objects), Partitioned(server, objects)
    with Steps(console, total=4) as steps:
        with steps.step(f"build {objects:,} objects") as say:
            plain.build(release, say)
        with steps.step("partition a copy") as say:
            partition_s = partitioned.copy(plain, say)
        with steps.step("measure") as say:
            taken = measure({PLAIN: plain, PARTITIONED: partitioned}, samples, say)
        with steps.step("verify"):
            drift = [each.scalar("SELECT count(*) FROM verify_job_progress()") for each in (plain, partitioned)]
    rows = answers(taken, objects=objects, partition_s=partition_s)
    rows.append(Answer(question="drift after all of this", value=f"{sum(drift)} jobs"))
    figures = {
        "objects": objects,
        "samples": samples,
        "server": PARAMETERS,
        "version": plain.scalar("SHOW server_version"),
        "partition_s": partition_s,
        "taken": taken,
        **report.machine(),
    }
    write(rows, figures, objects=objects)
    report.print_table(rows, console)


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench.partitions", description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000_000, help="default: %(default)s")
    parser.add_argument("--samples", type=int, default=5, help="of each measurement; default: %(default)s")
    arguments = parser.parse_args()
    return run_on_own_server(BUILD, lambda server: run(server, arguments.objects, arguments.samples, Console()))


if __name__ == "__main__":
    sys.exit(main())
