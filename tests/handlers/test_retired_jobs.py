"""`status` answers a retired job from its last progress, `refresh` retires those that are old enough."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from handlers import executions, refresh, status
from handlers.connection import Database
from handlers.errors import InvalidRequestError
from handlers.progress import actions
from tests.support.invocations import ARN, Context
from tests.support.retiring import batch, left, old_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.database import TestDatabase

    Get = Callable[..., tuple[int, dict[str, Any]]]

DONE = {"succeeded": 5, "failed": 2}


@pytest.fixture
def get(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Get:
    """A function that asks for one job."""
    monkeypatch.setattr(status, "database", Database(database.variables("progress_reader"), query_timeout_s=3))

    def answer(job_id: str, **query: str) -> tuple[int, dict[str, Any]]:
        event = {
            "version": "2.0",
            "routeKey": "GET /jobs/{job_id}",
            "requestContext": {"requestId": "r-1"},
            "pathParameters": {"job_id": job_id},
            **({"queryStringParameters": query} if query else {}),
        }
        response = status.handler(event, Context())
        return response["statusCode"], json.loads(response["body"])

    return answer


@pytest.fixture
def retire(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """A function that sends an event to `refresh`."""
    monkeypatch.setattr(refresh, "database", Database(database.variables("progress_refresher"), query_timeout_s=3))
    refresh.metrics.provider.namespace = "ScannerDatabase"
    refresh.metrics.provider.service = "scanner-database-test-refresh"
    return lambda **event: refresh.handler({"action": "retire", **event}, Context())


@pytest.mark.parametrize("refreshed", [False, True])
@pytest.mark.parametrize("query", [{}, {"real_time": "true"}], ids=["cached", "real time"])
def test_a_job_is_answered_with_its_last_progress_from_the_first_batch_on(
    get: Get, database: TestDatabase, query: dict[str, str], *, refreshed: bool
) -> None:
    job = old_job(database, DONE, findings=3)
    database.query("SELECT refresh_job_progress()")
    _, before = get(job, **query)
    states = []
    while not states or states[-1] != "retired":
        states.append(batch(database, job, 4)[0])
        if refreshed:
            database.query("SELECT refresh_job_progress()")
        code, body = get(job, **query)
        assert (code, body["data_source"], body["status"]) == (200, "retired", "completed")
        assert body["retired_at"].endswith("+00:00")
        numbers = ("total", "queued", "succeeded", "failed", "total_findings", "progress_percent", "bucket")
        assert [body[name] for name in numbers] == [before[name] for name in numbers]
        assert not body.keys() & {"cache_refreshed_at", "cache_refresh_duration_ms"}
    assert len(states) == 3


@pytest.mark.parametrize("query", [{}, {"real_time": "true"}], ids=["cached", "real time"])
def test_a_job_that_is_written_to_while_it_is_deleted_is_answered_with_what_it_has(
    get: Get, database: TestDatabase, query: dict[str, str]
) -> None:
    job = old_job(database, DONE)
    batch(database, job, 3)
    database.query("UPDATE job_objects SET status = 'queued', updated_at = now() WHERE key = 'succeeded5'")
    database.query("SELECT refresh_job_progress()")
    _, body = get(job, **query)
    assert (body["total"], body["queued"], body["status"]) == (4, 1, "processing")
    assert body["data_source"] != "retired"


def test_a_job_that_came_back_under_its_id_is_answered_with_its_own_numbers(get: Get, database: TestDatabase) -> None:
    job = old_job(database, DONE)
    batch(database, job)
    database.query("SELECT refresh_job_progress()")
    database.query("INSERT INTO jobs (job_id, bucket) VALUES (%s, 'again')", (job,))
    database.query("INSERT INTO job_objects VALUES (%s, 'again', 'k', 'e', 'succeeded')", (job,))
    _, body = get(job)
    assert (body["bucket"], body["total"], body["data_source"]) == ("again", 1, "real_time")


def test_a_retired_job_has_ended_although_step_functions_forgot_its_execution(
    get: Get, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executions, "ask", lambda _arns, **_: {})
    job = old_job(database, {})
    database.query("UPDATE jobs SET execution_arn = %s", (ARN,))
    batch(database, job)
    assert get(job)[1]["status"] == "completed"


def test_the_action_retires_what_is_old_enough_and_says_what_it_did(
    retire: Callable[..., dict[str, Any]], database: TestDatabase
) -> None:
    old, young = old_job(database, DONE, findings=1), old_job(database, DONE, days=20)
    result = retire(older_than_days=90)
    assert result == {
        "retired_jobs": 1,
        "deleted_objects": 7,
        "deleted_findings": 1,
        "kept_jobs": [],
        "left_jobs": 0,
    }
    assert (left(database, old), left(database, young)) == ((0, 0, 0), (1, 7, 0))


def test_the_action_stops_in_time_and_the_next_one_goes_on(
    retire: Callable[..., dict[str, Any]], database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        old_job(database, DONE)
    monkeypatch.setattr(actions, "RETIRE_FOR_S", 0)
    assert [retire(older_than_days=90)["left_jobs"] for _ in range(3)] == [2, 1, 0]


@pytest.mark.filterwarnings("ignore:No application metrics")
@pytest.mark.parametrize("days", [None, 0, -1, "90", 1.5, True])
def test_the_action_without_a_sensible_age_deletes_nothing(
    retire: Callable[..., dict[str, Any]], database: TestDatabase, days: object
) -> None:
    job = old_job(database, DONE)
    with pytest.raises(InvalidRequestError, match="older_than_days is"):
        retire(older_than_days=days)
    assert left(database, job) == (1, 7, 0)
