"""The log of `status`, loaded with its first line: Powertools takes as long to import as all else that a request needs.

Most requests log nothing: API Gateway writes the access log, and Lambda reports durations and errors.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.utilities.typing import LambdaContext

_keys: dict[str, str] = {}


def begin(event: dict[str, Any], context: "LambdaContext") -> None:
    """Remember what the lines of this request are found by, under the names that Powertools gives them."""
    _keys.update(
        function_name=context.function_name,
        function_request_id=context.aws_request_id,
        correlation_id=event["requestContext"]["requestId"],
    )


def log() -> "Logger":
    """Return the logger, which adds to each line whose request it is."""
    from handlers.telemetry import logger  # noqa: PLC0415 - 150 ms, needed when something is to be said

    logger.append_keys(**_keys)
    return logger
