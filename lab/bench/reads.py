"""Times the ways to read one job's progress: the job that has half of the objects."""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.bench.answers import Answer, Goal, milliseconds
from lab.bench.dataset import Dataset, base_size
from lab.bench.samples import Spread, percentile, short, time_ms
from lab.bench.steps import Say
from lab.measure import COUNT_BY_STATUS, WITH_INDEX, WITHOUT_INDEX

READS_PER_SAMPLE = 300
ROWS_PER_SAMPLE = 50
ROW = "row of the view"
SELECT_ROW = "SELECT * FROM job_progress WHERE job_id = %(job_id)s"
STATUS_QUERIES = {
    "SELECT 1": "SELECT 1 AS one",
    "cached": "SELECT read_job_progress(%(job_id)s, false) AS progress",
    "real-time": "SELECT read_job_progress(%(job_id)s, true) AS progress",
}
GOAL = Goal("at most", 1.25)
SAME = Goal("at most", 1.1)
Ways = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Reads:
    """Reads of one kind: median and 99th percentile of each sample; 99th percentile and maximum of all reads."""

    p50_ms: tuple[float, ...]
    p99_ms: tuple[float, ...]
    p99_of_all_ms: float
    slowest_ms: float


def of_samples(sampled: Sequence[Sequence[float]]) -> Reads:
    """Sum up samples of milliseconds."""
    return Reads(
        p50_ms=tuple(percentile(each, 50) for each in sampled),
        p99_ms=tuple(percentile(each, 99) for each in sampled),
        p99_of_all_ms=percentile([each for sample in sampled for each in sample], 99),
        slowest_ms=max(max(each) for each in sampled),
    )


def interleave(ways: Ways, *, samples: int, reads: int, say: Say) -> dict[str, Reads]:
    """Time several ways alternately, `samples` times `reads` each, after one round that warms the caches."""
    return in_turn({0: ways}, samples=samples, reads=reads, say=say)[0]


def in_turn(groups: Mapping[int, Ways], *, samples: int, reads: int, say: Say) -> dict[int, dict[str, Reads]]:
    """Take each sample of each group in turn; in a sample, the ways of a group alternate from read to read."""
    taken: dict[int, dict[str, list[list[float]]]] = {key: {way: [] for way in ways} for key, ways in groups.items()}
    for ways in groups.values():
        for ask in ways.values():
            ask()
    for sample in range(samples):
        say(f"sample {sample + 1} of {samples}")
        for key, ways in groups.items():
            for way in ways:
                taken[key][way].append([])
            for _ in range(reads):
                for way, ask in ways.items():
                    taken[key][way][-1].append(time_ms(ask))
    return {key: {way: of_samples(sampled) for way, sampled in each.items()} for key, each in taken.items()}


def asking(dataset: Dataset, queries: Mapping[str, str]) -> dict[str, Callable[[], list[dict[str, Any]]]]:
    """Return a function for each query about the hot job, all on one connection of the status function."""
    database, parameters = dataset.reader(), {"job_id": dataset.hot.job_id}
    return {
        way: functools.partial(database.fetch_all, query, parameters if "%" in query else None)
        for way, query in queries.items()
    }


def status_reads(dataset: Dataset, *, samples: int, say: Say, reads: int = READS_PER_SAMPLE) -> dict[str, Reads]:
    """Time cached and real-time reads and `SELECT 1` on one connection of the status function."""
    return status_reads_at([dataset], samples=samples, say=say, reads=reads)[dataset.objects]


def status_reads_at(
    datasets: Sequence[Dataset], *, samples: int, say: Say, reads: int = READS_PER_SAMPLE
) -> dict[int, dict[str, Reads]]:
    """Time the same at several sizes, sample by sample in turn."""
    groups = {dataset.objects: asking(dataset, STATUS_QUERIES) for dataset in datasets}
    for dataset in datasets:
        for way in ("cached", "real-time"):
            (row,) = groups[dataset.objects][way]()
            if row["progress"]["total_objects"] != dataset.hot.objects:
                raise RuntimeError(f"the {way} read of {dataset.name} answers {row['progress']}")
    return in_turn(groups, samples=samples, reads=reads, say=say)


def counts(dataset: Dataset, *, samples: int, say: Say) -> dict[str, list[float]]:
    """Time the guide's count of one job without index and with its composite index, and the row of job_progress.

    In a large database the counts have one sample, and no round that warms the caches, which are smaller than the rows.
    """
    parameters = {"job_id": dataset.hot.job_id}
    ways: dict[str, tuple[str, str, Sequence[str]]] = {
        "count, no index": ("scanner_app", COUNT_BY_STATUS, WITHOUT_INDEX),
        "count, composite index": ("scanner_app", COUNT_BY_STATUS, WITH_INDEX),
        ROW: ("progress_reader", SELECT_ROW, ()),
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    with contextlib.ExitStack() as stack:
        asks = {}
        for way, (user, query, switched_off) in ways.items():
            cursor = stack.enter_context(dataset.cursor(user))
            for setting in switched_off:
                cursor.execute(f"SET {setting} = off")
            asks[way] = functools.partial(cursor.execute, query, parameters)
        first, samples = (0, 1) if dataset.is_large else (-1, samples)
        for sample in range(first, samples):  # sample -1 only warms the caches
            say(f"sample {sample + 1} of {samples}")
            for way, ask in asks.items():
                repeated = ROWS_PER_SAMPLE if way == ROW else 1
                taken_ms = percentile([time_ms(ask) for _ in range(repeated)], 50)
                if sample >= 0:
                    taken[way].append(taken_ms)
    return taken


def status_answers(reads: Mapping[str, Reads]) -> list[Answer]:
    """Compare both status reads with `SELECT 1`."""
    base = reads["SELECT 1"]
    answers = []
    for way in ("cached", "real-time"):
        p50, p99 = Spread.of(reads[way].p50_ms), Spread.of(reads[way].p99_ms)
        base_p50, base_p99 = Spread.of(base.p50_ms), Spread.of(base.p99_ms)
        value = f"{milliseconds(p50)} : {milliseconds(base_p50)}"
        p50_ratio = Spread.of_ratios(reads[way].p50_ms, base.p50_ms)
        answers.append(
            Answer(question=f"status read, {way} : `SELECT 1`, p50", value=value, ratio=p50_ratio, goal=GOAL)
        )
        value = f"{milliseconds(p99)} : {milliseconds(base_p99)}"
        p99_ratio = Spread.of_ratios(reads[way].p99_ms, base.p99_ms)
        answers.append(Answer(question=f"status read, {way} : `SELECT 1`, p99", value=value, ratio=p99_ratio))
    return answers


def size_answers(status: Mapping[int, Mapping[str, Reads]]) -> list[Answer]:
    """Compare both status reads at the largest size with those at a million objects."""
    largest, base = max(status), base_size(status)
    answers = []
    for way in ("cached", "real-time"):
        at, before = status[largest][way].p50_ms, status[base][way].p50_ms
        value = f"{milliseconds(Spread.of(at))} : {milliseconds(Spread.of(before))}"
        question = f"status read, {way}, at {largest:,} objects : at {base:,}, p50"
        answers.append(Answer(question=question, value=value, ratio=Spread.of_ratios(at, before), goal=SAME))
    return answers


def count_answers(taken: Mapping[str, Sequence[float]]) -> list[Answer]:
    """Compare the guide's counts with reading the row of the view."""
    row = taken[ROW]
    return [
        Answer(
            question=f"{way} : row of `job_progress`, same job",
            value=f"{milliseconds(Spread.of(taken[way]))} : {milliseconds(Spread.of(row))}",
            ratio=Spread.of_ratios(taken[way], row),
        )
        for way in ("count, no index", "count, composite index")
    ]


def as_figures(reads: Mapping[str, Reads]) -> dict[str, Any]:
    """Return reads as JSON values."""
    return {way: asdict(each) for way, each in reads.items()}


def latencies(reads: Reads) -> str:
    """Return p50, p99 and maximum as text."""
    p50 = milliseconds(Spread.of(reads.p50_ms))
    return f"p50 {p50}, p99 {short(reads.p99_of_all_ms)} ms, slowest {short(reads.slowest_ms)} ms"
