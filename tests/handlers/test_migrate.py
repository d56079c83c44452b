"""`migrate` takes the release from S3 and the password from Secrets Manager (moto stands for both here)."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import boto3
import pytest

from handlers.errors import InvalidRequestError, ReleaseError, UnfitDatabaseError
from handlers.telemetry import logger
from stacks import ROOT
from stacks.alarms.thresholds import doctor_thresholds
from stacks.settings import load_settings
from tests.support.database import MIGRATIONS
from tests.support.diagnosis import wait_until
from tests.support.uploaded_release import FifteenMinutes, invoke_migrate

if TYPE_CHECKING:
    from tests.support.database import TestDatabase


def test_a_release_is_applied_once_and_found_applied_when_the_invocation_is_sent_again(
    release_event: dict[str, str],
) -> None:
    files = sorted(path.name for path in MIGRATIONS.glob("[0-9]*.sql") if not path.name.endswith(".down.sql"))
    assert invoke_migrate(release_event) == {
        "release_sha256": release_event["release_sha256"],
        "applied": files,
        "already_applied": 0,
    }
    assert invoke_migrate(release_event) == {
        "release_sha256": release_event["release_sha256"],
        "applied": [],
        "already_applied": len(files),
    }


def test_a_plan_tells_what_would_run_and_runs_nothing(
    release_event: dict[str, str], empty_database: TestDatabase
) -> None:
    empty_database.query("CREATE VIEW findings AS SELECT 1 AS job_id")
    planned = invoke_migrate({**release_event, "action": "plan"})
    steps = planned["steps"]
    assert steps[0]["title"] == "CREATE TABLE jobs"
    as_json = [{**step, **{name: list(step[name]) for name in ("relations", "changes", "losses")}} for step in steps]
    assert json.loads(json.dumps(steps)) == as_json
    assert [finding["subject"] for finding in planned["findings"] if finding["refuses"]] == ["public.findings"]
    assert empty_database.query("SELECT to_regclass('jobs'), to_regclass('schema_migrations')") == [(None, None)]


def test_the_ledger_is_told_without_a_release_and_nothing_is_made(
    release_event: dict[str, str], empty_database: TestDatabase
) -> None:
    empty_database.query('CREATE TABLE "Big" AS SELECT generate_series(1, 10000) AS a')
    untouched = invoke_migrate({"action": "ledger"})
    assert untouched["applied"] == []
    assert untouched["table_bytes"]['"Big"'] > 100_000
    assert empty_database.query("SELECT to_regclass('schema_migrations')") == [(None,)]
    files = invoke_migrate(release_event)["applied"]
    told = json.loads(json.dumps(invoke_migrate({"action": "ledger"})))
    assert [f"{row['version']:03}_{row['name']}.sql" for row in told["applied"]] == files
    assert all(row["applied_at"] and row["checksum"] for row in told["applied"])
    assert {"jobs", "job_objects", "idx_job_objects_job_status"} <= set(told["table_bytes"])


def test_a_ledger_that_cannot_be_read_is_told_without_an_error_that_would_ring_an_alarm(
    release_event: dict[str, str], empty_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert release_event
    empty_database.query("CREATE TABLE schema_migrations (id int)")
    assert "another tool made it" in invoke_migrate({"action": "ledger"})["unknown"]
    monkeypatch.setenv("RDS_PORT", "1")
    assert "onnection refused" in invoke_migrate({"action": "ledger"})["unknown"]


@pytest.fixture
def on_call(release_event: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The release of a migrated database, with the variables that only an on-call's actions read."""
    limits = doctor_thresholds(load_settings(ROOT / "environments" / "dev.toml", {}))
    monkeypatch.setenv("DOCTOR_LIMITS", json.dumps(asdict(limits)))
    monkeypatch.setenv("DEPLOYMENT", "scanner-database-dev")
    monkeypatch.setenv("DATABASE", "instance/scanner-database-dev")
    invoke_migrate(release_event)
    return release_event


def test_an_on_call_runs_only_a_statement_that_a_check_names_now(
    on_call: dict[str, str], empty_database: TestDatabase
) -> None:
    index = "idx_findings_job_detector"
    repair = {**on_call, "action": "repair", "check": "indexes"}
    assert invoke_migrate({**repair, "dry_run": True}) == {"would": []}
    empty_database.query(f"DROP INDEX {index}")
    (found,) = invoke_migrate({**repair, "dry_run": True})["would"]
    for sql in ("DROP TABLE findings", "SELECT 1", "", found["sql"].replace("findings", "jobs")):
        said = invoke_migrate({**repair, "sql": sql})
        assert said["failed"].startswith("the check indexes does not name this statement now, so it was not run.")
        assert f"{index} on findings is missing" in said["failed"]
    assert empty_database.query("SELECT to_regclass(%s)", (index,)) == [(None,)]
    assert invoke_migrate({**repair, "sql": found["sql"]}) == {"done": found["sql"]}
    assert empty_database.query("SELECT to_regclass(%s) IS NOT NULL", (index,)) == [(True,)]
    assert "does not name this statement now" in invoke_migrate({**repair, "sql": found["sql"]})["failed"]


def test_an_on_call_ends_the_session_that_was_seen_and_none_that_has_its_pid_later(
    on_call: dict[str, str], empty_database: TestDatabase
) -> None:
    assert on_call
    connection = empty_database.connect("scanner_app")
    end = {"action": "end", "pid": connection.info.backend_pid}
    seen = invoke_migrate(end)
    assert seen["would"][0].startswith(f"pid {end['pid']} (scanner_app)")
    assert seen["event"]["pid"] == end["pid"]
    of_another = invoke_migrate({**end, "began": "2026-01-01T00:00:00+00:00"})
    assert of_another == {"failed": f"there is no session {end['pid']} of a client any more: nothing was done"}
    assert connection.cursor().execute("SELECT 1") is None
    assert invoke_migrate(seen["event"])["done"].startswith(f"ended pid {end['pid']} (scanner_app)")
    assert "there is no session" in invoke_migrate(seen["event"])["failed"]


@pytest.mark.parametrize(
    ("event", "failed"),
    [
        ({"action": "end"}, "name a session with pid and began, or idle ones with idle: true"),
        ({"action": "end", "pid": 1}, "there is no session 1 of a client any more: nothing was done"),
        ({"action": "repair", "check": "vacuums"}, "check 'vacuums' is none of connection, proxy, connections"),
    ],
)
def test_what_an_on_call_mistypes_is_told_without_an_error_that_would_ring_an_alarm(
    on_call: dict[str, str], event: dict[str, str], failed: str
) -> None:
    assert invoke_migrate({**on_call, **event})["failed"].startswith(failed)


def test_a_statement_that_outlasts_the_function_goes_on_in_the_database(
    on_call: dict[str, str], empty_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_database.query("DROP INDEX idx_findings_job_detector")
    (found,) = invoke_migrate({**on_call, "action": "repair", "check": "indexes", "dry_run": True})["would"]
    with contextlib.closing(empty_database.connect("scanner_app")) as writer:
        writer.autocommit = False
        writer.cursor().execute("LOCK TABLE findings IN ROW EXCLUSIVE MODE")
        monkeypatch.setattr(FifteenMinutes, "get_remaining_time_in_millis", lambda _self: 30_500)
        said = invoke_migrate({**on_call, "action": "repair", "check": "indexes", "sql": found["sql"]})
        assert "it goes on in the database: ask the doctor again" in said["failed"]
    index = "indexrelid = to_regclass('idx_findings_job_detector')"
    wait_until(empty_database, f"SELECT 1 FROM pg_index WHERE indisvalid AND {index}")


def test_what_would_stop_a_migration_half_way_fails_the_deploy_before_it(
    release_event: dict[str, str], empty_database: TestDatabase
) -> None:
    empty_database.query("CREATE VIEW findings AS SELECT 1 AS job_id")
    with pytest.raises(UnfitDatabaseError, match=r"- public.findings: view. A migration makes or changes a table"):
        invoke_migrate(release_event)
    assert empty_database.query("SELECT to_regclass('jobs'), to_regclass('schema_migrations')") == [(None, None)]


def test_a_rollback_takes_the_newest_migration_back(release_event: dict[str, str]) -> None:
    newest = invoke_migrate(release_event)["applied"][-1]
    assert invoke_migrate({**release_event, "action": "rollback"})["rolled_back"] == newest.replace(".sql", ".down.sql")
    assert invoke_migrate(release_event)["applied"] == [newest]


def test_an_unknown_action_is_refused(release_event: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError, match="action 'drop' is none of migrate, plan, rollback, ledger"):
        invoke_migrate({**release_event, "action": "drop"})


def test_a_release_that_is_not_the_one_asked_for_is_refused(
    release_event: dict[str, str], empty_database: TestDatabase
) -> None:
    with pytest.raises(ReleaseError, match=f"has the SHA-256 {release_event['release_sha256']}, not 00ff"):
        invoke_migrate({**release_event, "release_sha256": "00ff"})
    assert empty_database.query("SELECT to_regclass('schema_migrations')") == [(None,)]


def test_the_password_is_in_no_log_line(release_event: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(logger.handlers[0], "stream", log)
    invoke_migrate(release_event)
    secret = boto3.client("secretsmanager").get_secret_value(SecretId="master")["SecretString"]
    assert json.loads(secret)["password"] not in log.getvalue()
    assert "applied 001_create_scanner_tables.sql" in log.getvalue()
