"""`refresh` refreshes once, alone, and emits what the alarms watch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from handlers import refresh
from handlers.connection import Database
from handlers.errors import InvalidRequestError
from tests.handlers.test_status import Context

if TYPE_CHECKING:
    from tests.conftest import TestDatabase


@pytest.fixture
def client(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Database:
    variables = database.variables("progress_refresher")
    monkeypatch.setenv("RDS_CA_BUNDLE", variables["RDS_CA_BUNDLE"])
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "ScannerDatabase")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "scanner-database-test-refresh")
    client = Database(variables, query_timeout_s=3)
    monkeypatch.setattr(refresh, "database", client)
    refresh.metrics.provider.namespace = "ScannerDatabase"
    refresh.metrics.provider.service = "scanner-database-test-refresh"
    return client


def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the values of the last EMF line."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    (line,) = lines
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ScannerDatabase"
    assert directive["Dimensions"] == [["service"]]
    return {metric["Name"]: (line[metric["Name"]][0], metric["Unit"]) for metric in directive["Metrics"]}


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
    # One statement inserted the objects; the template's last refresh was at its migration.
    assert metrics["ProgressBacklog"] == (1, "Count")
    assert metrics["FoldedRows"] == (1, "Count")
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


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_an_unknown_action_is_refused(client: Database) -> None:
    with pytest.raises(InvalidRequestError, match="action 'refrsh' is not refresh, verify or rebuild"):
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
    assert set(metrics) == {"RefreshSkipped", "ProgressBacklog", "ProgressLag"}
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


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_a_refresh_that_fails_fails_the_invocation(client: Database, database: TestDatabase) -> None:
    database.query("DROP MATERIALIZED VIEW job_progress CASCADE")
    with pytest.raises(Exception, match=r'relation "public.job_progress" does not exist'):
        refresh.handler({}, Context())
