"""`migrate` takes the release from S3 and the password from Secrets Manager (moto stands for both here)."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import boto3
import pytest

from handlers.errors import InvalidRequestError, ReleaseError, UnfitDatabaseError
from handlers.telemetry import logger
from tests.support.database import MIGRATIONS
from tests.support.uploaded_release import invoke_migrate

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
