"""Lambda `refresh`: keeps job_progress up to date as `progress_refresher`, verifies it at night, mends it on demand."""

import time
from typing import Any

import psycopg2
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import progress
from handlers.connection import Database
from handlers.errors import DatabaseUnavailableError, InvalidRequestError
from handlers.telemetry import logger, metrics

# A little more than the statement_timeout of progress_refresher.
database = Database(query_timeout_s=285)
# The target of a new proxy takes minutes until it serves, and Terraform does not wait for that.
PROXY_PATIENCE_S = 180
PROXY_POLL_INTERVAL_S = 5
# What a verification counts in a second or two; a deploy should not wait for more.
MOST_OBJECTS_VERIFIED_AT_DEPLOY = 1_000_000
# More would not fit into a log line, and the first are enough to begin with.
MAX_LISTED_JOBS = 20


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Do what `event["action"]` says: `refresh` (the default), `verify`, `rebuild`, or `after_deploy`.

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
        case "after_deploy":
            return _after_deploy()
        case action:
            message = f"action {action!r} is none of refresh, verify, rebuild, after_deploy"
            raise InvalidRequestError("invalid_action", message)


def _refresh() -> dict[str, Any]:
    # Before the refresh, which may be the one that waits or fails: what keeps it gets out all the same.
    _measure_sessions()
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


def _after_deploy() -> dict[str, Any]:
    """Refresh once the proxy serves, and verify if that is quickly done, so that no alarm misses its first datum."""
    patient_until = time.monotonic() + PROXY_PATIENCE_S
    while True:
        try:
            result = _refresh()
            break
        except DatabaseUnavailableError as unavailable:
            if time.monotonic() > patient_until:
                raise
            logger.info("the proxy does not serve yet", reason=str(unavailable))
            time.sleep(PROXY_POLL_INTERVAL_S)
    if result["refreshed"] and result["objects"] <= MOST_OBJECTS_VERIFIED_AT_DEPLOY:
        result |= _verify()
    return result


def _measure_sessions() -> None:
    try:
        measured = progress.measure_sessions(database)
    except psycopg2.Error as error:  # a measurement is no reason not to refresh
        logger.warning("the sessions were not measured", reason=str(error).strip())
        return
    if measured is not None:
        metrics.add_metric("LongestLockWait", MetricUnit.Seconds, measured["longest_lock_wait_s"])
        metrics.add_metric("OldestTransactionAge", MetricUnit.Seconds, measured["oldest_transaction_age_s"])


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
