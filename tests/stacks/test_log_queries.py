"""The saved queries ask for what is really logged: by our functions, by Lambda, by the API, by PostgreSQL."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from handlers import executions, refresh, status
from handlers.connection import Database
from handlers.telemetry import logger
from stacks import ROOT
from stacks.alarms.log_lines import WRITTEN_BY_A_FUNCTION, Entry, read_corpus
from stacks.monitoring.log_queries import LogQuery, log_queries
from stacks.settings import load_settings
from tests.support import insights
from tests.support.invocations import ARN, Context
from tests.support.log_scenarios import NAMES
from tests.support.real_refresh import ACTIONS, connect_refresh
from tests.support.uploaded_release import invoke_migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase
    from tests.support.synthesis import Synthesised

QUERIES = {query.name: query for query in log_queries(load_settings(ROOT / "environments" / "prod.toml", {}))}
ENTRIES = [entry for entry in read_corpus() if entry.scenario not in NAMES]
# The runtime writes them, so they are taken from its documentation and its source:
# https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html#platform-report
REPORT = {
    "time": "2022-10-12T00:01:15.000Z",
    "type": "platform.report",
    "record": {
        "requestId": "6d68ca91-49c9-448d-89b8-7ca3e6dc66aa",
        "metrics": {"durationMs": 10000.0, "billedDurationMs": 10000, "memorySizeMB": 512, "maxMemoryUsedMB": 84},
        "status": "timeout",
    },
}
# https://github.com/aws/aws-lambda-python-runtime-interface-client/blob/main/awslambdaric/bootstrap.py (log_error)
UNCAUGHT = {
    "timestamp": "2026-04-01T20:17:33Z",
    "log_level": "ERROR",
    "errorMessage": "no connection",
    "errorType": "DatabaseUnavailableError",
    "requestId": "6d68ca91-49c9-448d-89b8-7ca3e6dc66aa",
    "stackTrace": [],
}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the functions log from here on."""
    written = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", written)
    return written


@pytest.fixture
def refresh_lines(database: TestDatabase, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    connect_refresh(database, monkeypatch)
    for action in ACTIONS:
        refresh.handler({"action": action}, Context())
    return log.getvalue().splitlines()


@pytest.fixture
def status_lines(database: TestDatabase, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `status` logs when Step Functions does not answer, and nothing more when it does."""
    variables = database.variables("progress_reader")
    monkeypatch.setenv("RDS_CA_BUNDLE", variables["RDS_CA_BUNDLE"])
    monkeypatch.setattr(status, "database", Database(variables, query_timeout_s=3))
    monkeypatch.setattr(executions, "_client", lambda: None)
    job_id = database.add_job({"queued": 1})
    database.query("UPDATE jobs SET execution_arn = %s", (ARN,))
    request = {"routeKey": "GET /jobs/{job_id}", "requestContext": {"requestId": "r-1"}}
    assert status.handler({**request, "pathParameters": {"job_id": job_id}}, Context())["statusCode"] == 200
    return log.getvalue().splitlines()


@pytest.fixture
def migrate_lines(release_event: dict[str, str], log: io.StringIO) -> list[str]:
    invoke_migrate(release_event)
    return log.getvalue().splitlines()


def known(*lines: str) -> set[str]:
    return {key for line in (*lines, json.dumps(REPORT), json.dumps(UNCAUGHT)) for key in insights.keys(line)}


def test_the_refresh_history_asks_for_what_refresh_logs(refresh_lines: list[str]) -> None:
    assert insights.fields(QUERIES["refresh history"].text) <= known(*refresh_lines)
    # The query takes these lines by.
    assert all({"message", "function_request_id"} <= insights.keys(line) for line in refresh_lines)


def test_the_migration_history_asks_for_what_migrate_logs(migrate_lines: list[str]) -> None:
    assert insights.fields(QUERIES["migration history"].text) <= known(*migrate_lines)
    assert any('"message":"applied 001_' in line for line in migrate_lines)
    assert all({"message", "function_request_id"} <= insights.keys(line) for line in migrate_lines)


def test_one_request_is_found_by_the_api_s_id_in_the_access_log_and_in_the_log_of_status(
    prod: Synthesised, status_lines: list[str]
) -> None:
    logged = json.loads(prod.one("aws_apigatewayv2_stage")["access_log_settings"]["format"])
    query = QUERIES["one request"].text
    assert insights.fields(query) <= logged.keys() | known(*status_lines)
    assert '| filter @message like "PUT-THE-ID-HERE"' in query
    assert logged["request_id"] == "$context.requestId"
    (line,) = status_lines
    assert json.loads(line)["correlation_id"] == "r-1"  # the same id
    assert "function_request_id" in logged.keys() & insights.keys(line)


def test_the_errors_of_all_functions_are_found_by_what_functions_and_lambda_log(
    refresh_lines: list[str], status_lines: list[str]
) -> None:
    query = QUERIES["errors of all functions"]
    assert insights.fields(query.text) <= known(*refresh_lines, *status_lines)
    assert [json.loads(line)["level"] for line in status_lines][-1] == "WARNING"
    assert len(query.log_groups) == 4


def measured() -> Iterator[tuple[Entry, dict[str, str]]]:
    """Yield the entries that the query for the slowest statements takes, and what it shows of them."""
    query = QUERIES["slowest statements"].text
    assert '| filter ispresent(duration_ms) and (not ispresent(kind) or kind != "plan")' in query
    for entry in ENTRIES:
        found = insights.parsed(query, entry.text)
        if found is not None and found["kind"] != "plan":
            yield entry, found


def test_the_slowest_statements_are_those_that_the_server_measured() -> None:
    unmeasured = [entry.scenario for entry, _ in measured() if entry.milliseconds is None]
    assert set(unmeasured) <= {WRITTEN_BY_A_FUNCTION}
    shown = {entry.text for entry, _ in measured()}
    assert [entry.text for entry in ENTRIES if entry.milliseconds is not None and entry.text not in shown] == []
    for entry, found in measured():
        if entry.milliseconds is not None:
            assert float(found["duration_ms"]) == entry.milliseconds


def test_a_slow_statement_is_shown_with_who_ran_it_and_its_text() -> None:
    (found,) = [found for entry, found in measured() if entry.scenario == "a slow statement"]
    assert (found["user"], found["database"], found["statement"]) == (
        "postgres",
        "scanner_db",
        "SELECT pg_sleep(0.03)",
    )
    assert found["client"].startswith("127.0.0.1")
    assert found["pid"].isdigit()


def test_a_statement_of_the_extended_protocol_is_shown_with_its_text() -> None:
    texts = [found["statement"] for entry, found in measured() if entry.scenario == "extended protocol, slow steps"]
    assert any(text.startswith("SELECT pg_sleep($1)") for text in texts)


def test_denied_statements_are_those_that_the_server_refused() -> None:
    query = QUERIES["denied statements"].text
    found = {entry.text for entry in ENTRIES if insights.parsed(query, entry.text)}
    refused = {entry.text for entry in ENTRIES if entry.sqlstate in {"42501", "25006"}}
    faked = {entry.text for entry in ENTRIES if entry.sqlstate == "P0001"}
    assert refused
    assert refused <= found <= refused | faked
    # The place in the statement would keep two that are alike apart.
    shown = {insights.parsed(query, text)["refusal"] for text in refused}
    assert "permission denied for table numbers" in shown
    assert "cannot execute UPDATE in a read-only transaction" in shown


def test_every_query_is_saved_in_the_deployment_s_folder(stack: Synthesised) -> None:
    prefix = stack.one("aws_db_instance")["identifier"]
    saved = [body["name"] for body in stack.every("aws_cloudwatch_query_definition").values()]
    assert sorted(saved) == sorted(f"{prefix}/{name}" for name in QUERIES)


def test_every_query_asks_log_groups_that_are_deployed(stack: Synthesised) -> None:
    groups = {body["name"] for body in stack.every("aws_cloudwatch_log_group").values()}
    for body in stack.every("aws_cloudwatch_query_definition").values():
        assert set(body["log_group_names"]) <= groups


@pytest.mark.parametrize("query", QUERIES.values(), ids=list(QUERIES))
def test_every_query_is_made_of_commands_and_has_a_limit(query: LogQuery) -> None:
    assert set(insights.commands(query.text)) <= insights.COMMANDS
    assert "limit" in insights.commands(query.text)
    assert len(query.text) <= 10_000
