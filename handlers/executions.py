"""The state of a Step Functions execution, asked for in real time. A failure of Step Functions fails no request."""

from functools import cache
from typing import Any

from handlers.lazy_logger import get_logger


@cache
def _client() -> Any:
    # boto3 takes half a second to import, and most requests are for jobs without an execution.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    once = {"total_max_attempts": 1}
    return boto3.client("stepfunctions", config=Config(connect_timeout=1, read_timeout=1, retries=once))


def execution_status(execution_arn: str | None) -> str | None:
    """Return `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED` or `PENDING_REDRIVE`.

    Args:
        execution_arn: the execution that lists the job's objects; `None` when the job has none.

    Returns:
        `None` when there is no execution, and when Step Functions does not know it or does not answer: the counts are
        useful without it.

    """
    if execution_arn is None:
        return None
    try:
        return str(_client().describe_execution(executionArn=execution_arn)["status"])
    except Exception as error:  # noqa: BLE001 - no error of Step Functions may fail the request
        get_logger().warning("the state of an execution is unknown", execution_arn=execution_arn, reason=str(error))
        return None
