"""Lambda `status`: answers the HTTP API from one long-lived connection as `progress_reader`."""

from typing import TYPE_CHECKING, Any

from handlers import progress
from handlers.connection import Database
from handlers.errors import InvalidRequestError
from handlers.http import error_response, response
from handlers.request_log import begin

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# A little more than the statement_timeout of progress_reader.
database = Database(query_timeout_s=5.5)


def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer one request of the HTTP API (payload format 2.0)."""
    begin(event, context)
    try:
        return response(200, _answer(event))
    except Exception as error:  # noqa: BLE001 - error_response raises again what it does not know
        return error_response(error)


def _answer(event: dict[str, Any]) -> dict[str, Any]:
    query = event.get("queryStringParameters") or {}
    real_time = _flag("real_time", query.get("real_time", "false"))
    match event["routeKey"]:
        case "GET /jobs/{job_id}":
            return progress.job_status(database, event["pathParameters"]["job_id"], real_time=real_time)
        case "GET /jobs":
            if (state := query.get("state")) != "active":
                raise InvalidRequestError("invalid_state", f"state {state!r} is not known; ask for state=active")
            limit = _limit(query.get("limit", "50"))
            return progress.active_jobs(database, limit=limit, cursor=query.get("cursor"), real_time=real_time)
        case "GET /statistics":
            return progress.statistics(database, real_time=real_time)
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
