"""`status` answers the contract of GET /jobs/{job_id} from a real database."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from handlers import executions, status, telemetry
from handlers.connection import Database
from tests.support.invocations import ARN, Context
from tests.support.migrating import roll_back_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.database import TestDatabase

    Answer = Callable[..., tuple[int, dict[str, Any]]]

KEYS = {
    *("job_id", "bucket", "prefix", "execution_arn", "created_at", "updated_at", "total", "queued", "processing"),
    *("succeeded", "failed", "total_findings", "progress_percent", "status", "status_message"),
    *("step_function_status", "data_source"),
}
CACHE_KEYS = {"cache_refreshed_at", "cache_refresh_duration_ms", "next_refresh_at"}


@pytest.fixture
def get(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """A function that sends one request to the handler and returns status code and body."""
    variables = database.variables("progress_reader")
    client = Database(variables, query_timeout_s=3)
    monkeypatch.setattr(status, "database", client)

    def answer(
        job_id: str | None = None, *, route: str = "GET /jobs/{job_id}", **query: str
    ) -> tuple[int, dict[str, Any]]:
        event = {
            "version": "2.0",
            "routeKey": route,
            "requestContext": {"requestId": "r-1"},
            **({"pathParameters": {"job_id": job_id}} if job_id else {}),
            **({"queryStringParameters": query} if query else {}),
        }
        response = status.handler(event, Context())
        answer.headers = response["headers"]  # type: ignore[attr-defined]
        return response["statusCode"], json.loads(response["body"])

    return answer


def cursor_of(created_at: str) -> str:
    return urlsafe_b64encode(f"{created_at} {UUID(int=0)} active cached".encode()).decode().rstrip("=")


def age(database: TestDatabase, job_id: str, interval: str) -> None:
    database.query("UPDATE jobs SET created_at = now() - %s::interval WHERE job_id = %s", (interval, job_id))


def refresh(database: TestDatabase) -> None:
    database.query("SELECT refresh_job_progress()")


def test_an_old_job_is_answered_from_the_view_with_its_age(get: Answer, database: TestDatabase) -> None:
    job_id = database.add_job({"queued": 1, "succeeded": 3}, findings=2)
    age(database, job_id, "6 minutes")
    refresh(database)
    database.query("UPDATE job_objects SET status = 'failed'")
    code, body = get(job_id)
    assert code == 200
    assert set(body) == KEYS | CACHE_KEYS
    assert (body["data_source"], body["total"], body["queued"], body["succeeded"], body["failed"]) == (
        "cached",
        4,
        1,
        3,
        0,
    )
    assert (body["total_findings"], body["progress_percent"], body["status"]) == (2, 75.0, "processing")
    assert body["cache_refreshed_at"].endswith("+00:00")


def test_a_young_job_is_answered_live(get: Answer, database: TestDatabase) -> None:
    job_id = database.add_job({"queued": 1})
    age(database, job_id, "4 minutes")
    refresh(database)
    database.query("UPDATE job_objects SET status = 'succeeded'")
    code, body = get(job_id)
    assert (code, set(body)) == (200, KEYS)
    assert (body["data_source"], body["succeeded"], body["status"]) == ("real_time", 1, "completed")


def test_real_time_is_exact_whatever_the_view_says(get: Answer, database: TestDatabase) -> None:
    job_id = database.add_job({"queued": 2})
    age(database, job_id, "1 day")
    refresh(database)
    database.query("UPDATE job_objects SET status = 'processing'")
    assert get(job_id)[1]["queued"] == 2
    body = get(job_id, real_time="true")[1]
    assert (body["data_source"], body["queued"], body["processing"]) == ("real_time", 0, 2)


@pytest.mark.parametrize("state", ["not yet in the view", "view not filled", "view dropped"])
def test_an_old_job_is_answered_live_when_the_view_cannot_tell(get: Answer, database: TestDatabase, state: str) -> None:
    job_id = database.add_job({"queued": 2})
    age(database, job_id, "1 day")
    if state == "view not filled":
        database.query("REFRESH MATERIALIZED VIEW job_progress WITH NO DATA")
    if state == "view dropped":
        database.query("DROP MATERIALIZED VIEW job_progress CASCADE")
    code, body = get(job_id)
    assert (code, body["data_source"], body["total"]) == (200, "real_time", 2)


@pytest.mark.parametrize("state", ["in the view", "asked for in real time", "young", "not yet in the view", "unknown"])
def test_an_answer_takes_one_round_trip(
    get: Answer, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    job_id = database.add_job({"queued": 2})
    if state != "young":
        age(database, job_id, "1 day")
    if state != "not yet in the view":
        refresh(database)
    statements: list[str] = []
    run = Database._run
    monkeypatch.setattr(
        Database, "_run", lambda self, query, *rest: statements.append(query) or run(self, query, *rest)
    )
    query = {"real_time": "true"} if state == "asked for in real time" else {}
    code, _ = get(str(uuid4()) if state == "unknown" else job_id, **query)
    assert code == (404 if state == "unknown" else 200)
    assert len(statements) == 1


@pytest.mark.parametrize("newest", [3, 2])
def test_every_route_answers_after_a_rollback(get: Answer, database: TestDatabase, newest: int) -> None:
    job_id = database.add_job({"queued": 2}, findings=1)
    roll_back_to(database, newest)
    refresh(database)
    unseen = database.add_job({"queued": 1})

    for real_time, source, jobs in [("false", "cached", [job_id]), ("true", "real_time", [unseen, job_id])]:
        code, body = get(route="GET /jobs", state="active", real_time=real_time)
        assert (code, body["data_source"]) == (200, source)
        assert [job["job_id"] for job in body["jobs"]] == jobs
        code, body = get(route="GET /statistics", real_time=real_time)
        assert (code, body["data_source"], body["total_jobs"]) == (200, source, len(jobs))
        code, body = get(job_id, real_time=real_time)
        # The job is young, so its numbers are exact in both cases.
        assert (code, set(body)) == (200, KEYS)
        assert (body["data_source"], body["total"], body["total_findings"]) == ("real_time", 2, 1)
        assert get(str(uuid4()), real_time=real_time)[0] == 404


@pytest.mark.parametrize("query", [{}, {"real_time": "true"}])
def test_every_route_answers_whatever_the_search_path_of_the_database_is(
    get: Answer, database: TestDatabase, query: dict[str, str]
) -> None:
    job_id = database.add_job({"queued": 1})
    refresh(database)
    database.query(f"ALTER DATABASE {database.name} SET search_path = elsewhere")
    assert get(job_id, **query)[0] == 200
    assert get(route="GET /jobs", state="active", **query)[1]["jobs"][0]["job_id"] == job_id
    assert get(route="GET /statistics", **query)[1]["total_jobs"] == 1


@pytest.mark.parametrize(
    "job_id", ["not-a-uuid", "0x" + 30 * "1", "1_" * 16, "+" + 31 * "1", 32 * "\u0661", " " + 31 * "1"]
)
def test_a_job_id_that_is_no_uuid_is_a_bad_request(get: Answer, job_id: str) -> None:
    code, body = get(job_id)
    assert (code, body["error"]) == (400, "invalid_job_id")
    assert repr(job_id) in body["message"]


def test_a_job_id_may_be_spelled_in_each_usual_way(get: Answer, database: TestDatabase) -> None:
    job_id = database.add_job({"queued": 1})
    for spelled in (job_id.upper(), job_id.replace("-", ""), f"{{{job_id}}}", f"urn:uuid:{job_id}"):
        assert get(spelled)[1]["job_id"] == job_id


def test_an_unknown_job_is_not_found(get: Answer) -> None:
    job_id = str(uuid4())
    assert get(job_id) == (404, {"error": "job_not_found", "message": f"no job has the id {job_id}"})


def test_a_stopped_database_is_503_within_three_seconds_and_200_again_after_it_is_back(
    get: Answer, database: TestDatabase
) -> None:
    job_id = database.add_job({"queued": 1})
    assert get(job_id)[0] == 200
    database.server.stop(immediate=True)
    try:
        started = time.monotonic()
        code, body = get(job_id)
        waited_s = time.monotonic() - started
        headers = get.headers  # type: ignore[attr-defined]
    finally:
        database.server.start()
    assert (code, body["error"], headers["retry-after"]) == (503, "database_unavailable", "5")
    assert waited_s < 3
    assert get(job_id)[0] == 200


def test_active_jobs_are_listed_newest_first_with_the_age_of_the_list(get: Answer, database: TestDatabase) -> None:
    older, newer = database.add_job({"queued": 1}), database.add_job({"processing": 1})
    database.add_job({"succeeded": 1})
    refresh(database)
    unseen = database.add_job({"queued": 1})
    code, body = get(route="GET /jobs", state="active")
    assert (code, body["data_source"], body["next_cursor"]) == (200, "cached", None)
    assert [job["job_id"] for job in body["jobs"]] == [newer, older]
    assert body["cache_refreshed_at"].endswith("+00:00")
    code, body = get(route="GET /jobs", state="active", real_time="true")
    assert set(body) == {"jobs", "next_cursor", "unknown_executions", "data_source"}
    assert (code, body["data_source"]) == (200, "real_time")
    assert [job["job_id"] for job in body["jobs"]] == [unseen, newer, older]


def test_an_empty_list_says_its_age_too(get: Answer, database: TestDatabase) -> None:
    refresh(database)
    code, body = get(route="GET /jobs", state="active")
    assert (code, body["jobs"], body["data_source"]) == (200, [], "cached")
    assert body["cache_refreshed_at"]


@pytest.mark.parametrize("real_time", ["false", "true"])
def test_pages_of_active_jobs_follow_one_another_without_gap_or_repetition(
    get: Answer, database: TestDatabase, real_time: str
) -> None:
    # Three of them have the same time.
    added = [database.add_job({"queued": 1}) for _ in range(7)]
    database.query("UPDATE jobs SET created_at = now() WHERE job_id = ANY (%s::uuid[])", (added[2:5],))
    refresh(database)
    query = {"state": "active", "limit": "2", "real_time": real_time}
    pages, cursor = [], None
    while not pages or cursor:
        body = get(route="GET /jobs", **query, **({"cursor": cursor} if cursor else {}))[1]
        pages.append([job["job_id"] for job in body["jobs"]])
        cursor = body["next_cursor"]
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    listed = [job_id for page in pages for job_id in page]
    newest_first = database.query("SELECT job_id::text FROM jobs ORDER BY created_at DESC, job_id DESC")
    assert listed == [job_id for (job_id,) in newest_first]


@pytest.mark.parametrize("route", ["GET /jobs", "GET /statistics"])
def test_lists_and_statistics_are_live_when_the_view_cannot_tell(
    get: Answer, database: TestDatabase, route: str
) -> None:
    database.add_job({"queued": 1})
    database.query("DROP MATERIALIZED VIEW job_progress CASCADE")
    code, body = get(route=route, **({"state": "active"} if route == "GET /jobs" else {}))
    assert (code, body["data_source"]) == (200, "real_time")


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({}, "invalid_state"),
        ({"state": "done"}, "invalid_state"),
        ({"state": "active", "limit": "many"}, "invalid_limit"),
        ({"state": "active", "limit": "0"}, "invalid_limit"),
        ({"state": "active", "limit": "5_0"}, "invalid_limit"),
        ({"state": "active", "limit": "+5"}, "invalid_limit"),
        ({"state": "active", "limit": "\u0665"}, "invalid_limit"),
        ({"state": "active", "limit": "9" * 5000}, "invalid_limit"),
        ({"state": "active", "limit": "101"}, "invalid_limit"),
        ({"state": "active", "cursor": "bm9uc2Vuc2U"}, "invalid_cursor"),
        ({"state": "active", "cursor": "\u00e4"}, "invalid_cursor"),
        ({"state": "active", "cursor": "a"}, "invalid_cursor"),
        ({"state": "active", "cursor": ""}, "invalid_cursor"),
        # The first second of the calendar, east of Greenwich.
        ({"state": "active", "cursor": cursor_of("0001-01-01T00:00:00+01:00")}, "invalid_cursor"),
        ({"state": "active", "real_time": "yes"}, "invalid_real_time"),
        # Twice, as API Gateway sends it.
        ({"state": "active", "real_time": "true,true"}, "invalid_real_time"),
    ],
)
def test_a_list_that_cannot_be_meant_is_a_bad_request(get: Answer, query: dict[str, str], error: str) -> None:
    code, body = get(route="GET /jobs", **query)
    assert (code, body["error"]) == (400, error)


def test_a_cursor_of_an_offset_that_postgresql_does_not_know_is_a_time_all_the_same(get: Answer) -> None:
    code, body = get(route="GET /jobs", state="active", cursor=cursor_of("2026-01-01T00:00:00+16:00"))
    assert (code, body["jobs"]) == (200, [])


def test_statistics_are_one_row_over_all_jobs(get: Answer, database: TestDatabase) -> None:
    database.add_job({"succeeded": 2})
    database.add_job({"queued": 2})
    refresh(database)
    code, body = get(route="GET /statistics")
    assert (code, body["total_jobs"], body["completed_jobs"], body["total_objects_all_jobs"]) == (200, 2, 1, 4)
    assert set(body) > CACHE_KEYS
    database.add_job({"queued": 1})
    live = get(route="GET /statistics", real_time="true")[1]
    assert (live["data_source"], live["total_jobs"], live["pending_jobs"]) == ("real_time", 3, 2)
    assert set(live) == set(body) - CACHE_KEYS


def test_step_functions_is_asked_for_the_jobs_execution(
    get: Answer, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = database.add_job({"queued": 1})
    database.query("UPDATE jobs SET execution_arn = %s", (ARN,))
    asked: list[str] = []

    class StepFunctions:
        def describe_execution(self, *, executionArn: str) -> dict[str, str]:  # noqa: N803
            asked.append(executionArn)
            return {"status": "RUNNING"}

    monkeypatch.setattr(executions, "_client", StepFunctions)
    body = get(job_id)[1]
    assert (asked, body["status"], body["step_function_status"]) == ([ARN], "listing", "RUNNING")


def test_a_step_functions_that_fails_does_not_fail_the_request(
    get: Answer, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = database.add_job({"queued": 1})
    database.query("UPDATE jobs SET execution_arn = %s", (ARN,))

    def broken() -> Any:
        raise ConnectionError("no endpoint")

    monkeypatch.setattr(executions, "_client", broken)
    code, body = get(job_id)
    assert (code, body["status"], body["step_function_status"]) == (200, "processing", None)


def test_a_line_of_the_log_says_whose_request_it_is(
    get: Answer, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = database.add_job({"queued": 1})
    database.query("UPDATE jobs SET execution_arn = %s", (ARN,))
    written = io.StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", written)
    monkeypatch.setattr(executions, "_client", lambda: None)
    assert get(job_id)[0] == 200
    line = json.loads(written.getvalue())
    assert (line["level"], line["function_request_id"], line["correlation_id"]) == ("WARNING", "1", "r-1")


def test_in_lambda_what_signs_a_token_is_imported_before_the_first_request_s_time_to_connect_begins() -> None:
    code = "import handlers.status, sys; print('botocore.auth' in sys.modules, 'boto3' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AWS_LAMBDA_FUNCTION_NAME": "status"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.strip() == "True False"


def test_the_handler_imports_neither_the_aws_sdk_nor_powertools_nor_the_alarms() -> None:
    heavy = ["boto3", "botocore", "aws_lambda_powertools", "handlers.contract.alarms"]
    code = f"import handlers.status, sys; print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"
