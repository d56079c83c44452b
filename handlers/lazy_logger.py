"""The log of `status`. Powertools is imported with the first line: it takes as long as all other imports of a request.

Most requests log nothing: API Gateway writes the access log, and Lambda reports durations and errors.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.utilities.typing import LambdaContext

_keys: dict[str, str | None] = {}


def set_request(event: dict[str, Any], context: "LambdaContext") -> None:
    """Keep the ids of this request, under the names that Powertools gives them, for its log lines.

    `correlation_id` is null for an event that API Gateway did not send.
    """
    request = event.get("requestContext") if isinstance(event, dict) else None
    request_id = request.get("requestId") if isinstance(request, dict) else None
    _keys.update(
        function_name=context.function_name, function_request_id=context.aws_request_id, correlation_id=request_id
    )


def get_logger() -> "Logger":
    """Return the logger, which adds the ids of the request to each line."""
    from handlers.telemetry import logger  # noqa: PLC0415 - 150 ms, paid with the first line only

    logger.append_keys(**_keys)
    return logger
