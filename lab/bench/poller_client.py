"""A client process that polls as callers of the API do: it runs the code of the function `status`, event by event."""

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Literal

from lab.bench.first_answer import Context

Way = Literal["SELECT 1", "query", "cached", "real-time", "list", "statistics"]
WARM_UP_S = 0.3
OK = 200


def event(route: str, *, job_id: str | None = None, **query: str) -> dict[str, Any]:
    """Return what API Gateway sends for a request (payload format 2.0)."""
    method, path = route.split()
    raw_path = path.replace("{job_id}", job_id or "")
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": raw_path,
        "pathParameters": {"job_id": job_id} if job_id else {},
        "queryStringParameters": query,
        "headers": {},
        "requestContext": {"requestId": "1", "stage": "$default", "http": {"method": method, "path": raw_path}},
    }


class Poller:
    """The function `status` in this process, and the jobs that it is asked about.

    Args:
        variables: of the function.
        job_ids: one of them is chosen by chance for each request.
        number: of this process; the chance follows from it.

    """

    def __init__(self, variables: Mapping[str, str], job_ids: Sequence[str], number: int) -> None:
        os.environ.update(variables)
        from handlers import status  # noqa: PLC0415 - reads the variables
        from handlers.progress.reads import QUERIES  # noqa: PLC0415

        self._status, self._query = status, QUERIES["job_cached"]
        self._job_ids, self._chance = job_ids, random.Random(number)

    def poll(self, way: Way, seconds: float) -> list[float]:
        """Ask for some seconds after a short warm-up; return the milliseconds of each answer.

        Raises:
            RuntimeError: an answer is not 200, or not from the source that was asked for.

        """
        ask = self._asker(way)
        self._poll_until(time.perf_counter() + WARM_UP_S, ask)
        return self._poll_until(time.perf_counter() + seconds, ask)

    @staticmethod
    def _poll_until(ends_at_s: float, ask: Callable[[], object]) -> list[float]:
        taken_ms = []
        began_s = time.perf_counter()
        while began_s < ends_at_s:
            ask()
            ended_s = time.perf_counter()
            taken_ms.append((ended_s - began_s) * 1000)
            began_s = ended_s
        return taken_ms

    def _asker(self, way: Way) -> Callable[[], object]:
        match way:
            case "SELECT 1":
                return lambda: self._status.database.fetch_all("SELECT 1 AS one")
            case "query":
                return lambda: self._status.database.fetch_all(self._query, {"job_id": self._job_id()})
            case "cached":
                return lambda: self._answer(event("GET /jobs/{job_id}", job_id=self._job_id()), "cached")
            case "real-time":
                return lambda: self._answer(
                    event("GET /jobs/{job_id}", job_id=self._job_id(), real_time="true"), "real_time"
                )
            case "list":
                return lambda: self._answer(event("GET /jobs", state="active", real_time="true"), "real_time")
            case "statistics":
                return lambda: self._answer(event("GET /statistics", real_time="true"), "real_time")

    def _job_id(self) -> str:
        return self._chance.choice(self._job_ids)

    def _answer(self, request: dict[str, Any], source: str) -> None:
        answer = self._status.handler(request, Context())  # type: ignore[arg-type]  # has what the handler reads of it
        if answer["statusCode"] != OK or f'"data_source":"{source}"' not in answer["body"]:
            raise RuntimeError(f"{request['rawPath']}: {json.dumps(answer)}")


def serve(pipe: Connection, variables: Mapping[str, str], job_ids: Sequence[str], number: int) -> None:
    """Receive `(way, seconds)` and send the milliseconds of each answer, or the error, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C and closes the pipe
    with contextlib.suppress(EOFError):
        poller = Poller(variables, job_ids, number)
        while True:
            way, seconds = pipe.recv()
            try:
                pipe.send(poller.poll(way, seconds))
            except Exception as error:  # noqa: BLE001 - the parent process raises it
                pipe.send(error)
