"""The routes of the HTTP API: the parameters of a request, and the read that answers it."""

from typing import Any

from handlers.connection import Rows
from handlers.errors import InvalidRequestError
from handlers.progress import reads


def answer(database: Rows, event: dict[str, Any]) -> dict[str, Any]:
    """Return the body that answers a request (payload format 2.0).

    Raises:
        InvalidRequestError: the route or a parameter is unknown or out of bounds.
        JobNotFoundError: no job has this id.
        DatabaseUnavailableError: the database cannot be reached.

    """
    query = event.get("queryStringParameters") or {}
    real_time = _flag("real_time", query.get("real_time", "false"))
    match event["routeKey"]:
        case "GET /jobs/{job_id}":
            return reads.job_status(database, event["pathParameters"]["job_id"], real_time=real_time)
        case "GET /jobs":
            if (state := query.get("state")) != "active":
                raise InvalidRequestError("invalid_state", f"state {state!r} is not known; ask for state=active")
            limit = _limit(query.get("limit", "50"))
            return reads.active_jobs(database, limit=limit, cursor=query.get("cursor"), real_time=real_time)
        case "GET /statistics":
            return reads.statistics(database, real_time=real_time)
        case route:
            raise InvalidRequestError("unknown_route", f"{route} is not served here")


def _flag(name: str, text: str) -> bool:
    if (value := {"true": True, "false": False}.get(text.lower())) is None:
        raise InvalidRequestError(f"invalid_{name}", f"{name} {text!r} is neither true nor false")
    return value


def _limit(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidRequestError("invalid_limit", f"limit {text!r} is not a number") from None
