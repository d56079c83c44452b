"""A client process that polls as callers of the API do: it runs the code of the function `status`, event by event."""

import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Literal

from lab.bench import floors
from lab.bench.clients import serve_orders
from lab.bench.first_answer import Context
from lab.bench.reads import STATUS_QUERIES

Way = Literal["SELECT 1", "lookup", "code", "query", "cached", "real-time", "list", "statistics"]
WARM_UP_S = 0.3
OK = 200
SELECT_1 = STATUS_QUERIES["SELECT 1"]
LOOKUP_QUERY = floors.READS[floors.LOOKUP]


def event(route: str, *, job_id: str | None = None, **query: str) -> dict[str, Any]:
    """Return what API Gateway sends for a request (payload format 2.0)."""
    method, path = route.split()
    raw_path = path.replace("{job_id}", job_id or "")
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": raw_path,
        # The service omits both when they are empty.
        **({"pathParameters": {"job_id": job_id}} if job_id else {}),
        **({"queryStringParameters": query} if query else {}),
        "headers": {},
        "requestContext": {"requestId": "1", "stage": "$default", "http": {"method": method, "path": raw_path}},
    }


class Canned:
    """A database that answers each query with the same row, after a `SELECT 1` on the real connection."""

    def __init__(self, database: Any, row: Mapping[str, Any]) -> None:
        self._database, self._row = database, row

    def fetch_all(self, _query: str, _parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the row."""
        self._database.fetch_all(SELECT_1)
        return [dict(self._row)]


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

        # Any, because one way replaces its database.
        self._status: Any = status
        self._query = QUERIES["job_cached"]
        self._job_ids, self._chance = job_ids, random.Random(number)

    def poll(self, way: Way, seconds: float) -> list[float]:
        """Ask for some seconds after a short warm-up; return the milliseconds of each answer.

        Raises:
            RuntimeError: an answer is not 200, or not from the source that was asked for.

        """
        ask = self._asker(way)
        database = self._status.database
        if way == "code":
            (row,) = database.fetch_all(self._query, {"job_id": self._job_id()})
            self._status.database = Canned(database, row)
        try:
            self._poll_until(time.perf_counter() + WARM_UP_S, ask)
            return self._poll_until(time.perf_counter() + seconds, ask)
        finally:
            self._status.database = database

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
        """Return what asks once. The database is looked up at each call, because `code` replaces it."""
        job, jobs, sums = "GET /jobs/{job_id}", "GET /jobs", "GET /statistics"
        ways: dict[Way, Callable[[], object]] = {
            "SELECT 1": lambda: self._status.database.fetch_all(SELECT_1),
            "lookup": lambda: self._status.database.fetch_all(LOOKUP_QUERY, {"job_id": self._job_id()}),
            "query": lambda: self._status.database.fetch_all(self._query, {"job_id": self._job_id()}),
            "cached": lambda: self._answer(event(job, job_id=self._job_id()), "cached"),
            "code": lambda: self._answer(event(job, job_id=self._job_id()), "cached"),
            "real-time": lambda: self._answer(event(job, job_id=self._job_id(), real_time="true"), "real_time"),
            "list": lambda: self._answer(event(jobs, state="active", real_time="true"), "real_time"),
            "statistics": lambda: self._answer(event(sums, real_time="true"), "real_time"),
        }
        return ways[way]

    def _job_id(self) -> str:
        return self._chance.choice(self._job_ids)

    def _answer(self, request: dict[str, Any], source: str) -> None:
        answer = self._status.handler(request, Context())
        if answer["statusCode"] != OK or f'"data_source":"{source}"' not in answer["body"]:
            raise RuntimeError(f"{request['rawPath']}: {json.dumps(answer)}")


def serve(pipe: Connection, variables: Mapping[str, str], job_ids: Sequence[str], number: int) -> None:
    """Receive `(way, seconds)` and send the milliseconds of each answer, or the error, until the pipe is closed."""
    serve_orders(pipe, lambda: Poller(variables, job_ids, number).poll)
