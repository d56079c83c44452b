"""Answers of the HTTP API: JSON bodies, and errors as their status codes (payload format 2.0)."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg2

from handlers.errors import DatabaseUnavailableError, InvalidRequestError, JobNotFoundError, MalformedEventError
from handlers.lazy_logger import get_logger

RETRY_AFTER_S = 5
# How SQLSTATE begins where the state of the database is the reason and not the request: no connection, read only, a
# conflict with other transactions, a right that is missing, no resources, a busy object, a statement that was
# cancelled or a server that stops, its disk. https://www.postgresql.org/docs/17/errcodes-appendix.html
_UNAVAILABLE = ("08", "25006", "40", "42501", "53", "55P03", "57", "58")


def response(status_code: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a response whose body is JSON; timestamps are ISO 8601 in UTC."""
    return {
        "statusCode": status_code,
        "headers": {"content-type": "application/json", "cache-control": "no-store", **(headers or {})},
        "body": json.dumps(body, default=_plain, separators=(",", ":")),
    }


def error_response(error: Exception) -> dict[str, Any]:
    """Return the answer that an error gives; raise an unknown error again, so that the invocation counts as failed."""
    match error:
        case InvalidRequestError():
            if isinstance(error, MalformedEventError):
                # API Gateway's access log has the other refusals. This event came from another sender.
                get_logger().error("the event is not one of API Gateway", reason=str(error))
            return response(400, {"error": error.code, "message": str(error)})
        case JobNotFoundError():
            return response(404, {"error": "job_not_found", "message": str(error)})
        case DatabaseUnavailableError() | psycopg2.Error() if _is_unavailable(error):
            get_logger().error("the database did not answer", reason=str(error).strip(), sqlstate=_sqlstate(error))
            body = {
                "error": "database_unavailable",
                "message": f"The database cannot answer at the moment; retry in {RETRY_AFTER_S} s",
            }
            return response(503, body, {"retry-after": str(RETRY_AFTER_S)})
        case _:
            raise error


def _is_unavailable(error: Exception) -> bool:
    return isinstance(error, DatabaseUnavailableError) or (_sqlstate(error) or "").startswith(_UNAVAILABLE)


def _sqlstate(error: BaseException | None) -> str | None:
    """Return the code that PostgreSQL or RDS Proxy gave; `None` where neither answered."""
    if isinstance(error, DatabaseUnavailableError):
        error = error.__cause__
    return error.pgcode if isinstance(error, psycopg2.Error) else None


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")
