"""`status` answers 503 where the state of the database is the reason, and logs the cause with its SQLSTATE."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from handlers import status, telemetry
from handlers.connection import Database
from handlers.contract.alarms.metrics import api_metric
from handlers.contract.alarms.status_api import STATUS_API
from tests.support.invocations import Context

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

STATISTICS = {"routeKey": "GET /statistics", "requestContext": {"requestId": "r-1"}}


@pytest.fixture
def client(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Database:
    client = Database(database.variables("progress_reader"), query_timeout_s=5)
    monkeypatch.setattr(status, "database", client)
    return client


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", written)
    return written


def refusing(sqlstate: str) -> str:
    return f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}'; END $$"


@pytest.mark.parametrize(
    "sqlstate",
    [
        "08006",
        "25006",
        "40001",
        "40P01",
        "42501",
        "53100",
        "53200",
        "53300",
        "55P03",
        "57014",
        "57P01",
        "57P03",
        "58030",
    ],
)
def test_a_refusal_for_the_state_of_the_database_is_503_with_its_cause_in_the_log(
    client: Database, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, sqlstate: str
) -> None:
    monkeypatch.setattr(status.routes, "answer", lambda database, _event: database.fetch_all(refusing(sqlstate)))
    answer = status.handler(STATISTICS, Context())
    assert (answer["statusCode"], answer["headers"]["retry-after"]) == (503, "5")
    assert json.loads(answer["body"])["error"] == "database_unavailable"
    assert "refused" not in answer["body"]
    line = json.loads(log.getvalue())
    assert (line["level"], line["sqlstate"]) == ("ERROR", sqlstate)
    assert line["reason"].startswith("refused")


def test_an_error_of_our_own_sql_fails_the_invocation(client: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status.routes, "answer", lambda database, _event: database.fetch_all("SELECT 1 / 0"))
    with pytest.raises(psycopg2.errors.DivisionByZero):
        status.handler(STATISTICS, Context())


def test_a_right_that_was_lost_is_503_and_rings_the_alarm_whose_checks_find_it(
    client: Database, database: TestDatabase, log: io.StringIO
) -> None:
    database.query("REVOKE SELECT ON job_progress FROM progress_reader, public")
    database.query("REVOKE SELECT ON job_statistics FROM progress_reader, public")
    assert status.handler(STATISTICS, Context())["statusCode"] == 503
    line = json.loads(log.getvalue())
    assert (line["level"], line["sqlstate"]) == ("ERROR", "42501")
    assert "permission denied" in line["reason"]
    (api_errors,) = [record for record in STATUS_API if record.name == "api-errors"]
    watched: Any = api_errors.watches
    assert watched.metric == api_metric("5xx")
    assert {"grants", "migrations"} <= set(api_errors.checks)


@pytest.mark.parametrize("sqlstate", ["57P01", "25006"])
def test_a_server_that_stops_or_became_a_standby_is_left_for_another_one(client: Database, sqlstate: str) -> None:
    (before,) = client.fetch_all("SELECT pg_backend_pid() AS pid")
    with pytest.raises(psycopg2.Error):
        client.fetch_all(refusing(sqlstate))
    assert client.fetch_all("SELECT pg_backend_pid() AS pid") != [before]
