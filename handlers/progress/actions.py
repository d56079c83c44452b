"""The actions of the function `refresh`: maintenance, with the metrics and log lines that the alarms watch."""

import time
from datetime import timedelta
from typing import Any

import psycopg2
from aws_lambda_powertools.metrics import MetricUnit

from handlers.connection import Rows
from handlers.contract import metrics as names
from handlers.contract.events import RefreshAction
from handlers.contract.timeouts import PROXY_PATIENCE_S
from handlers.errors import DatabaseUnavailableError, InvalidRequestError
from handlers.progress import maintenance, retirement
from handlers.telemetry import logger, metrics

PROXY_POLL_INTERVAL_S = 5
# A verification counts so many in a second or two; a deploy should not wait for more.
MOST_OBJECTS_VERIFIED_AT_DEPLOY = 1_000_000
# A log line holds no more than that, and the first are enough to begin with.
MAX_LISTED_JOBS = 20
# A retirement stops after the batch that ends later than this, long before the function's time is up. The next goes on.
RETIRE_FOR_S = 240


def run_action(database: Rows, action: str, *, older_than_days: object = None) -> dict[str, Any]:
    """Run one of `RefreshAction` and return what it did.

    Args:
        database: a connection as `progress_refresher`.
        action: its name.
        older_than_days: of `retire`: a whole number of days, 1 at least.

    Raises:
        InvalidRequestError: the action is unknown, or has no age and needs one.
        DatabaseUnavailableError: the database cannot be reached; `await_proxy` returns it.

    """
    match action:
        case RefreshAction.REFRESH:
            return _refresh(database)
        case RefreshAction.VERIFY:
            return _verify(database)
        case RefreshAction.REBUILD:
            return _rebuild(database)
        case RefreshAction.AFTER_DEPLOY:
            return _after_deploy(database)
        case RefreshAction.AWAIT_PROXY:
            return _await_proxy(database)
        case RefreshAction.RETIRE:
            return _retire(database, older_than_days)
        case _:
            raise InvalidRequestError("invalid_action", f"action {action!r} is none of {', '.join(RefreshAction)}")


def _refresh(database: Rows) -> dict[str, Any]:
    # First, because a refresh that waits or fails must not keep these metrics back: they show why.
    _measure_sessions(database)
    _warn_of_older_objects(database)
    result = maintenance.refresh(database)
    # Also while another refresh is running: one that hangs must not hide the lag.
    metrics.add_metric(names.PROGRESS_BACKLOG, MetricUnit.Count, result["backlog_rows"])
    if result["lag_s"] is not None:
        metrics.add_metric(names.PROGRESS_LAG, MetricUnit.Seconds, result["lag_s"])
    if result["refreshed"]:
        metrics.add_metric(names.REFRESH_SUCCEEDED, MetricUnit.Count, 1)
        metrics.add_metric(names.REFRESH_DURATION, MetricUnit.Milliseconds, result["duration_ms"])
        metrics.add_metric(names.FOLDED_ROWS, MetricUnit.Count, result["folded_rows"])
        metrics.add_metric(names.JOBS, MetricUnit.Count, result["jobs"])
        metrics.add_metric(names.OBJECTS, MetricUnit.Count, result["objects"])
    else:
        metrics.add_metric(names.REFRESH_SKIPPED, MetricUnit.Count, 1)
    logger.info("refreshed" if result["refreshed"] else "another refresh is running", **result)
    return result


def _after_deploy(database: Rows) -> dict[str, Any]:
    """Refresh once the proxy serves, and verify where that is quick, so that no alarm misses its first datum."""
    patient_until = time.monotonic() + PROXY_PATIENCE_S
    while True:
        try:
            result = _refresh(database)
            break
        except DatabaseUnavailableError as unavailable:
            if time.monotonic() > patient_until:
                raise
            logger.info("the proxy does not serve yet", reason=str(unavailable))
            time.sleep(PROXY_POLL_INTERVAL_S)
    if result["refreshed"] and result["objects"] <= MOST_OBJECTS_VERIFIED_AT_DEPLOY:
        result |= _verify(database)
    return result


def _await_proxy(database: Rows) -> dict[str, Any]:
    """Do what a deploy ends with; return an error instead of raising it, because alarms are made after this."""
    try:
        return _after_deploy(database)
    except (DatabaseUnavailableError, psycopg2.Error) as error:
        reason = str(error).strip()
        logger.warning("not refreshed; the deploy goes on and tries again", reason=reason)
        return {"refreshed": False, "reason": reason}


def _measure_sessions(database: Rows) -> None:
    try:
        measured = maintenance.measure_sessions(database)
    except psycopg2.Error as error:  # a measurement that fails must not stop the refresh
        logger.warning("the sessions were not measured", reason=str(error).strip())
        return
    if measured is not None:
        metrics.add_metric(names.LONGEST_LOCK_WAIT, MetricUnit.Seconds, measured["longest_lock_wait_s"])
        metrics.add_metric(names.OLDEST_TRANSACTION_AGE, MetricUnit.Seconds, measured["oldest_transaction_age_s"])


def _warn_of_older_objects(database: Rows) -> None:
    if advice := maintenance.restore_advice(database):
        logger.warning(advice)


def _verify(database: Rows) -> dict[str, Any]:
    _warn_of_older_objects(database)
    drifted = maintenance.verify(database)
    metrics.add_metric(names.DRIFTED_JOBS, MetricUnit.Count, len(drifted))
    listed = [str(row["job_id"]) for row in drifted[:MAX_LISTED_JOBS]]
    result: dict[str, Any] = {"drifted_jobs": len(drifted), "job_ids": listed}
    if drifted:
        logger.warning("job progress has drifted; invoke refresh with the action rebuild", **result)
    else:
        logger.info("job progress is exact", **result)
    return result


def _rebuild(database: Rows) -> dict[str, Any]:
    mended = maintenance.rebuild(database)
    metrics.add_metric(names.MENDED_JOBS, MetricUnit.Count, mended)
    logger.info("rebuilt", mended_jobs=mended)
    return {"mended_jobs": mended}


def _retire(database: Rows, older_than_days: object) -> dict[str, Any]:
    if type(older_than_days) is not int or older_than_days < 1:
        message = f"older_than_days is {older_than_days!r}; retire needs a whole number of days, 1 at least"
        raise InvalidRequestError("invalid_older_than_days", message)
    until = time.monotonic() + RETIRE_FOR_S
    older_than = timedelta(days=older_than_days)
    jobs, tally = retirement.list_retirable(database, older_than), retirement.Tally()
    for batch in retirement.retire(database, jobs, older_than):
        tally.add(batch)
        if time.monotonic() > until:
            break
    result: dict[str, Any] = {
        "retired_jobs": tally.jobs,
        "deleted_objects": tally.objects,
        "deleted_findings": tally.findings,
        "kept_jobs": list(tally.kept)[:MAX_LISTED_JOBS],
        "left_jobs": len(jobs) - tally.jobs - len(tally.kept),
    }
    metrics.add_metric(names.RETIRED_JOBS, MetricUnit.Count, tally.jobs)
    metrics.add_metric(names.RETIRED_ROWS, MetricUnit.Count, tally.objects + tally.findings)
    logger.info("retired", **result)
    return result
