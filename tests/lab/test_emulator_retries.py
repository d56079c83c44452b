"""A request that an SDK sends again is executed once."""

import threading
import time
from typing import Any

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from lab.emulator.retries import REMEMBERED, RetryReplay


class Counter:
    """Answers with how many requests it has executed, with the statuses that it is told; the last one stays."""

    def __init__(self, *statuses: int, takes_s: float = 0) -> None:
        self.executed = 0
        self._statuses, self._takes_s = statuses, takes_s

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        time.sleep(self._takes_s)
        self.executed += 1
        status = self._statuses[min(self.executed, len(self._statuses)) - 1]
        return Response(f"{self.executed} {Request(environ).get_data(as_text=True)}", status)(environ, start_response)


def send(application: Any, invocation: str | None, *, method: str = "POST") -> tuple[int, str]:
    headers = {"amz-sdk-invocation-id": invocation, "amz-sdk-request": "attempt=2; max=25"} if invocation else {}
    answer = Client(application).open("/", method=method, data="Action=Create", headers=headers)
    return answer.status_code, answer.text


def test_the_second_try_gets_the_answer_of_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    counter = Counter(200)
    application = RetryReplay(counter)
    assert [send(application, "one"), send(application, "one")] == [(200, "1 Action=Create")] * 2
    assert capsys.readouterr().err == "replayed: attempt=2; max=25\n"
    assert send(application, "two") == (200, "2 Action=Create")


def test_what_failed_is_executed_again() -> None:
    application = RetryReplay(Counter(503, 400, 200))
    assert [send(application, "one")[0] for _ in range(4)] == [503, 400, 200, 200]


@pytest.mark.parametrize(("invocation", "method"), [(None, "POST"), ("one", "GET"), ("one", "HEAD")])
def test_reads_and_requests_without_an_invocation_id_are_executed_each_time(
    invocation: str | None, method: str
) -> None:
    counter = Counter(200)
    application = RetryReplay(counter)
    for _ in range(2):
        send(application, invocation, method=method)
    assert counter.executed == 2


def test_a_second_try_waits_for_the_first() -> None:
    counter = Counter(200, takes_s=0.2)
    application = RetryReplay(counter)
    answers: list[tuple[int, str]] = []
    tries = [threading.Thread(target=lambda: answers.append(send(application, "one"))) for _ in range(3)]
    for each in tries:
        each.start()
    for each in tries:
        each.join()
    assert (counter.executed, answers) == (1, [(200, "1 Action=Create")] * 3)


def test_the_oldest_invocations_are_forgotten() -> None:
    counter = Counter(200)
    application = RetryReplay(counter)
    for number in range(REMEMBERED + 1):
        send(application, str(number))
    send(application, str(REMEMBERED))
    assert counter.executed == REMEMBERED + 1
    send(application, "0")
    assert counter.executed == REMEMBERED + 2
