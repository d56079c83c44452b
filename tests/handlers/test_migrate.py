"""`migrate` takes the release from S3 and the password from Secrets Manager (moto stands for both here)."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from handlers import migrate
from handlers.errors import InvalidRequestError, ReleaseError
from handlers.telemetry import logger
from lab.embedded_postgres import ADMIN_USER
from stacks.assets.package import build_release
from tests.handlers.test_status import Context
from tests.support.database import BUILD, MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase


class FifteenMinutes(Context):
    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@pytest.fixture
def event(empty_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An uploaded release, a master secret, and the event that names the release."""
    server = empty_database.server
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    release = build_release(MIGRATIONS, folder=BUILD / "releases")
    key = f"{release.sha256}.zip"
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="releases")
        s3.put_object(Bucket="releases", Key=key, Body=release.path.read_bytes())
        secret = {"username": ADMIN_USER, "password": server.password}
        arn = boto3.client("secretsmanager").create_secret(Name="master", SecretString=json.dumps(secret))["ARN"]
        monkeypatch.setenv("MASTER_SECRET_ARN", arn)
        monkeypatch.setenv("RDS_ENDPOINT", server.host)
        monkeypatch.setenv("RDS_PORT", str(server.port))
        monkeypatch.setenv("RDS_DBNAME", empty_database.name)
        monkeypatch.setenv("RDS_CA_BUNDLE", str(server.certificate_authority))
        yield {"release_bucket": "releases", "release_key": key, "release_sha256": release.sha256}


def invoke(event: dict[str, str]) -> dict[str, Any]:
    return migrate.handler(event, FifteenMinutes())


def test_a_release_is_applied_once_and_found_applied_when_the_invocation_is_sent_again(event: dict[str, str]) -> None:
    files = sorted(path.name for path in MIGRATIONS.glob("[0-9]*.sql") if not path.name.endswith(".down.sql"))
    assert invoke(event) == {"release_sha256": event["release_sha256"], "applied": files, "already_applied": 0}
    assert invoke(event) == {"release_sha256": event["release_sha256"], "applied": [], "already_applied": len(files)}


def test_a_plan_tells_what_would_run_and_runs_nothing(event: dict[str, str], empty_database: TestDatabase) -> None:
    steps = invoke({**event, "action": "plan"})["steps"]
    assert steps[0]["title"] == "CREATE TABLE jobs"
    assert json.loads(json.dumps(steps)) == [{**step, "relations": list(step["relations"])} for step in steps]
    assert empty_database.query("SELECT to_regclass('jobs'), to_regclass('schema_migrations')") == [(None, None)]


def test_a_rollback_takes_the_newest_migration_back(event: dict[str, str]) -> None:
    newest = invoke(event)["applied"][-1]
    assert invoke({**event, "action": "rollback"})["rolled_back"] == newest.replace(".sql", ".down.sql")
    assert invoke(event)["applied"] == [newest]


def test_an_unknown_action_is_refused(event: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError, match="action 'drop' is none of migrate, plan, rollback"):
        invoke({**event, "action": "drop"})


def test_a_release_that_is_not_the_one_asked_for_is_refused(
    event: dict[str, str], empty_database: TestDatabase
) -> None:
    with pytest.raises(ReleaseError, match=f"has the SHA-256 {event['release_sha256']}, not 00ff"):
        invoke({**event, "release_sha256": "00ff"})
    assert empty_database.query("SELECT to_regclass('schema_migrations')") == [(None,)]


def test_the_password_is_in_no_log_line(event: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(logger.handlers[0], "stream", log)
    invoke(event)
    secret = boto3.client("secretsmanager").get_secret_value(SecretId="master")["SecretString"]
    assert json.loads(secret)["password"] not in log.getvalue()
    assert "applied 001_create_scanner_tables.sql" in log.getvalue()
