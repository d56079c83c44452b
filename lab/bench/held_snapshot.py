"""Times reads while a snapshot is held, as by a dump: vacuum can then remove no delta that a refresh has folded."""

import functools
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lab.background import Background
from lab.bench.answers import Answer, Goal
from lab.bench.changes import update_one_by_one
from lab.bench.dataset import Dataset
from lab.bench.reads import STATUS_QUERIES
from lab.bench.samples import percentile, short, slope, time_ms
from lab.bench.steps import Say

UPDATES_PER_SECOND = 2000
# As the schedule does with the profile `large`.
REFRESH_EVERY_S = 60
SAMPLE_EVERY_S = 5
READS_PER_SAMPLE = 40
GOAL = Goal("at most", 10, "ms at p99")
HOUR_S = 3600
# In less, the chance of compactions hides whether the line is flat.
LONG_ENOUGH_S = 600

EXACT, ALL_DELTAS = "exact read", "the same without bounds"
LIST, STATISTICS, REFRESH = "list, in real time", "statistics, in real time", "refresh"
QUERIES = {
    EXACT: (READS_PER_SAMPLE, STATUS_QUERIES["real-time"]),
    # Scans every delta that the snapshot keeps, as a read did before there were bounds.
    ALL_DELTAS: (1, "SELECT sum(queued_count) FROM job_progress_changes WHERE job_id = %(job_id)s"),
    LIST: (
        1,
        "SELECT * FROM job_progress_source WHERE progress_percent < 100 ORDER BY created_at DESC, job_id DESC LIMIT 50",
    ),
    STATISTICS: (1, "SELECT count(*), sum(total_objects), avg(progress_percent) FROM job_progress_source"),
}


@dataclass
class Held:
    """What was measured: seconds since the snapshot and milliseconds, by the kind of work; and the updates sent."""

    taken: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: {way: [] for way in (*QUERIES, REFRESH)}
    )
    updates: int = 0
    held_s: float = 0

    def p99_of_samples(self, way: str) -> dict[int, float]:
        """Return the 99th percentile of each sample by the age of the snapshot in seconds."""
        ages: dict[int, list[float]] = {}
        for age_s, value_ms in self.taken[way]:
            ages.setdefault(round(age_s), []).append(value_ms)
        return {age_s: percentile(values, 99) for age_s, values in ages.items()}


def measure(dataset: Dataset, *, held_s: float, say: Say) -> Held:
    """Hold a snapshot for `held_s` seconds beside a steady writer of the hot job and a refresh each minute."""
    held = Held()
    # Owner's rights, so that the read without bounds sees the table; the reader's settings, so that plans are the same.
    with dataset.cursor() as reader, dataset.cursor("progress_refresher") as refresher, dataset.cursor() as holder:
        reader.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off")
        holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT")
        parameters = {"job_id": dataset.hot.job_id}
        started_s = refreshed_s = time.monotonic()
        with Background() as background:
            background.start(functools.partial(_write, dataset, held, background.ended))
            while (age_s := time.monotonic() - started_s) < held_s:
                say(f"a snapshot of {age_s:.0f} of {held_s:.0f} s, {held.updates:,} updates")
                for way, (reads, sql) in QUERIES.items():
                    ask = functools.partial(reader.execute, sql, parameters)
                    held.taken[way] += [(age_s, time_ms(ask)) for _ in range(reads)]
                if time.monotonic() - refreshed_s >= REFRESH_EVERY_S:
                    refreshed_s = time.monotonic()
                    refresh_ms = time_ms(lambda: refresher.execute("SELECT refresh_job_progress()"))
                    held.taken[REFRESH].append((age_s, refresh_ms))
                time.sleep(max(0.0, started_s + age_s + SAMPLE_EVERY_S - time.monotonic()))
        background.check()
        held.held_s = time.monotonic() - started_s
        holder.execute("COMMIT")
    return held


def _write(dataset: Dataset, held: Held, ended: threading.Event) -> None:
    """Update the hot job at a steady rate until the end; each update is a transaction."""
    with dataset.cursor("scanner_app") as cursor:
        cursor.execute("SET synchronous_commit = off")
        started_s, at_once = time.monotonic(), UPDATES_PER_SECOND // 4
        while not ended.wait(max(0.0, started_s + held.updates / UPDATES_PER_SECOND - time.monotonic())):
            update_one_by_one(cursor, [dataset.hot], updates=at_once, first=held.updates, commit_every=1)
            held.updates += at_once


def answers(held: Held) -> list[Answer]:
    """Compare the reads with their goal, and tell by how much each grows with the age of the snapshot."""
    minutes = f"{held.held_s / 60:.1f} minutes"
    exact = [value_ms for _, value_ms in held.taken[EXACT]]
    p99 = percentile(exact, 99)
    rate = held.updates / held.held_s
    return [
        Answer(
            question=f"exact read while a snapshot is held for {minutes}, {rate:,.0f} updates/s of the job",
            value=f"p50 {short(percentile(exact, 50))} ms, p99 {short(p99)} ms",
            goal=GOAL,
            judged=p99,
        ),
        *(_after_an_hour(held, p99) if held.held_s >= LONG_ENOUGH_S else ()),
        *(
            Answer(question=f"{way}, while that snapshot is held: at first : at the end", value=_first_and_last(points))
            for way, points in held.taken.items()
            if way != EXACT and points
        ),
    ]


def _after_an_hour(held: Held, p99_ms: float) -> Iterator[Answer]:
    growth_ms = growth_until_an_hour(held.p99_of_samples(EXACT))
    after_ms = p99_ms + growth_ms
    question = "the same after an hour, p99: this and what the line through the samples adds until then"
    yield Answer(
        question=question, value=f"{short(after_ms)} ms, of which {short(growth_ms)}", goal=GOAL, judged=after_ms
    )


def growth_until_an_hour(p99: Mapping[int, float]) -> float:
    """Return how much the least-squares line through the samples rises from their mean age to one hour.

    A line that falls, by chance, counts as flat.
    """
    return max(0.0, slope(list(p99), list(p99.values()))) * (HOUR_S - sum(p99) / len(p99))


def _first_and_last(points: list[tuple[float, float]]) -> str:
    tenth = max(1, len(points) // 10)
    first, last = (percentile([value_ms for _, value_ms in part], 50) for part in (points[:tenth], points[-tenth:]))
    return f"{short(first)} ms : {short(last)} ms"
