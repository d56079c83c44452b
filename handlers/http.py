"""Answers of the HTTP API: JSON bodies, and errors as their status codes (payload format 2.0)."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg2

from handlers.errors import DatabaseUnavailableError, InvalidRequestError, JobNotFoundError
from handlers.lazy_logger import get_logger

RETRY_AFTER_S = 5


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
            return response(400, {"error": error.code, "message": str(error)})
        case JobNotFoundError():
            return response(404, {"error": "job_not_found", "message": str(error)})
        case DatabaseUnavailableError() | psycopg2.errors.QueryCanceled():
            get_logger().error("the database did not answer", reason=str(error))
            body = {
                "error": "database_unavailable",
                "message": f"The database did not answer; retry in {RETRY_AFTER_S} s",
            }
            return response(503, body, {"retry-after": str(RETRY_AFTER_S)})
        case _:
            raise error


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")
