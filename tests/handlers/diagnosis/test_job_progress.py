"""Progress that is old, incomplete, wrong or not counted is found, and the command that is named mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.diagnosis import job_progress
from tests.support.diagnosis import INVOKE_MIGRATE, INVOKE_REFRESH, Session, carry_out, diagnose, event_of, only

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.database import TestDatabase

    Sessions = Callable[..., Session]

REFRESH = INVOKE_REFRESH % "refresh"


def refreshed_ago(database: TestDatabase, interval: str) -> None:
    database.query("UPDATE materialized_view_refresh_log SET last_refreshed_at = now() - %s::interval", (interval,))


@pytest.mark.parametrize(
    ("check", "ago", "state"),
    [
        ("progress-age", "9 minutes", "ok"),
        ("progress-age", "11 minutes", "warning"),
        ("progress-age", "16 minutes", "critical"),
        ("refresh-runs", "14 minutes", "ok"),
        ("refresh-runs", "16 minutes", "critical"),
    ],
)
def test_old_progress_is_found_and_refreshed(well: TestDatabase, check: str, ago: str, state: str) -> None:
    refreshed_ago(well, ago)
    found, value, next_ = only(diagnose(well, check))
    assert found == state
    assert f"{ago.partition(' ')[0]} min ago" in value
    if state != "ok":
        assert next_ == REFRESH
        carry_out(next_, well)
        assert only(diagnose(well, check))[0] == "ok"


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        ("REFRESH MATERIALIZED VIEW job_progress WITH NO DATA", "job_progress was never filled"),
        ("DELETE FROM materialized_view_refresh_log", "no refresh has ever finished"),
    ],
)
def test_a_view_that_was_never_filled_is_filled(well: TestDatabase, fault: str, value: str) -> None:
    well.query(fault)
    assert only(diagnose(well, "progress-age")) == ("critical", value, REFRESH)
    carry_out(REFRESH, well)
    assert only(diagnose(well, "progress-age"))[0] == "ok"


def test_a_view_that_was_dropped_is_built_again_without_a_migration(well: TestDatabase) -> None:
    well.query("DROP MATERIALIZED VIEW job_progress CASCADE")
    state, value, next_ = only(diagnose(well, "progress-age"))
    assert (state, value) == ("critical", "job_progress was dropped")
    assert next_ == INVOKE_MIGRATE
    carry_out(next_, well)
    carry_out(REFRESH, well)
    assert {finding.state for finding in diagnose(well, "progress-age", "views", "grants")} == {"ok"}
    assert well.query("SELECT count(*) FROM job_progress") == [(2,)]


def test_jobs_that_the_view_lacks_are_counted_and_refreshed(well: TestDatabase) -> None:
    well.add_job({"queued": 1})
    assert only(diagnose(well, "progress-coverage"))[0] == "ok"
    well.query("UPDATE jobs SET created_at = now() - interval '11 minutes'")
    state, value, next_ = only(diagnose(well, "progress-coverage"))
    assert (state, value, next_) == ("warning", "1 job older than 10 min missing of 3", REFRESH)
    carry_out(next_, well)
    assert only(diagnose(well, "progress-coverage"))[:2] == ("ok", "none missing of 3 jobs")


def test_a_backlog_is_counted_and_folded(well: TestDatabase) -> None:
    well.add_job({"queued": 1, "failed": 1})
    state, value, next_ = only(diagnose(well, "progress-backlog", backlog_rows=2))
    assert (state, value, next_) == ("warning", "2 rows; fewer than 2 is normal", REFRESH)
    carry_out(next_, well)
    assert only(diagnose(well, "progress-backlog", backlog_rows=2))[0] == "ok"


def test_a_writer_that_keeps_the_backlog_is_named_and_ended(well: TestDatabase, sessions: Sessions) -> None:
    well.add_job({"queued": 1})
    writer = sessions("scanner_admin")
    writer.begin("SELECT 1 FROM job_progress_deltas FOR UPDATE; UPDATE job_objects SET status = 'failed'")
    carry_out(REFRESH, well)
    state, value, next_ = only(diagnose(well, "progress-backlog", backlog_rows=1, lock_wait_s=0))
    assert state == "warning"
    assert f"; pid {writer.pid} (scanner_admin) has had some in an open transaction for " in value
    assert event_of(next_)[1].items() >= {"action": "end", "pid": writer.pid}.items()
    carry_out(next_, well)
    carry_out(REFRESH, well)
    assert only(diagnose(well, "progress-backlog", backlog_rows=1, lock_wait_s=0))[0] == "ok"


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("job_objects", "DELETE FROM job_objects WHERE key = 'queued1'"),
        ("job_objects", "UPDATE job_objects SET status = 'failed' WHERE key = 'queued1'"),
        ("job_objects", "UPDATE job_objects SET updated_at = now() + interval '1 day'"),
        ("findings", "DELETE FROM findings"),
    ],
)
@pytest.mark.parametrize(
    ("verified_objects", "healthy", "broken"),
    [
        (1000, "exact for every job", " drifted, such as "),
        (0, "exact for the newest 2 jobs with 6 objects", " of 2 counted differ, such as "),
    ],
)
def test_numbers_that_are_wrong_are_found_and_rebuilt(  # noqa: PLR0917 - the table's columns
    well: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    fault: str,
    verified_objects: int,
    healthy: str,
    broken: str,
) -> None:
    monkeypatch.setattr(job_progress, "VERIFIED_OBJECTS", verified_objects)
    well.query("SELECT refresh_job_progress()")
    assert only(diagnose(well, "progress-drift"))[:2] == ("ok", healthy)
    for sql in (f"ALTER TABLE {table} DISABLE TRIGGER USER", fault, f"ALTER TABLE {table} ENABLE TRIGGER USER"):
        well.query(sql)
    state, value, next_ = only(diagnose(well, "progress-drift"))
    assert (state, next_) == ("critical", INVOKE_REFRESH % "rebuild")
    assert broken in value
    carry_out(next_, well)
    assert only(diagnose(well, "progress-drift"))[0] == "ok"


def test_changes_that_are_not_folded_yet_are_no_drift(well: TestDatabase) -> None:
    well.query("UPDATE job_objects SET status = 'failed', updated_at = now()")
    well.add_job({"processing": 2})
    assert only(diagnose(well, "progress-drift"))[0] == "ok"


def test_a_fresh_database_has_no_drift(database: TestDatabase) -> None:
    assert only(diagnose(database, "progress-drift"))[:2] == ("ok", "exact for every job")


def test_a_fresh_database_has_no_job_to_sample(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_progress, "VERIFIED_OBJECTS", -1)
    assert only(diagnose(database, "progress-drift"))[:2] == ("ok", "no job yet")


def test_jobs_too_large_to_be_counted_are_left_to_the_verification(
    well: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_progress, "VERIFIED_OBJECTS", -1)
    monkeypatch.setattr(job_progress, "SAMPLED_ROWS_OF_A_JOB", 1)
    state, value, next_ = only(diagnose(well, "progress-drift"))
    assert (state, value) == ("unknown", "each of the newest jobs has more than 1 rows")
    assert next_ == INVOKE_REFRESH % "verify"
    carry_out(next_, well)


def test_a_refresh_that_takes_half_of_its_interval_is_told(well: TestDatabase) -> None:
    well.query("UPDATE materialized_view_refresh_log SET refresh_duration_ms = 150000")
    state, value, next_ = only(diagnose(well, "refresh-runs"))
    assert state == "warning"
    assert value.startswith("the last took 2 min and began ")
    carry_out(next_, well)
    carry_out(REFRESH, well)
    assert only(diagnose(well, "refresh-runs"))[0] == "ok"


def test_a_refresh_that_hangs_is_named_and_ended(well: TestDatabase, sessions: Sessions) -> None:
    hanging = sessions("progress_refresher")
    hanging.begin("SELECT refresh_job_progress()")
    state, value, next_ = only(diagnose(well, "refresh-runs", refresh_interval_s=0.001))
    assert state == "critical"
    assert value.startswith(f"pid {hanging.pid} (progress_refresher) has refreshed or rebuilt for ")
    carry_out(next_, well)
    assert only(diagnose(well, "refresh-runs"))[0] == "ok"
