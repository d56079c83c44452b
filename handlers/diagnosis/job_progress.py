"""Checks of progress: whether it is fresh, complete and exact."""

from collections.abc import Iterable
from pathlib import Path

from handlers.contract.timeouts import STALE_AFTER_INTERVALS
from handlers.diagnosis.model import Context, Finding, critical, ok, unknown, warning
from handlers.diagnosis.text import duration, plural, session
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("job_progress.sql"))
# The bounds of the sample that is counted where a full count takes too long.
SAMPLED_JOBS = 5
# Up to here a full count of everything takes a second or two.
VERIFIED_OBJECTS = 2_000_000
SAMPLED_ROWS_OF_A_JOB = 40_000


def age(context: Context) -> Iterable[Finding]:
    """Compare the age of job_progress with the threshold of the alarm `progress-lag`."""
    (view,) = context.fetch(QUERIES["progress_view"], {})
    if view["is_populated"] is None and view["was_there"]:
        yield critical("job_progress was dropped", next=context.commands.migrate())
        return
    if view["is_populated"] is None:
        yield critical("job_progress does not exist: migration 002 is not applied", next=context.commands.migrate())
        return
    if not view["is_populated"]:
        yield critical("job_progress was never filled", next=context.commands.refresh())
        return
    rows = context.fetch(QUERIES["last_refresh"], {})
    if not rows:
        yield critical("no refresh has ever finished", next=context.commands.refresh())
        return
    age_s, limit_s = rows[0]["age_seconds"], context.thresholds.lag_s
    value = f"refreshed {duration(age_s)} ago; up to {duration(limit_s)} is normal"
    if age_s < limit_s:
        yield ok(value)
    elif age_s < STALE_AFTER_INTERVALS * context.thresholds.refresh_interval_s:
        yield warning(value, next=context.commands.refresh())
    else:
        yield critical(value, next=context.commands.refresh())


def coverage(context: Context) -> Iterable[Finding]:
    """Count the jobs that are old enough to be in job_progress and are not."""
    lag_s = context.thresholds.lag_s
    (row,) = context.fetch(QUERIES["coverage"], {"seconds": lag_s})
    if row["missing"]:
        value = f"{plural(row['missing'], 'job')} older than {duration(lag_s)} missing of {row['jobs']:,}"
        yield warning(value, next=context.commands.refresh())
    else:
        yield ok(f"none missing of {plural(row['jobs'], 'job')}")


def backlog(context: Context) -> Iterable[Finding]:
    """Count the deltas that wait to be folded. A fold skips those that an open transaction has locked."""
    (row,) = context.fetch(QUERIES["backlog"], {})
    value = f"{plural(row['rows'], 'row')}; fewer than {context.thresholds.backlog_rows:,.0f} is normal"
    if row["rows"] < context.thresholds.backlog_rows:
        yield ok(value)
    elif row["pid"] is not None and row["seconds"] >= context.thresholds.lock_wait_s:
        yield warning(
            f"{value}; {session(row)} has had some in an open transaction for {duration(row['seconds'])}",
            next=context.commands.end(row),
        )
    else:
        yield warning(value, next=context.commands.refresh())


def drift(context: Context) -> Iterable[Finding]:
    """Compare with a full count: every job where that takes a second or two, else a sample. `verify` compares all."""
    if context.fetch(QUERIES["is_quickly_verified"], {"objects": VERIFIED_OBJECTS})[0]["is_quick"]:
        yield from _verification(context)
        return
    bounds = {"jobs": SAMPLED_JOBS, "rows_of_a_job": SAMPLED_ROWS_OF_A_JOB}
    rows = context.fetch(QUERIES["drift"], bounds)
    objects = sum(row["counted_objects"] for row in rows)
    drifted = [row for row in rows if not row["is_exact"]]
    if drifted:
        first = drifted[0]
        yield critical(
            f"{plural(len(drifted), 'job')} of {len(rows)} counted differ, such as {first['job_id']}: "
            f"{plural(first['total_objects'], 'object')} known, {first['counted_objects']:,} counted",
            next=context.commands.rebuild(),
        )
    elif rows:
        yield ok(f"exact for the newest {plural(len(rows), 'job')} with {plural(objects, 'object')}")
    elif context.fetch(QUERIES["job_count"], {})[0]["jobs"]:
        yield unknown(
            f"each of the newest jobs has more than {SAMPLED_ROWS_OF_A_JOB:,} rows", next=context.commands.verify()
        )
    else:
        yield ok("no job yet")


def _verification(context: Context) -> Iterable[Finding]:
    drifted = context.fetch(QUERIES["verification"], {})
    if drifted:
        first = drifted[0]
        yield critical(
            f"{plural(len(drifted), 'job')} drifted, such as {first['job_id']}: "
            f"{plural(first['known_objects'], 'object')} known, {first['counted_objects']:,} counted",
            next=context.commands.rebuild(),
        )
    else:
        yield ok("exact for every job")


def refresh_runs(context: Context) -> Iterable[Finding]:
    """Report the last refresh, one that hangs, and refreshes that are missing."""
    interval_s = context.thresholds.refresh_interval_s
    at_work = context.fetch(QUERIES["refresh_at_work"], {})
    if at_work and at_work[0]["seconds"] >= interval_s:
        row = at_work[0]
        yield critical(
            f"{session(row)} has refreshed or rebuilt for {duration(row['seconds'])}; no other refresh can run",
            next=context.commands.end(row),
        )
        return
    rows = context.fetch(QUERIES["last_refresh"], {})
    if not rows:
        yield critical("no refresh has ever finished", next=context.commands.refresh())
        return
    last_s, took_s = rows[0]["age_seconds"], rows[0]["duration_ms"] / 1000
    value = (
        f"the last took {duration(took_s)} and began {duration(last_s)} ago; one is due every {duration(interval_s)}"
    )
    if last_s >= STALE_AFTER_INTERVALS * interval_s:
        # If this refresh succeeds, the schedule is the fault. If it fails, its error is the reason.
        yield critical(f"{value}: the schedule is off, or every refresh fails", next=context.commands.refresh())
    elif took_s >= interval_s / 2:
        yield warning(value, sql="VACUUM (ANALYZE) public.job_progress_deltas")
    else:
        yield ok(value)
