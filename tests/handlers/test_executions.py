"""Step Functions has one second for all questions of a request, also where its answers drip or never end."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from handlers import executions
from handlers.executions import UNKNOWN, ask
from handlers.progress import reads
from tests.support.reader import Reader
from tests.support.step_functions import EXECUTION, StepFunctions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase

WITHIN_S = 0.5
# Much more than a slow machine needs.
AT_MOST_S = 1.5
DRIPS = 100


class Dripping(http.server.BaseHTTPRequestHandler):
    """Sends an answer byte by byte, each in time for a limit on reads."""

    def do_POST(self) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(DRIPS):
                self.wfile.write(b" ")
                if self.server.stopped.wait(0.1):  # type: ignore[attr-defined]
                    return

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def dripping(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Step Functions that boto3 asks over HTTP and that drips."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dripping)
    server.stopped = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    executions._client.cache_clear()
    executions._client()
    yield
    server.stopped.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    executions._client.cache_clear()


def arns(count: int) -> list[str]:
    return [f"{EXECUTION}{number}" for number in range(count)]


def test_an_answer_that_comes_byte_by_byte_is_given_up_in_time(dripping: None) -> None:
    started = time.monotonic()
    assert ask(arns(1), within_s=WITHIN_S) == {arns(1)[0]: UNKNOWN}
    assert WITHIN_S <= time.monotonic() - started < AT_MOST_S


def test_questions_that_were_given_up_do_not_gather_without_end(
    monkeypatch: pytest.MonkeyPatch, dripping: None
) -> None:
    # Threads of tests before this one may not have ended.
    monkeypatch.setattr(executions, "_threads", threading.BoundedSemaphore(32))
    before = threading.active_count()
    for _ in range(4):
        started = time.monotonic()
        assert set(ask(arns(100), within_s=0.1).values()) == {UNKNOWN}
        assert time.monotonic() - started < AT_MOST_S
    asking = [thread for thread in threading.enumerate() if "work" in thread.name]
    assert len(asking) <= 32
    assert threading.active_count() > before


def test_a_job_is_answered_in_time_while_step_functions_drips(database: TestDatabase, dripping: None) -> None:
    job_id = database.add_job({"succeeded": 1})
    database.query("UPDATE jobs SET execution_arn = %s", (EXECUTION,))
    with Reader(database) as reader:
        started = time.monotonic()
        answer = reads.job_status(reader, job_id, real_time=True)
        assert time.monotonic() - started < 2
        assert (answer["status"], answer["step_function_status"]) == ("listing", None)
        listed = reads.list_jobs(reader, state="active", limit=10, cursor=None, real_time=True)
        assert (listed["jobs"][0]["status"], listed["unknown_executions"]) == ("listing", 1)


def test_many_executions_are_asked_for_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    service = StepFunctions(monkeypatch)
    service.states = dict.fromkeys(arns(32), "RUNNING")
    answer = service.describe_execution

    def slow(*, executionArn: str) -> dict[str, Any]:  # noqa: N803
        time.sleep(0.1)
        return answer(executionArn=executionArn)

    monkeypatch.setattr(service, "describe_execution", slow)
    started = time.monotonic()
    known = ask(arns(32), within_s=5)
    assert [execution.status for execution in known.values()] == ["RUNNING"] * 32
    assert time.monotonic() - started < 1.6
