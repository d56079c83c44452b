"""Lambda `refresh`: keeps job_progress up to date as `progress_refresher`, verifies it at night, mends it on demand."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import progress
from handlers.connection import Database
from handlers.errors import InvalidRequestError
from handlers.telemetry import logger, metrics

# A little more than the statement_timeout of progress_refresher.
database = Database(query_timeout_s=285)
# More would not fit into a log line, and the first are enough to begin with.
MAX_LISTED_JOBS = 20


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Do what `event["action"]` says: `refresh` (the default), `verify` or `rebuild`.

    The result says what was done; an error fails the invocation, which the alarms count.

    Raises:
        InvalidRequestError: the action is none of these.

    """
    match event.get("action", "refresh"):
        case "refresh":
            return _refresh()
        case "verify":
            return _verify()
        case "rebuild":
            return _rebuild()
        case action:
            raise InvalidRequestError("invalid_action", f"action {action!r} is not refresh, verify or rebuild")


def _refresh() -> dict[str, Any]:
    result = progress.refresh(database)
    # Also when another refresh is at work: one that hangs must not hide how far it lags behind.
    metrics.add_metric("ProgressBacklog", MetricUnit.Count, result["backlog_rows"])
    if result["lag_s"] is not None:
        metrics.add_metric("ProgressLag", MetricUnit.Seconds, result["lag_s"])
    if result["refreshed"]:
        metrics.add_metric("RefreshSucceeded", MetricUnit.Count, 1)
        metrics.add_metric("RefreshDuration", MetricUnit.Milliseconds, result["duration_ms"])
        metrics.add_metric("FoldedRows", MetricUnit.Count, result["folded_rows"])
        metrics.add_metric("Jobs", MetricUnit.Count, result["jobs"])
        metrics.add_metric("Objects", MetricUnit.Count, result["objects"])
    else:
        metrics.add_metric("RefreshSkipped", MetricUnit.Count, 1)
    logger.info("refreshed" if result["refreshed"] else "another refresh is at work", **result)
    return result


def _verify() -> dict[str, Any]:
    drifted = progress.verify(database)
    metrics.add_metric("DriftedJobs", MetricUnit.Count, len(drifted))
    listed = [str(row["job_id"]) for row in drifted[:MAX_LISTED_JOBS]]
    result: dict[str, Any] = {"drifted_jobs": len(drifted), "job_ids": listed}
    if drifted:
        logger.warning("job progress has drifted; invoke refresh with the action rebuild", **result)
    else:
        logger.info("job progress is exact", **result)
    return result


def _rebuild() -> dict[str, Any]:
    mended = progress.rebuild(database)
    metrics.add_metric("MendedJobs", MetricUnit.Count, mended)
    logger.info("rebuilt", mended_jobs=mended)
    return {"mended_jobs": mended}
