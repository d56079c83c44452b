"""The state of Step Functions executions, asked for in real time. A failure of Step Functions fails no request."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from handlers.lazy_logger import get_logger

SUCCEEDED = "SUCCEEDED"

# Questions that are asked side by side.
_SIDE_BY_SIDE = 16
# Threads of this process, also those whose question was given up: botocore's limits hold for each byte that arrives, so
# an answer that comes byte by byte keeps its thread for minutes. While all are taken, no state is known.
_threads = threading.BoundedSemaphore(2 * _SIDE_BY_SIDE)
# A log line needs no more.
_LISTED = 10
# An execution that succeeded cannot be redriven, so this is its last state:
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html
_succeeded: dict[str, "Execution"] = {}
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What Step Functions says about an execution.

    Attributes:
        status: `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED` or `PENDING_REDRIVE`; `None` where Step
            Functions does not know the execution, or does not answer in time.
        stopped_at: when it ended.

    """

    status: str | None = None
    stopped_at: datetime | None = None


UNKNOWN = Execution()


@cache
def _client() -> Any:
    # boto3 takes half a second to import, and most requests are for jobs without an execution.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    once = {"total_max_attempts": 1}
    config = Config(connect_timeout=1, read_timeout=1, retries=once, max_pool_connections=_SIDE_BY_SIDE)
    return boto3.client("stepfunctions", config=config)


def ask(execution_arns: Iterable[str], *, within_s: float) -> dict[str, Execution]:
    """Return what Step Functions says about each of some executions.

    Args:
        execution_arns: their ARNs.
        within_s: how long all questions together may take, by the wall clock. Importing boto3 comes before, once.

    """
    executions = {arn: _succeeded.get(arn, UNKNOWN) for arn in execution_arns}
    asked = [arn for arn, execution in executions.items() if execution is UNKNOWN]
    if not asked:
        return executions
    failures: list[str] = []
    for arn, answer in _answers(asked, within_s):
        if isinstance(answer, Execution):
            executions[arn] = answer
            _remember(arn, answer)
        else:
            failures.append(answer)
    if unknown := [arn for arn in asked if executions[arn] is UNKNOWN]:
        reason = failures[0] if failures else f"no answer within {within_s:.1f} s"
        get_logger().warning(
            "the state of an execution is unknown",
            executions=len(unknown),
            execution_arns=unknown[:_LISTED],
            reason=reason,
        )
    return executions


def _answers(asked: list[str], within_s: float) -> Iterable[tuple[str, "Execution | str"]]:
    """Yield each answer, or why there is none, until all are there or the time is over."""
    if within_s <= 0:
        return
    try:
        client = _client()
    except Exception as error:  # noqa: BLE001 - no error of the SDK may fail the request
        yield asked[0], str(error)
        return
    ends_at = time.monotonic() + within_s
    questions: queue.SimpleQueue[str] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[str, Execution | str]] = queue.SimpleQueue()
    for arn in asked:
        questions.put(arn)
    free = sum(_threads.acquire(blocking=False) for _ in asked[:_SIDE_BY_SIDE])
    if not free:
        yield asked[0], "Step Functions has not answered the questions before"
        return
    for _ in range(free):
        threading.Thread(target=_work, args=(client, questions, answers, ends_at, _threads), daemon=True).start()
    with contextlib.suppress(queue.Empty):
        for _ in asked:
            yield answers.get(timeout=max(ends_at - time.monotonic(), 0))


def _work(
    client: Any,
    questions: "queue.SimpleQueue[str]",
    answers: "queue.SimpleQueue[Any]",
    ends_at: float,
    threads: threading.BoundedSemaphore,
) -> None:
    try:
        with contextlib.suppress(queue.Empty):
            while time.monotonic() < ends_at:
                arn = questions.get_nowait()
                answers.put((arn, _describe(client, arn)))
    finally:
        threads.release()


def _describe(client: Any, arn: str) -> "Execution | str":
    try:
        answer = client.describe_execution(executionArn=arn)
        return Execution(status=str(answer["status"]), stopped_at=answer.get("stopDate"))
    except Exception as error:  # noqa: BLE001 - no error of Step Functions may fail the request
        return str(error)


def _remember(arn: str, execution: Execution) -> None:
    if execution.status == SUCCEEDED:
        if len(_succeeded) >= _MOST_REMEMBERED:
            _succeeded.clear()
        _succeeded[arn] = execution
