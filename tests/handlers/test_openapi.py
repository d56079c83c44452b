"""Each answer of the handler, in each state of the database, is one that docs/openapi.yaml defines."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from openapi_spec_validator import validate

from handlers import status
from handlers.connection import Database
from handlers.progress import reads, routes
from handlers.progress.job_state import STATES
from tests.support.invocations import Context
from tests.support.migrating import roll_back_to
from tests.support.openapi import DOCUMENT, complaints
from tests.support.served_api import ServedApi
from tests.support.step_functions import EXECUTION, StepFunctions

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

JOB, JOBS, STATISTICS = "/jobs/{job_id}", "/jobs", "/statistics"
NO_JOB = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def client(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "database", Database(database.variables("progress_reader"), query_timeout_s=3))
    monkeypatch.setenv("REFRESH_MINUTES", "5")


def asked(path: str, job_id: str | None = None, **query: str) -> tuple[int, Any]:
    """Return code and body of an answer that is as defined."""
    event = {
        "version": "2.0",
        "routeKey": f"GET {path}",
        "requestContext": {"requestId": "r-1"},
        **({"pathParameters": {"job_id": job_id}} if job_id else {}),
        **({"queryStringParameters": query} if query else {}),
    }
    answer = status.handler(event, Context())
    body = json.loads(answer["body"])
    assert complaints(path, answer["statusCode"], answer["headers"], body) == []
    assert answer["headers"]["cache-control"] == "no-store"
    return answer["statusCode"], body


def every_route(job_id: str) -> set[int]:
    """Ask for everything, cached and in real time; return the codes."""
    codes = set()
    for real_time in ("false", "true"):
        codes |= {asked(JOB, job_id, real_time=real_time)[0], asked(STATISTICS, real_time=real_time)[0]}
        codes |= {asked(JOBS, state=state, real_time=real_time, limit="2")[0] for state in STATES}
    return codes


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_a_field_without_a_definition_is_noticed() -> None:
    body = asked(STATISTICS)[1]
    headers = {"content-type": "application/json"}
    (complaint,) = complaints(STATISTICS, 200, headers, body | {"surprise": 1})
    assert "'surprise' was unexpected" in complaint
    assert complaints(STATISTICS, 200, headers, {**body, "total_jobs": "1"})
    assert complaints(STATISTICS, 200, headers, {**body, "most_recent_job": "2026-11-27T10:00:00"})


def test_the_document_has_the_handler_s_routes_and_parameters() -> None:
    defined = {}
    for path, item in DOCUMENT["paths"].items():
        given = [each.get("name") or each["$ref"].rpartition("/")[2] for each in item["get"]["parameters"]]
        defined[f"GET {path}"] = {name for name in given if name != "job_id"}
        assert list(item) == ["get"]
    assert defined == {route: set(names) for route, names in routes.PARAMETERS.items()}


def test_the_document_has_the_handler_s_bounds() -> None:
    parameters = {each.get("name"): each.get("schema") for each in DOCUMENT["paths"][JOBS]["get"]["parameters"]}
    assert parameters["state"]["enum"] == list(STATES)
    assert (parameters["limit"]["maximum"], parameters["limit"]["default"]) == (reads.MAX_JOBS, int(routes._PAGE))


def test_answers_of_an_empty_database_are_as_defined() -> None:
    assert asked(JOB, NO_JOB) == (404, {"error": "job_not_found", "message": f"no job has the id {NO_JOB}"})
    for real_time in ("false", "true"):
        assert asked(STATISTICS, real_time=real_time)[0] == 200
        assert {asked(JOBS, state=state, real_time=real_time)[0] for state in STATES} == {200}


@pytest.mark.parametrize("execution", [None, "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "?"])
@pytest.mark.parametrize("objects", [{}, {"queued": 1}, {"succeeded": 2, "failed": 1}])
def test_answers_of_each_execution_and_count_are_as_defined(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, execution: str | None, objects: dict[str, int]
) -> None:
    step_functions = StepFunctions(monkeypatch)
    jobs = [database.add_job(objects, findings=1) for _ in range(3)]
    database.query("UPDATE jobs SET created_at = now() - INTERVAL '1 hour', prefix = NULL")
    if execution is not None:
        database.query("UPDATE jobs SET execution_arn = %s", (EXECUTION,))
    if execution not in {None, "?"}:
        step_functions.states[EXECUTION] = str(execution)
    database.query("SELECT refresh_job_progress()")
    assert every_route(jobs[0]) == {200}


@pytest.mark.parametrize("newest", [3, 2])
def test_answers_after_a_rollback_are_as_defined(database: TestDatabase, newest: int) -> None:
    job_id = database.add_job({"queued": 1})
    roll_back_to(database, newest)
    assert every_route(job_id) == {200}


@pytest.mark.parametrize(
    "state",
    [
        "DROP MATERIALIZED VIEW job_progress CASCADE",
        "REFRESH MATERIALIZED VIEW job_progress WITH NO DATA",
        "TRUNCATE materialized_view_refresh_log",
        "UPDATE materialized_view_refresh_log SET last_refreshed_at = 'infinity'",
        "UPDATE jobs SET created_at = 'infinity', updated_at = '-infinity'",
    ],
)
def test_answers_while_the_database_is_not_as_it_should_be_are_as_defined(database: TestDatabase, state: str) -> None:
    job_id = database.add_job({"queued": 1})
    database.query("UPDATE jobs SET created_at = now() - INTERVAL '1 hour'")
    database.query("SELECT refresh_job_progress()")
    database.query(state)
    assert every_route(job_id) == {200}


@pytest.mark.parametrize(
    ("path", "job_id", "query", "error"),
    [
        (JOB, "x", {}, "invalid_job_id"),
        (JOB, NO_JOB, {"real_time": "yes"}, "invalid_real_time"),
        (JOB, NO_JOB, {"realtime": "true"}, "unknown_parameter"),
        (JOBS, None, {}, "invalid_state"),
        (JOBS, None, {"state": "done"}, "invalid_state"),
        (JOBS, None, {"state": "all", "limit": "0"}, "invalid_limit"),
        (JOBS, None, {"state": "all", "limit": "x"}, "invalid_limit"),
        (JOBS, None, {"state": "all", "cursor": "x"}, "invalid_cursor"),
        (STATISTICS, None, {"state": "all"}, "unknown_parameter"),
        (JOB, None, {}, "invalid_event"),
    ],
)
def test_refusals_are_as_defined(path: str, job_id: str | None, query: dict[str, str], error: str) -> None:
    code, body = asked(path, job_id, **query)
    assert (code, body["error"]) == (400, error)


def test_an_unavailable_database_is_answered_as_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {"RDS_PROXY_ENDPOINT": "127.0.0.1:1", "RDS_DBNAME": "d", "RDS_USERNAME": "u", "RDS_PASSWORD": "p"}
    monkeypatch.setattr(status, "database", Database(nowhere, query_timeout_s=3))
    assert asked(STATISTICS)[1]["error"] == "database_unavailable"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/statistics", 403),
        ("HEAD", "/statistics", 404),
        ("OPTIONS", "/jobs", 404),
        ("POST", "/jobs", 404),
        ("GET", "/health", 404),
    ],
)
def test_answers_of_api_gateway_itself_are_as_defined_and_name_the_request(method: str, path: str, code: int) -> None:
    with ServedApi() as api:
        request = urllib.request.Request(f"{api.url}{path}", method=method)
        with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=10):
            pass
    assert refused.value.code == code
    assert refused.value.headers["apigw-requestid"]
    if method != "HEAD":
        body, headers = json.load(refused.value), {"content-type": refused.value.headers["content-type"]}
        assert complaints(JOB, code, headers, body) == []
