"""Whether progress is fresh and exact, and whether the schedule invokes what keeps it so."""

from handlers.contract import metrics
from handlers.contract.alarms.answers import REFRESH_BLOCKS, REFRESH_CHECKS, function_log, schedule
from handlers.contract.alarms.deployment import chosen, every_refresh
from handlers.contract.alarms.metrics import refresh_metric, schedule_metric
from handlers.contract.alarms.model import (
    DAY_S,
    FIVE_MINUTES_S,
    MINUTE_S,
    AlarmRecord,
    Expression,
    Metric,
    Statistic,
)


def _counted(label: str, metric: Metric, statistic: str) -> Expression:
    """Return a statistic that is 0 in a period without data.

    While data are missing CloudWatch evaluates older periods too, and would ring minutes or days late:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """
    return Expression(
        label=label, formula="FILL(counted, 0)", inputs={"counted": Statistic(metric=metric, statistic=statistic)}
    )


REFRESHES = (
    AlarmRecord(
        name="progress-stale",
        watches=_counted("refreshes that succeeded", refresh_metric(metrics.REFRESH_SUCCEEDED), "Sum"),
        period_s=lambda deployment: deployment.stale_after_s,
        comparison="LessThanThreshold",
        threshold=1,
        unit="refreshes",
        missing_data="breaching",  # no data is the fault itself
        severity="page",
        meaning="No refresh has succeeded for {deployment.stale_after_minutes} minutes; callers see old progress.",
        checks=(
            "connection",
            "proxy",
            *REFRESH_CHECKS,
            *REFRESH_BLOCKS,
            "lock-waits",
            "grants",
            "migrations",
            "indexes",
        ),
        look=function_log("refresh"),
    ),
    AlarmRecord(
        name="progress-lag",
        watches=Statistic(metric=refresh_metric(metrics.PROGRESS_LAG), statistic="Maximum"),
        period_s=every_refresh,
        evaluation_periods=3,
        threshold=lambda deployment: 2 * deployment.refresh_interval_s,
        unit="s",
        missing_data="notBreaching",  # no refresh at all: progress-stale rings
        severity="ticket",
        meaning="Refreshes come late again and again; what callers see is older than it should be.",
        checks=("connection", *REFRESH_CHECKS, "progress-coverage", "lock-waits"),
        sets="lag_s",
    ),
    AlarmRecord(
        name="progress-backlog",
        watches=Statistic(metric=refresh_metric(metrics.PROGRESS_BACKLOG), statistic="Maximum"),
        period_s=every_refresh,
        evaluation_periods=3,
        threshold=chosen("backlog_rows"),
        unit="rows",
        missing_data="notBreaching",  # no refresh at all: progress-stale rings
        severity="ticket",
        meaning="More changes wait to be folded than writers compact; exact reads and refreshes get slower.",
        checks=("connection", *REFRESH_CHECKS, "long-transactions", "idle-in-transaction", "vacuum"),
        sets="backlog_rows",
    ),
    AlarmRecord(
        name="refresh-overrun",
        watches=Statistic(metric=refresh_metric(metrics.REFRESH_DURATION), statistic="Maximum"),
        period_s=every_refresh,
        evaluation_periods=3,
        threshold=lambda deployment: 1000 * deployment.refresh_interval_s / 2,
        unit="ms",
        missing_data="notBreaching",  # no refresh has ended: progress-stale rings
        severity="ticket",
        meaning="A refresh takes more than half of the time until the next; soon progress lags behind.",
        checks=("connection", *REFRESH_CHECKS, "lock-waits", "long-transactions", "vacuum", "migrations"),
    ),
    AlarmRecord(
        name="progress-drift",
        watches=Statistic(metric=refresh_metric(metrics.DRIFTED_JOBS), statistic="Maximum"),
        # A longer period rings again when a later verification without drift leaves the period first.
        period_s=MINUTE_S,
        threshold=1,
        unit="jobs",
        missing_data="ignore",  # the result of the last verification holds until the next
        severity="ticket",
        meaning="The nightly verification found jobs whose progress differs from a full count.",
        checks=("connection", "progress-drift", "triggers", "row-security", "replication"),
        look=function_log("refresh"),
    ),
    AlarmRecord(
        name="verification-missing",
        watches=_counted("verifications that ended", refresh_metric(metrics.DRIFTED_JOBS), "SampleCount"),
        period_s=DAY_S,
        evaluation_periods=2,
        comparison="LessThanThreshold",
        threshold=1,
        unit="verifications",
        missing_data="breaching",  # no data is the fault itself
        severity="ticket",
        meaning="No nightly verification has ended for two days; a drift would go unnoticed.",
        checks=("connection", "progress-drift", "refresh-runs", "triggers", "row-security", "slow-statements"),
        look=schedule("verify"),
    ),
)

SCHEDULE = (
    AlarmRecord(
        name="schedule-dropping",
        watches=Statistic(metric=schedule_metric("InvocationDroppedCount"), statistic="Sum"),
        period_s=FIVE_MINUTES_S,
        threshold=1,
        unit="invocations",
        missing_data="notBreaching",  # nothing dropped, no datum
        severity="ticket",
        meaning="The scheduler gave up an invocation of refresh after its retry.",
        checks=("connection", "progress-age", "refresh-runs"),
        look=schedule("refresh"),
    ),
    AlarmRecord(
        name="schedule-failing",
        watches=Statistic(metric=schedule_metric("TargetErrorCount"), statistic="Sum"),
        period_s=FIVE_MINUTES_S,
        evaluation_periods=3,
        threshold=1,
        unit="invocations",
        missing_data="notBreaching",  # nothing failed, no datum
        severity="ticket",
        meaning="The scheduler cannot invoke refresh: its role, the function or its concurrency is in the way.",
        checks=("connection", "progress-age", "refresh-runs"),
        look=schedule("refresh"),
    ),
)
