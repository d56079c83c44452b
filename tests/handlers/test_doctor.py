"""`doctor` connects directly, takes the release from S3 and answers for each alarm."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from handlers import doctor
from handlers.contract.alarms import TOLD
from handlers.diagnosis import CHECKS, checks_of
from handlers.errors import InvalidRequestError
from handlers.telemetry import logger
from stacks.alarms.thresholds import doctor_thresholds
from stacks.assets.package import build_release
from stacks.settings import load_settings
from tests.support.database import BUILD, MIGRATIONS
from tests.support.invocations import Context
from tests.support.mocked_aws import mocked_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.database import TestDatabase

    Invoke = Callable[..., dict[str, Any]]


@pytest.fixture
def invoke(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Invoke]:
    """A function that invokes the handler with the variables that the stack sets."""
    database.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", user="postgres")
    database.add_job({"queued": 1})
    database.query("SELECT refresh_job_progress()")
    server = database.server
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    release = build_release(MIGRATIONS, folder=BUILD / "releases")
    settings = load_settings(MIGRATIONS.parent / "environments" / "dev.toml", {})
    variables = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "RDS_ENDPOINT": server.host,
        "RDS_PROXY_ENDPOINT": f"{server.host}:{server.port}",
        "RDS_PORT": str(server.port),
        "RDS_DBNAME": database.name,
        "RDS_USERNAME": "scanner_doctor",
        "RDS_PASSWORD": "unused",
        "RDS_CA_BUNDLE": str(server.certificate_authority),
        "DATABASE": "instance/scanner-database-test",
        "DOCTOR_LIMITS": json.dumps(asdict(doctor_thresholds(settings))),
        "DEPLOYMENT": settings.prefix,
        "RELEASE_BUCKET": "releases",
        "RELEASE_KEY": "release.zip",
        "RELEASE_SHA256": release.sha256,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with mocked_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="releases")
        s3.put_object(Bucket="releases", Key="release.zip", Body=release.path.read_bytes())
        yield lambda **event: doctor.handler(event, Context())


def test_without_an_alarm_everything_is_examined(invoke: Invoke) -> None:
    result = invoke()
    assert result["state"] == "ok", [finding for finding in result["findings"] if finding["state"] != "ok"]
    assert [finding["check"] for finding in result["findings"]] == list(CHECKS)
    assert json.loads(json.dumps(result)) == result
    assert all(set(finding) == {"check", "state", "value", "why", "next"} for finding in result["findings"])


@pytest.mark.parametrize("alarm", TOLD)
def test_each_alarm_is_answered_by_its_checks(invoke: Invoke, alarm: str) -> None:
    result = invoke(alarm=alarm)
    assert result["state"] == "ok"
    assert {finding["check"] for finding in result["findings"]} - {"elsewhere"} == set(checks_of(alarm))


def test_a_problem_is_logged_and_names_the_release_in_service(
    invoke: Invoke, database: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database.query("UPDATE schema_migrations SET applied_at = NULL, applied_statements = '{}' WHERE version = 4")
    lines: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(logger, "warning", lambda message, extra: lines.append((message, extra)))
    result = invoke(alarm="migration-failed")
    ((message, fields),) = lines
    assert message == "migrations: 004_grant_diagnosis stopped after 0 statements"
    assert fields in result["findings"]
    assert result["state"] == "warning"
    assert fields["next"].startswith("aws lambda invoke --function-name scanner-database-dev-migrate ")
    assert '"release_key": "release.zip"' in fields["next"]


def test_a_release_that_cannot_be_read_hides_nothing_else(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_KEY", "gone.zip")
    result = invoke()
    states = {finding["check"]: finding["state"] for finding in result["findings"]}
    assert states.pop("migrations") == "unknown"
    assert set(states.values()) == {"ok"}


def test_a_database_that_is_away_is_an_answer_and_no_error(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDS_PORT", "1")
    result = invoke(alarm="lock-waits")
    assert result["state"] == "critical"
    assert "no connection to localhost:1 as scanner_doctor" in result["findings"][0]["value"]


def test_a_proxy_that_is_away_does_not_keep_the_doctor_out(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDS_PROXY_ENDPOINT", "localhost:1")
    result = invoke(alarm="proxy-unavailable")
    states = {finding["check"]: finding["state"] for finding in result["findings"]}
    assert states == {"connection": "ok", "proxy": "critical", "connections": "ok", "elsewhere": "look"}


def test_an_alarm_that_nobody_knows_is_refused_with_those_that_are_known(invoke: Invoke) -> None:
    with pytest.raises(InvalidRequestError, match="alarm 'progres-stale' is none of outage, api-errors, api-slow"):
        invoke(alarm="progres-stale")


def test_in_lambda_the_password_is_a_token_for_the_doctor(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "doctor")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    passwords: list[str] = []
    connect = doctor.connect
    monkeypatch.setattr(
        doctor, "connect", lambda *a, password, **k: passwords.append(password) or connect(*a, password=password, **k)
    )
    assert invoke(alarm="lifecycle-events")["state"] == "ok"
    assert "Action=connect&DBUser=scanner_doctor" in passwords[0]
