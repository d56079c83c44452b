"""The poller that docs/api.md prints works as printed: against the emulator's HTTP API, which checks signatures."""

from __future__ import annotations

import random
import re
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.wrappers import Response

from handlers import status
from handlers.connection import Database
from lab.emulator.server import CREDENTIALS
from stacks import ROOT
from tests.support.openapi import REGION
from tests.support.served_api import ServedApi
from tests.support.step_functions import EXECUTION, StepFunctions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase

(SOURCE,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def api(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedApi]:
    monkeypatch.setattr(status, "database", Database(database.variables("progress_reader"), query_timeout_s=3))
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with ServedApi() as served:
        yield served


class Poller:
    """The printed code, whose sleeps are recorded and do something instead of waiting."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.during_waits: list[Any] = []
        self.code: dict[str, Any] = {}
        exec(compile(SOURCE, "docs/api.md", "exec"), self.code)
        self.code["time"] = SimpleNamespace(sleep=self._sleep, monotonic=time.monotonic)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.during_waits:
            self.during_waits.pop(0)()


@pytest.fixture
def poller(api: ServedApi) -> Poller:
    return Poller()


def answer(code: int, body: str, **headers: str) -> Response:
    return Response(body, code, headers=headers, content_type="application/json")


def test_the_poller_is_short() -> None:
    assert len([line for line in SOURCE.splitlines() if line.strip()]) <= 35


def test_a_wait_ends_when_the_status_says_so_and_not_at_100_percent(
    api: ServedApi, poller: Poller, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    step_functions = StepFunctions(monkeypatch)
    job_id = database.add_job({"succeeded": 1})
    database.query("UPDATE jobs SET execution_arn = %s", (EXECUTION,))
    step_functions.states[EXECUTION] = "RUNNING"
    poller.during_waits = [
        lambda: database.query("INSERT INTO job_objects VALUES (%s, 'b', 'late', 'e', 'queued')", (job_id,)),
        step_functions.states.clear,
        lambda: step_functions.states.update({EXECUTION: "SUCCEEDED"}),
        lambda: database.query("UPDATE job_objects SET status = 'failed' WHERE key = 'late'"),
    ]
    job = poller.code["wait"](api.url, REGION, job_id)
    assert (job["status"], job["total"], job["failed"]) == ("completed", 2, 1)
    assert len(poller.slept) == 4
    assert len(api.requests) == 5


def test_a_wait_for_a_job_whose_execution_is_forgotten_ends_in_time(
    api: ServedApi, poller: Poller, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    StepFunctions(monkeypatch)
    job_id = database.add_job({"succeeded": 1})
    database.query("UPDATE jobs SET execution_arn = %s", (EXECUTION,))
    with pytest.raises(TimeoutError, match="does not say whether more objects are listed"):
        poller.code["wait"](api.url, REGION, job_id, at_most_s=0)


def test_pages_are_followed_to_the_last(
    api: ServedApi, poller: Poller, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status.routes, "_PAGE", "2")
    added = [database.add_job({"queued": 1}) for _ in range(5)]
    database.query("SELECT refresh_job_progress()")
    listed = [job["job_id"] for job in poller.code["jobs"](api.url, REGION, "active")]
    assert sorted(listed) == sorted(added)
    assert len(api.requests) == 3
    assert list(poller.code["jobs"](api.url, REGION, "failed")) == []


def test_a_busy_api_is_asked_again_with_full_jitter_and_as_late_as_it_says(
    api: ServedApi, poller: Poller, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = database.add_job({"succeeded": 1})
    api.first = [
        answer(429, '{"message":"Too Many Requests"}'),
        answer(503, '{"message":"Service Unavailable"}'),
        answer(503, '{"error":"database_unavailable","message":"-"}', **{"retry-after": "5"}),
        answer(500, '{"message":"Internal Server Error"}'),
    ]
    bounds: list[tuple[float, float]] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: bounds.append((low, high)) or high)
    assert poller.code["wait"](api.url, REGION, job_id)["status"] == "completed"
    assert bounds == [(0, 1), (0, 2), (0, 4), (0, 8)]
    assert poller.slept == [1, 2, 5 + 4, 8]


def test_a_request_that_must_be_corrected_is_not_sent_again(api: ServedApi, poller: Poller) -> None:
    with pytest.raises(RuntimeError, match=r"400 .*invalid_job_id.* \(request [0-9a-f-]{36}\)"):
        poller.code["wait"](api.url, REGION, "no-uuid")
    assert (len(api.requests), poller.slept) == (1, [])


def test_a_wrong_signature_is_refused(api: ServedApi, poller: Poller) -> None:
    with pytest.raises(RuntimeError, match=r"403 .*Forbidden"):
        poller.code["get"](f"{api.url}/statistics", "us-east-2")


def test_an_api_that_cannot_be_reached_is_given_up_after_eight_tries(poller: Poller) -> None:
    with pytest.raises(RuntimeError, match="503"):
        poller.code["get"]("http://127.0.0.1:1/statistics", REGION)
    assert len(poller.slept) == 8
