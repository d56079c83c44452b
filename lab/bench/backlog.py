"""Times an exact read with a backlog: 300,000 changes of one job since the last refresh, so none is folded."""

from dataclasses import dataclass

from lab.bench import reads
from lab.bench.answers import Answer, Goal, milliseconds
from lab.bench.changes import update_one_by_one
from lab.bench.dataset import Dataset
from lab.bench.reads import Reads, latencies, status_reads
from lab.bench.samples import Spread, short, time_ms
from lab.bench.steps import Say

CHANGES = 300_000
CHANGES_AT_ONCE = 50_000
# The deltas sum to zero, so the counts stay true.
ADD_DELTAS = """
INSERT INTO job_progress_deltas (job_id, objects, old_status, new_status)
SELECT %(job_id)s, 1, statuses[1 + number %% 2], statuses[2 - number %% 2]
FROM generate_series(1, %(deltas)s) AS number, (SELECT ARRAY['queued', 'processing'] AS statuses) AS two
"""
COUNT_DELTAS = "SELECT count(*) FROM job_progress_deltas"
REFRESH = "SELECT refresh_job_progress()"


@dataclass(frozen=True)
class Backlog:
    """Reads with a backlog: the number of deltas, the first read after the changes, and the reads after it."""

    deltas: int
    first_ms: float
    reads: dict[str, Reads]


def measure(dataset: Dataset, *, samples: int, say: Say) -> tuple[Backlog, Backlog, float]:
    """Return the reads after the updates, the reads with as many uncompacted deltas, and the fold in milliseconds."""
    with dataset.cursor("progress_refresher") as refresher, dataset.cursor("scanner_app") as scanner:
        refresher.execute(REFRESH)
        for done in range(0, CHANGES, CHANGES_AT_ONCE):
            say(f"{done:,} of {CHANGES:,} changes")
            update_one_by_one(scanner, [dataset.hot], updates=CHANGES_AT_ONCE, first=done)
        changed = _read(dataset, samples=samples, reads_per_sample=reads.READS_PER_SAMPLE, say=say)
        refresher.execute(REFRESH)
        say(f"{CHANGES:,} deltas")
        with dataset.cursor() as owner:
            owner.execute(ADD_DELTAS, {"job_id": dataset.hot.job_id, "deltas": CHANGES})
        uncompacted = _read(dataset, samples=samples, reads_per_sample=10, say=say)
        say("fold")
        fold_ms = time_ms(lambda: refresher.execute(REFRESH))
    return changed, uncompacted, fold_ms


def _read(dataset: Dataset, *, samples: int, reads_per_sample: int, say: Say) -> Backlog:
    deltas = dataset.scalar(COUNT_DELTAS)
    database = dataset.reader()
    database.fetch_all("SELECT 1")
    query, parameters = reads.STATUS_QUERIES["real-time"], {"job_id": dataset.hot.job_id}
    first_ms = time_ms(lambda: database.fetch_all(query, parameters))
    return Backlog(deltas, first_ms, status_reads(dataset, samples=samples, say=say, reads=reads_per_sample))


def answers(changed: Backlog, uncompacted: Backlog, fold_ms: float) -> list[Answer]:
    """Compare the read with a backlog to its goal; report the same backlog without compaction."""
    real_time = changed.reads["real-time"]
    worst = uncompacted.reads["real-time"]
    return [
        Answer(
            question=f"real-time read after {CHANGES:,} changes of the job, none folded : `SELECT 1`, p99",
            value=f"{latencies(real_time)}; {changed.deltas:,} deltas were left of them",
            ratio=Spread.of_ratios(real_time.p99_ms, changed.reads["SELECT 1"].p99_ms),
            goal=Goal("at most", 10, "ms at p99"),
            judged=real_time.p99_of_all_ms,
        ),
        Answer(question="the first such read, on a new connection", value=f"{short(changed.first_ms)} ms"),
        Answer(
            question=f"real-time read with {uncompacted.deltas:,} deltas that nothing compacted, p50",
            value=f"{milliseconds(Spread.of(worst.p50_ms))}; folding them takes {short(fold_ms)} ms",
        ),
    ]
