"""`refresh` refreshes once, alone, and emits what the alarms watch."""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.errors
import pytest

from handlers import refresh, telemetry
from handlers.connection import Database
from handlers.errors import DatabaseUnavailableError, InvalidRequestError
from handlers.progress import actions, maintenance
from tests.support.invocations import Context, emitted
from tests.support.migrating import roll_back_to
from tests.support.old_deployment import run_old_002

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from handlers.connection import Rows
    from tests.support.database import TestDatabase


@pytest.fixture
def client(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Database:
    variables = database.variables("progress_refresher")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "ScannerDatabase")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "scanner-database-test-refresh")
    client = Database(variables, query_timeout_s=3)
    monkeypatch.setattr(refresh, "database", client)
    refresh.metrics.provider.namespace = "ScannerDatabase"
    refresh.metrics.provider.service = "scanner-database-test-refresh"
    return client


def test_a_refresh_brings_the_view_up_to_date_and_emits_its_metrics(
    client: Database, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    database.add_job({"queued": 3})
    result = refresh.handler({"source": "schedule"}, Context())
    assert (result["refreshed"], result["jobs"], result["objects"]) == (True, 1, 3)
    assert database.query("SELECT total_objects FROM job_progress") == [(3,)]
    metrics = emitted(capsys)
    assert metrics["RefreshSucceeded"] == (1, "Count")
    assert metrics["Objects"] == (3, "Count")
    assert metrics["RefreshDuration"] == (result["duration_ms"], "Milliseconds")
    # Of one statement the first two rows as they are, then a sum; the template's last refresh was at its migration.
    assert metrics["ProgressBacklog"] == (3, "Count")
    assert metrics["FoldedRows"] == (3, "Count")
    assert metrics["ProgressLag"] == (pytest.approx(result["lag_s"]), "Seconds")
    assert result["lag_s"] > 0
    assert refresh.handler({}, Context())["folded_rows"] == 0


def test_a_first_refresh_has_no_lag_to_tell(
    client: Database, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    database.query("DELETE FROM materialized_view_refresh_log")
    assert refresh.handler({}, Context())["lag_s"] is None
    assert "ProgressLag" not in emitted(capsys)


def test_a_verification_says_which_jobs_drifted_and_a_rebuild_mends_them(
    client: Database, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = database.add_job({"queued": 3})
    database.add_job({"queued": 3})
    assert refresh.handler({"action": "verify"}, Context()) == {"drifted_jobs": 0, "job_ids": []}
    assert emitted(capsys) == {"DriftedJobs": (0, "Count")}
    database.query("ALTER TABLE job_objects DISABLE TRIGGER USER")
    database.query("DELETE FROM job_objects WHERE job_id = %s AND key = 'queued1'", (job_id,))
    database.query("ALTER TABLE job_objects ENABLE TRIGGER USER")
    assert refresh.handler({"action": "verify"}, Context()) == {"drifted_jobs": 1, "job_ids": [job_id]}
    assert emitted(capsys) == {"DriftedJobs": (1, "Count")}
    assert refresh.handler({"action": "rebuild"}, Context()) == {"mended_jobs": 1}
    assert emitted(capsys) == {"MendedJobs": (1, "Count")}
    assert refresh.handler({"action": "verify"}, Context())["drifted_jobs"] == 0


def test_a_deploy_waits_for_the_proxy_refreshes_and_verifies(
    client: Database,
    database: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = database.variables("progress_refresher")
    variables = {**there, "RDS_PORT": "1"}
    monkeypatch.setattr(refresh, "database", Database(variables, query_timeout_s=3))
    monkeypatch.setattr(actions.time, "sleep", lambda _s: variables.update(there))
    result = refresh.handler({"source": "deploy", "action": "after_deploy"}, Context())
    assert (result["refreshed"], result["drifted_jobs"]) == (True, 0)
    metrics = emitted(capsys)
    assert (metrics["RefreshSucceeded"], metrics["DriftedJobs"]) == ((1, "Count"), (0, "Count"))


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_a_deploy_does_not_wait_for_a_proxy_for_ever(
    database: TestDatabase, client: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Database({**database.variables("progress_refresher"), "RDS_PORT": "1"}, query_timeout_s=3)
    monkeypatch.setattr(refresh, "database", away)
    monkeypatch.setattr(actions, "PROXY_PATIENCE_S", 0)
    with pytest.raises(DatabaseUnavailableError, match="no connection to"):
        refresh.handler({"source": "deploy", "action": "after_deploy"}, Context())


@pytest.mark.filterwarnings("ignore:No application metrics")
@pytest.mark.parametrize("fault", ["no proxy", "no right"])
def test_a_wait_for_the_proxy_tells_what_failed_and_lets_the_deploy_go_on(
    database: TestDatabase, client: Database, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "no right":
        database.query("REVOKE EXECUTE ON FUNCTION refresh_job_progress FROM progress_refresher")
    else:
        away = Database({**database.variables("progress_refresher"), "RDS_PORT": "1"}, query_timeout_s=3)
        monkeypatch.setattr(refresh, "database", away)
        monkeypatch.setattr(actions, "PROXY_PATIENCE_S", 0)
    result = refresh.handler({"source": "deploy", "action": "await_proxy"}, Context())
    assert result["refreshed"] is False
    assert {"no proxy": "no connection to", "no right": "permission denied"}[fault] in result["reason"]


def test_a_wait_for_a_proxy_that_serves_refreshes_and_verifies_so_that_no_alarm_misses_its_first_datum(
    client: Database, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    result = refresh.handler({"source": "deploy", "action": "await_proxy"}, Context())
    assert (result["refreshed"], result["drifted_jobs"]) == (True, 0)
    assert {"RefreshSucceeded", "DriftedJobs"} <= emitted(capsys).keys()


def test_a_deploy_leaves_the_verification_of_many_objects_to_the_night(
    client: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.add_job({"queued": 2})
    monkeypatch.setattr(actions, "MOST_OBJECTS_VERIFIED_AT_DEPLOY", 1)
    assert "drifted_jobs" not in refresh.handler({"source": "deploy", "action": "after_deploy"}, Context())


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_an_unknown_action_is_refused(client: Database) -> None:
    with pytest.raises(InvalidRequestError, match="action 'refrsh' is none of refresh, verify, rebuild, after_deploy"):
        refresh.handler({"action": "refrsh"}, Context())


def test_a_refresh_beside_another_returns_at_once_and_says_so(
    client: Database, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    other = database.connect("progress_refresher")
    other.autocommit = False
    with other.cursor() as cursor:
        cursor.execute("SELECT refresh_job_progress()")
    database.add_job({"queued": 1})
    result = refresh.handler({}, Context())
    other.rollback()
    other.close()
    assert result["refreshed"] is False
    metrics = emitted(capsys)
    assert set(metrics) == {
        *("RefreshSkipped", "ProgressBacklog", "ProgressLag"),
        *("LongestLockWait", "OldestTransactionAge"),
    }
    assert metrics["ProgressBacklog"] == (1, "Count")


def test_readers_go_on_while_a_refresh_is_at_work(client: Database, database: TestDatabase) -> None:
    database.add_job({"queued": 3})
    refresher = database.connect("progress_refresher")
    refresher.autocommit = False
    with refresher.cursor() as cursor:
        cursor.execute("SELECT refresh_job_progress()")
    assert database.query("SELECT total_objects FROM job_progress", user="progress_reader") == []
    refresher.commit()
    refresher.close()
    assert database.query("SELECT total_objects FROM job_progress", user="progress_reader") == [(3,)]


def test_a_refresh_that_fails_fails_the_invocation_and_emits_what_it_measured_before(
    client: Database, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    database.query("DROP MATERIALIZED VIEW job_progress CASCADE")
    with pytest.raises(Exception, match=r'relation "public.job_progress" does not exist'):
        refresh.handler({}, Context())
    assert emitted(capsys) == {"LongestLockWait": (0, "Seconds"), "OldestTransactionAge": (0, "Seconds")}


@contextlib.contextmanager
def waiting_for_a_lock(database: TestDatabase) -> Iterator[int]:
    """A writer that waits for a lock which another session's open transaction holds; yields the holder's pid."""
    holder, waiter = database.connect("scanner_app"), database.connect("scanner_app")
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("UPDATE jobs SET bucket = 'held'")
    blocked = threading.Thread(target=lambda: waiter.cursor().execute("UPDATE jobs SET bucket = 'waits'"))
    blocked.start()
    while not database.query("SELECT pid FROM pg_locks WHERE NOT granted AND waitstart IS NOT NULL"):
        time.sleep(0.01)
    yield holder.info.backend_pid
    holder.rollback()
    blocked.join()
    holder.close()
    waiter.close()


def test_a_wait_for_a_lock_and_an_open_transaction_of_others_are_measured_as_progress_refresher(
    client: Database, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    database.add_job({"queued": 1})
    with waiting_for_a_lock(database):
        time.sleep(0.5)
        refresh.handler({}, Context())
    metrics = emitted(capsys)
    assert 0.5 <= metrics["LongestLockWait"][0] <= metrics["OldestTransactionAge"][0] < 30


def test_a_concurrent_build_that_waits_for_a_writer_is_not_a_wait_for_a_lock(
    client: Database, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    database.add_job({"queued": 1})
    writer, builder = database.connect("scanner_app"), database.connect()
    writer.autocommit = False
    with writer.cursor() as cursor:
        cursor.execute("UPDATE jobs SET bucket = 'held'")
    build = threading.Thread(
        target=lambda: builder.cursor().execute("CREATE INDEX CONCURRENTLY jobs_bucket ON jobs (bucket)")
    )
    build.start()
    while not database.query("SELECT pid FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted"):
        time.sleep(0.01)
    refresh.handler({}, Context())
    writer.rollback()
    build.join()
    writer.close()
    builder.close()
    assert emitted(capsys)["LongestLockWait"] == (0, "Seconds")


def test_the_transaction_of_a_concurrent_build_is_not_an_old_transaction(
    client: Database, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    database.add_job({"queued": 1})
    database.query(
        "CREATE FUNCTION slowly(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(1); RETURN $1; END $$"
    )
    builder = database.connect()
    build = threading.Thread(
        target=lambda: builder.cursor().execute("CREATE INDEX CONCURRENTLY jobs_bucket ON jobs (slowly(bucket))")
    )
    build.start()
    while not database.query("SELECT pid FROM pg_stat_progress_create_index"):
        time.sleep(0.01)
    refresh.handler({}, Context())
    build.join()
    builder.close()
    assert emitted(capsys)["OldestTransactionAge"] == (0, "Seconds")


@pytest.mark.parametrize("newest", [3, 2])
def test_a_database_that_was_rolled_back_is_refreshed_by_what_it_has(
    client: Database, database: TestDatabase, capsys: pytest.CaptureFixture[str], newest: int
) -> None:
    roll_back_to(database, newest)
    assert refresh.handler({}, Context())["refreshed"] is True
    assert "LongestLockWait" not in emitted(capsys)


def test_a_refresh_that_may_not_measure_refreshes_all_the_same(
    client: Database, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    database.query("REVOKE EXECUTE ON FUNCTION measure_sessions() FROM progress_refresher")
    assert refresh.handler({}, Context())["refreshed"] is True
    assert "LongestLockWait" not in emitted(capsys)


@pytest.mark.parametrize("action", ["refresh", "verify"])
def test_what_a_script_of_an_older_deployment_replaced_is_a_warning(
    client: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", written)
    run_old_002(database)
    refresh.handler({"action": action}, Context())
    warning, *_ = map(json.loads, written.getvalue().splitlines())
    assert warning["level"] == "WARNING"
    assert "job_progress" in warning["message"]
    assert "`scannerdb migrate` restores" in warning["message"]


class Deadlocking:
    """A database whose first calls meet a deadlock."""

    def __init__(self, database: Database, *, deadlocks: int) -> None:
        self._database, self.left, self.calls = database, deadlocks, 0

    def fetch_all(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise psycopg2.errors.DeadlockDetected
        return self._database.fetch_all(query, parameters)


@pytest.mark.parametrize("run", [maintenance.refresh, maintenance.verify, maintenance.rebuild])
def test_what_a_deadlock_undid_is_done_once_more(client: Database, run: Callable[[Rows], Any]) -> None:
    database = Deadlocking(client, deadlocks=1)
    run(database)
    assert database.calls == 2
    with pytest.raises(psycopg2.errors.DeadlockDetected):
        run(Deadlocking(client, deadlocks=2))
