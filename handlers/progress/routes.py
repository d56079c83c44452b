"""The routes of the HTTP API: the parameters of a request, and the read that answers it."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from handlers.connection import Rows
from handlers.contract.variables import REFRESH_MINUTES
from handlers.errors import InvalidRequestError, MalformedEventError
from handlers.progress import reads
from handlers.progress.job_state import STATES

JOB, JOBS, STATISTICS = "GET /jobs/{job_id}", "GET /jobs", "GET /statistics"
PARAMETERS = {
    JOB: ("real_time",),
    JOBS: ("state", "limit", "cursor", "real_time"),
    STATISTICS: ("real_time",),
}
_PAGE = "50"


def answer(database: Rows, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body that answers a request (payload format 2.0).

    Raises:
        MalformedEventError: the event is not one of API Gateway.
        InvalidRequestError: the route or a parameter is unknown or out of bounds.
        JobNotFoundError: no job has this id.
        DatabaseUnavailableError: the database cannot be reached.

    """
    route, path, query = _request(event)
    if unknown := [name for name in query if name not in PARAMETERS[route]]:
        takes = ", ".join(PARAMETERS[route])
        raise InvalidRequestError("unknown_parameter", f"{', '.join(map(repr, unknown))}: {route} takes {takes}")
    real_time = _flag("real_time", query.get("real_time", "false"))
    if route == JOB:
        body = reads.job_status(database, path["job_id"], real_time=real_time)
    elif route == JOBS:
        if (state := query.get("state")) is None:
            raise InvalidRequestError("invalid_state", f"state is missing; it is one of {', '.join(STATES)}")
        limit, cursor = _limit(query.get("limit", _PAGE)), query.get("cursor")
        body = reads.list_jobs(database, state=state, limit=limit, cursor=cursor, real_time=real_time)
    else:
        body = reads.statistics(database, real_time=real_time)
    return body | _next_refresh(body)


def _request(event: Mapping[str, Any]) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
    """Return route, path parameters and query parameters.

    Raises:
        MalformedEventError: one of them is missing or not of its type.
        InvalidRequestError: the route is unknown.

    """
    route = event.get("routeKey") if isinstance(event, Mapping) else None
    if not isinstance(route, str):
        raise MalformedEventError("the event has no routeKey; API Gateway sends one in payload format 2.0")
    if route not in PARAMETERS:
        raise InvalidRequestError("unknown_route", f"{route} is not served here")
    path, query = _texts(event, "pathParameters"), _texts(event, "queryStringParameters")
    if route == JOB and "job_id" not in path:
        raise MalformedEventError(f"the event of {route} has no job_id in its pathParameters")
    return route, path, query


def _texts(event: Mapping[str, Any], name: str) -> Mapping[str, str]:
    value = event.get(name) or {}
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value.values()):
        raise MalformedEventError(f"{name} of the event is not an object of texts")
    return value


def _next_refresh(body: Mapping[str, Any]) -> dict[str, Any]:
    """Say when the next refresh begins, where the answer is from the last one and the deployment says how often."""
    minutes, refreshed_at = os.environ.get(REFRESH_MINUTES), body.get("cache_refreshed_at")
    if body["data_source"] != "cached":
        return {}
    try:
        return {"next_refresh_at": refreshed_at + timedelta(minutes=int(minutes)) if minutes and refreshed_at else None}
    except OverflowError:  # the log says infinity
        return {"next_refresh_at": None}


def _flag(name: str, text: str) -> bool:
    if (value := {"true": True, "false": False}.get(text.lower())) is None:
        raise InvalidRequestError(f"invalid_{name}", f"{name} {text!r} is neither true nor false")
    return value


def _limit(text: str) -> int:
    # int() would also accept other digits, underscores, a sign and spaces.
    if not re.fullmatch("[0-9]{1,9}", text):
        raise InvalidRequestError("invalid_limit", f"limit {text!r} is not a number from 1 to {reads.MAX_JOBS}")
    return int(text)
