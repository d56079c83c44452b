"""Checks of progress: fresh, whole, exact, and counted by triggers that fire."""

from collections.abc import Iterable
from pathlib import Path

from handlers.diagnosis.commands import psql
from handlers.diagnosis.model import Case, Finding, critical, ok, unknown, warning
from handlers.diagnosis.text import duration, plural, session
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("progress.sql"))
# The bounds of what is counted for a comparison.
SAMPLED_JOBS = 5
# Up to here a full count of everything takes a second or two.
VERIFIED_OBJECTS = 2_000_000
SAMPLED_ROWS_OF_A_JOB = 40_000
# The alarm that wakes somebody up waits for so many intervals; the limit of the ticket is two of them.
STALE_INTERVALS = 3

# What a trigger names the rows that its function reads (003).
_TRANSITION_TABLES = {
    "insert": " REFERENCING NEW TABLE AS new_rows",
    "update": " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": " REFERENCING OLD TABLE AS old_rows",
    "truncate": "",
}


def age(case: Case) -> Iterable[Finding]:
    """Hold the age of job_progress against what callers are promised."""
    (view,) = case.fetch(QUERIES["progress_view"], {})
    if view["is_populated"] is None and view["was_there"]:
        restore = psql("SELECT restore_job_progress()")
        yield critical("job_progress was dropped", next=restore if view["is_restorable"] else case.commands.migrate())
        return
    if view["is_populated"] is None:
        yield critical("there is no job_progress yet: migration 002 is not applied", next=case.commands.migrate())
        return
    if not view["is_populated"]:
        yield critical("job_progress was never filled", next=case.commands.refresh())
        return
    rows = case.fetch(QUERIES["last_refresh"], {})
    if not rows:
        yield critical("no refresh has ever ended", next=case.commands.refresh())
        return
    age_s, limit_s = rows[0]["age_seconds"], case.limits.lag_s
    value = f"refreshed {duration(age_s)} ago, {duration(limit_s)} are allowed"
    if age_s < limit_s:
        yield ok(value)
    elif age_s < STALE_INTERVALS * case.limits.refresh_interval_s:
        yield warning(value, next=case.commands.refresh())
    else:
        yield critical(value, next=case.commands.refresh())


def coverage(case: Case) -> Iterable[Finding]:
    """Count the jobs that are old enough to be in job_progress and are not."""
    (row,) = case.fetch(QUERIES["coverage"], {"seconds": case.limits.lag_s})
    if row["missing"]:
        value = f"{plural(row['missing'], 'job')} older than {duration(case.limits.lag_s)} missing of {row['jobs']:,}"
        yield warning(value, next=case.commands.refresh())
    else:
        yield ok(f"none missing of {plural(row['jobs'], 'job')}")


def backlog(case: Case) -> Iterable[Finding]:
    """Count the changes that wait to be folded; a writer that has some of them in hand keeps them from being folded."""
    (row,) = case.fetch(QUERIES["backlog"], {})
    value = f"{plural(row['rows'], 'row')}, {case.limits.backlog_rows:,.0f} are allowed"
    if row["rows"] < case.limits.backlog_rows:
        yield ok(value)
    elif row["pid"] is not None and row["seconds"] >= case.limits.lock_wait_s:
        yield warning(
            f"{value}; {session(row)} has some in hand for {duration(row['seconds'])}",
            next=psql(f"SELECT pg_terminate_backend({row['pid']})"),
        )
    else:
        yield warning(value, next=case.commands.refresh())


def drift(case: Case) -> Iterable[Finding]:
    """Compare with a full count: every job where that takes a second or two, else a sample; `verify` compares all."""
    if case.fetch(QUERIES["is_quickly_verified"], {"objects": VERIFIED_OBJECTS})[0]["is_quick"]:
        yield from _verification(case)
        return
    bounds = {"jobs": SAMPLED_JOBS, "rows_of_a_job": SAMPLED_ROWS_OF_A_JOB}
    rows = case.fetch(QUERIES["drift"], bounds)
    objects = sum(row["counted_objects"] for row in rows)
    drifted = [row for row in rows if not row["is_exact"]]
    if drifted:
        first = drifted[0]
        yield critical(
            f"{plural(len(drifted), 'job')} of {len(rows)} counted differ, such as {first['job_id']}: "
            f"{plural(first['total_objects'], 'object')} known, {first['counted_objects']:,} counted",
            next=case.commands.rebuild(),
        )
    elif rows:
        yield ok(f"exact for the newest {plural(len(rows), 'job')} with {plural(objects, 'object')}")
    elif case.fetch(QUERIES["job_count"], {})[0]["jobs"]:
        yield unknown(
            f"each of the newest jobs has more than {SAMPLED_ROWS_OF_A_JOB:,} rows", next=case.commands.verify()
        )
    else:
        yield ok("no job yet")


def _verification(case: Case) -> Iterable[Finding]:
    drifted = case.fetch(QUERIES["verification"], {})
    if drifted:
        first = drifted[0]
        yield critical(
            f"{plural(len(drifted), 'job')} drifted, such as {first['job_id']}: "
            f"{plural(first['known_objects'], 'object')} known, {first['counted_objects']:,} counted",
            next=case.commands.rebuild(),
        )
    else:
        yield ok("exact for every job")


def refresh_runs(case: Case) -> Iterable[Finding]:
    """Say how the last refresh went, whether one is stuck, and whether they still come."""
    interval_s = case.limits.refresh_interval_s
    at_work = case.fetch(QUERIES["refresh_at_work"], {})
    if at_work and at_work[0]["seconds"] >= interval_s:
        row = at_work[0]
        yield critical(
            f"{session(row)} refreshes or rebuilds since {duration(row['seconds'])}; all others wait or return at once",
            next=psql(f"SELECT pg_terminate_backend({row['pid']})"),
        )
        return
    rows = case.fetch(QUERIES["last_refresh"], {})
    if not rows:
        yield critical("none has ever ended", next=case.commands.refresh())
        return
    last_s, took_s = rows[0]["age_seconds"], rows[0]["duration_ms"] / 1000
    value = (
        f"the last took {duration(took_s)} and began {duration(last_s)} ago; one is due every {duration(interval_s)}"
    )
    if last_s >= STALE_INTERVALS * interval_s:
        # If this one succeeds, it is the schedule; if not, its error says why.
        yield critical(f"{value}: the schedule is off, or every refresh fails", next=case.commands.refresh())
    elif took_s >= interval_s / 2:
        yield warning(value, next=psql("VACUUM (ANALYZE) job_progress_deltas"))
    else:
        yield ok(value)


def triggers(case: Case) -> Iterable[Finding]:
    """Check that every statement on objects and findings is counted."""
    enabled = {row["name"]: row["is_enabled"] for row in case.fetch(QUERIES["triggers"], {})}
    expected = {
        f"track_{table}_{event}": (table, event)
        for table in ("job_objects", "findings")
        for event in _TRANSITION_TABLES
    }
    all_fire = True
    for table in ("job_objects", "findings"):
        disabled = [name for name, (on, _) in expected.items() if on == table and enabled.get(name) is False]
        if disabled:
            all_fire = False
            # Those who write queue behind whoever waits for this lock.
            actions = ", ".join(f"ENABLE TRIGGER {name}" for name in disabled)
            yield critical(
                f"disabled on {table}: {', '.join(disabled)}",
                next=psql(f"SET lock_timeout = '2s'; ALTER TABLE {table} {actions}"),
            )
    for name, (table, event) in expected.items():
        if name not in enabled:
            all_fire = False
            yield critical(
                f"missing: {name}",
                next=psql(
                    f"SET lock_timeout = '2s'; CREATE OR REPLACE TRIGGER {name} AFTER {event.upper()} ON {table}"
                    f"{_TRANSITION_TABLES[event]} FOR EACH STATEMENT EXECUTE FUNCTION track_{table}()"
                ),
            )
    if all_fire:
        yield ok(f"all {len(expected)} fire")
