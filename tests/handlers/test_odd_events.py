"""Requests that cannot be meant, and events that API Gateway never sends, are refused with a reason."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from handlers import status, telemetry
from handlers.connection import Database
from tests.support.invocations import Context

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

REQUEST = {"requestContext": {"requestId": "r-1"}}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", written)
    return written


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        "text",
        None,
        {"source": "schedule"},
        # Payload format 1.0.
        {"httpMethod": "GET", "path": "/jobs", "resource": "/jobs", **REQUEST},
        {"routeKey": None},
        {"routeKey": ["GET /jobs"]},
        {"routeKey": "GET /jobs/{job_id}"},
        {"routeKey": "GET /jobs/{job_id}", "requestContext": None},
        {"routeKey": "GET /jobs/{job_id}", "pathParameters": None},
        {"routeKey": "GET /jobs/{job_id}", "pathParameters": {}},
        {"routeKey": "GET /jobs/{job_id}", "pathParameters": {"job_id": None}},
        {"routeKey": "GET /jobs/{job_id}", "pathParameters": {"job_id": 7}},
        {"routeKey": "GET /jobs", "queryStringParameters": ["state"]},
        {"routeKey": "GET /jobs", "queryStringParameters": {"state": ["active"]}},
        {"routeKey": "GET /jobs", "queryStringParameters": "state=active"},
    ],
)
def test_an_event_that_api_gateway_never_sends_is_400_with_a_line_in_the_log(log: io.StringIO, event: Any) -> None:
    answer = status.handler(event, Context())  # type: ignore[arg-type]
    assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (400, "invalid_event")
    line = json.loads(log.getvalue())
    assert (line["level"], line["message"]) == ("ERROR", "the event is not one of API Gateway")
    assert "exception" not in line


def test_a_route_that_is_not_served_is_said(log: io.StringIO) -> None:
    answer = status.handler({"routeKey": "GET /health", **REQUEST}, Context())
    assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (400, "unknown_route")
    assert log.getvalue() == ""


@pytest.mark.parametrize(
    ("route", "query", "named"),
    [
        ("GET /jobs/{job_id}", {"realtime": "true"}, "'realtime': GET /jobs/{job_id} takes real_time"),
        ("GET /jobs", {"state": "active", "page": "2"}, "'page': GET /jobs takes state, limit, cursor, real_time"),
        ("GET /statistics", {"state": "active", "_": "1"}, "'state', '_': GET /statistics takes real_time"),
    ],
)
def test_a_parameter_that_a_route_does_not_know_is_refused_with_those_that_it_knows(
    route: str, query: dict[str, str], named: str
) -> None:
    event = {"routeKey": route, "queryStringParameters": query, "pathParameters": {"job_id": "x"}, **REQUEST}
    answer = status.handler(event, Context())
    assert (answer["statusCode"], json.loads(answer["body"])) == (400, {"error": "unknown_parameter", "message": named})


@pytest.mark.parametrize(("minutes", "later"), [("5", 5), (None, None)])
@pytest.mark.parametrize("route", ["GET /jobs", "GET /statistics", "GET /jobs/{job_id}"])
def test_a_cached_answer_says_when_the_next_refresh_begins(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, route: str, minutes: str | None, later: int | None
) -> None:
    from datetime import datetime, timedelta

    job_id = database.add_job({"queued": 1})
    database.query("UPDATE jobs SET created_at = now() - INTERVAL '1 hour'")
    database.query("SELECT refresh_job_progress()")
    monkeypatch.setattr(status, "database", Database(database.variables("progress_reader"), query_timeout_s=3))
    if minutes is None:
        monkeypatch.delenv("REFRESH_MINUTES", raising=False)
    else:
        monkeypatch.setenv("REFRESH_MINUTES", minutes)

    def body(**query: str) -> dict[str, Any]:
        asked = query | ({"state": "active"} if route == "GET /jobs" else {})
        event = {"routeKey": route, "pathParameters": {"job_id": job_id}, "queryStringParameters": asked, **REQUEST}
        answered: dict[str, Any] = json.loads(status.handler(event, Context())["body"])
        return answered

    cached = body()
    if later is None:
        assert cached["next_refresh_at"] is None
    else:
        wait = datetime.fromisoformat(cached["next_refresh_at"]) - datetime.fromisoformat(cached["cache_refreshed_at"])
        assert wait == timedelta(minutes=later)
    assert "next_refresh_at" not in body(real_time="true")
