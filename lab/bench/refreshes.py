"""Times a refresh after 50,000 changes: ours, the guide's SQL, and migration 002's, which is the fallback."""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lab.bench import guide
from lab.bench.answers import Answer, Goal, milliseconds
from lab.bench.changes import update_one_by_one
from lab.bench.dataset import Dataset, base_size
from lab.bench.samples import Spread, time_ms
from lab.bench.steps import Say

if TYPE_CHECKING:
    import psycopg2.extensions

CHANGES = 50_000
OURS, GUIDE, FALLBACK = "ours", "the guide's SQL", "migration 002's"
CONCURRENTLY = "REFRESH MATERIALIZED VIEW CONCURRENTLY"
WAYS = {
    OURS: ("progress_refresher", "SELECT * FROM refresh_job_progress()"),
    GUIDE: ("scanner_admin", f"{CONCURRENTLY} guide_job_progress"),
    FALLBACK: ("scanner_admin", f"{CONCURRENTLY} fallback_job_progress"),
}
# Milliseconds of each sample by way, at one size; `FOLDED` holds the number of deltas that ours folded.
Taken = dict[str, list[float]]
FOLDED = "deltas"


def prepare(dataset: Dataset) -> None:
    """Create the views of the guide and of migration 002."""
    with dataset.cursor() as cursor:
        cursor.execute(guide.CREATE_VIEW)
        cursor.execute("CREATE MATERIALIZED VIEW fallback_job_progress AS SELECT * FROM job_progress_direct")
        for view in ("guide_job_progress", "fallback_job_progress"):
            cursor.execute(f"CREATE UNIQUE INDEX ON {view} (job_id)")


def measure(datasets: Sequence[Dataset], *, samples: int, say: Say) -> dict[int, Taken]:
    """For each sample change rows, then refresh in each way; the ways alternate in being first.

    The ways that count all rows have one sample in a large database.
    """
    taken: dict[int, Taken] = {dataset.objects: {way: [] for way in (*WAYS, FOLDED)} for dataset in datasets}
    for dataset in datasets:
        say(f"{dataset.objects:,} objects: the other two views")
        prepare(dataset)
    with contextlib.ExitStack() as stack:
        refreshers = {
            dataset.objects: {way: stack.enter_context(refresher(dataset, way)) for way in WAYS} for dataset in datasets
        }
        for sample in range(samples):
            for dataset in datasets:
                say(f"sample {sample + 1} of {samples}, {dataset.objects:,} objects: {CHANGES:,} changes")
                change(dataset, sample)
                taken[dataset.objects][FOLDED].append(dataset.scalar("SELECT count(*) FROM job_progress_deltas"))
                ways = ways_of(dataset, sample)
                for way in ways[sample % 3 :] + ways[: sample % 3]:
                    say(f"sample {sample + 1} of {samples}, {dataset.objects:,} objects: {way}")
                    refresh = functools.partial(refreshers[dataset.objects][way].execute, WAYS[way][1])
                    taken[dataset.objects][way].append(time_ms(refresh))
    return taken


def ways_of(dataset: Dataset, sample: int) -> list[str]:
    """Return the ways that are measured in a sample, the first of which is 0."""
    return [OURS] if dataset.is_large and sample > 0 else list(WAYS)


@contextlib.contextmanager
def refresher(dataset: Dataset, way: str) -> Iterator["psycopg2.extensions.cursor"]:
    """Open a connection that has refreshed before, like that of a warm function; not where that takes minutes."""
    user, sql = WAYS[way]
    with dataset.cursor(user) as cursor:
        if way == OURS or not dataset.is_large:
            cursor.execute(sql)
        yield cursor


def change(dataset: Dataset, sample: int) -> None:
    """Update objects one by one, half of them in the job with half of the objects."""
    half = CHANGES // 2
    with dataset.cursor("scanner_app") as cursor:
        update_one_by_one(cursor, [dataset.hot], updates=half, first=sample * half)
        update_one_by_one(cursor, dataset.jobs[1:], updates=half, first=sample * half // dataset.other_jobs)


def answers(taken: Mapping[int, Mapping[str, Sequence[float]]]) -> list[Answer]:
    """Compare the ways at the largest size, and ours at the largest size with ours at a million objects."""
    largest, base = max(taken), base_size(taken)
    at = taken[largest]

    def against(way: str, other: str, goal: Goal) -> Answer:
        question = f"refresh after {CHANGES:,} changes, {way} : {other}"
        # Where one way is measured once, so is the other: what followed it met other caches.
        above = at[way]
        below = at[other][: len(above)]
        if len(above) < len(at[OURS]):
            question += ", measured once"
        value = f"{milliseconds(Spread.of(above))} : {milliseconds(Spread.of(below))}"
        return Answer(question=question, value=value, ratio=Spread.of_ratios(above, below), goal=goal)

    ours, before = at[OURS], taken[base][OURS]
    deltas = Spread.of(at[FOLDED]).median
    return [
        against(GUIDE, OURS, Goal("at least", 40)),
        against(GUIDE, FALLBACK, Goal("at least", 4)),
        Answer(
            question=f"refresh, ours at {largest:,} objects : at {base:,}",
            value=f"{milliseconds(Spread.of(ours))} : {milliseconds(Spread.of(before))}; it folds {deltas:,.0f} deltas",
            ratio=Spread.of_ratios(ours, before),
            goal=Goal("at most", 1.5),
        ),
    ]
