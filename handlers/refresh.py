"""Lambda `refresh`: brings job_progress up to date as `progress_refresher`, and says how long it took."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import progress
from handlers.connection import Database
from handlers.telemetry import logger, metrics

# A little more than the statement_timeout of progress_refresher.
database = Database(query_timeout_s=285)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Refresh once. The result says what was done; an error fails the invocation, which the alarms count."""
    result = progress.refresh(database)
    if result["refreshed"]:
        metrics.add_metric("RefreshSucceeded", MetricUnit.Count, 1)
        metrics.add_metric("RefreshDuration", MetricUnit.Milliseconds, result["duration_ms"])
        metrics.add_metric("Jobs", MetricUnit.Count, result["jobs"])
        metrics.add_metric("Objects", MetricUnit.Count, result["objects"])
    else:
        metrics.add_metric("RefreshSkipped", MetricUnit.Count, 1)
    logger.info("refreshed" if result["refreshed"] else "another refresh is at work", **result)
    return result
