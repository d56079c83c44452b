"""Whether progress is fresh and exact."""

from stacks.alarms.metrics import refresh_metric, schedule_metric
from stacks.alarms.model import DAY_S, FIVE_MINUTES_S, MINUTE_S, Alarm, Expression, Metric, Statistic
from stacks.settings import Settings


def progress(settings: Settings) -> tuple[Alarm, ...]:
    """Return the alarms of refreshes and verifications."""
    interval_s = MINUTE_S * settings.schedule.refresh_minutes
    stale_minutes = 3 * settings.schedule.refresh_minutes
    return (
        Alarm(
            name="progress-stale",
            watches=_counted("refreshes that succeeded", refresh_metric(settings, "RefreshSucceeded"), "Sum"),
            period_s=MINUTE_S * stale_minutes,
            comparison="LessThanThreshold",
            threshold=1,
            unit="refreshes",
            missing_data="breaching",  # silence is the very fault that this is about
            severity="page",
            meaning=f"No refresh has succeeded for {stale_minutes} minutes; callers see old progress.",
        ),
        Alarm(
            name="progress-lag",
            watches=Statistic(metric=refresh_metric(settings, "ProgressLag"), statistic="Maximum"),
            period_s=interval_s,
            evaluation_periods=3,
            threshold=2 * interval_s,
            unit="s",
            missing_data="notBreaching",  # no refresh at all: progress-stale tells
            severity="ticket",
            meaning="Refreshes come late again and again; what callers see is older than it should be.",
        ),
        Alarm(
            name="progress-backlog",
            watches=Statistic(metric=refresh_metric(settings, "ProgressBacklog"), statistic="Maximum"),
            period_s=interval_s,
            evaluation_periods=3,
            threshold=settings.alarms.backlog_rows,
            unit="rows",
            missing_data="notBreaching",  # no refresh at all: progress-stale tells
            severity="ticket",
            meaning="More changes wait to be folded than writers compact; exact reads and refreshes get slower.",
        ),
        Alarm(
            name="refresh-overrun",
            watches=Statistic(metric=refresh_metric(settings, "RefreshDuration"), statistic="Maximum"),
            period_s=interval_s,
            evaluation_periods=3,
            threshold=1000 * interval_s / 2,
            unit="ms",
            missing_data="notBreaching",  # no refresh has ended: progress-stale tells
            severity="ticket",
            meaning="A refresh takes more than half of the time until the next; soon progress lags behind.",
        ),
        Alarm(
            name="progress-drift",
            watches=Statistic(metric=refresh_metric(settings, "DriftedJobs"), statistic="Maximum"),
            # A longer period would ring once more when the verification that found nothing leaves it first.
            period_s=MINUTE_S,
            threshold=1,
            unit="jobs",
            missing_data="ignore",  # what the last verification said holds until the next
            severity="ticket",
            meaning="The nightly verification found jobs whose progress differs from a full count.",
        ),
        Alarm(
            name="verification-missing",
            watches=_counted("verifications that ended", refresh_metric(settings, "DriftedJobs"), "SampleCount"),
            period_s=DAY_S,
            evaluation_periods=2,
            comparison="LessThanThreshold",
            threshold=1,
            unit="verifications",
            missing_data="breaching",  # that none came is what this is about
            severity="ticket",
            meaning="No nightly verification has ended for two days; a drift would go unnoticed.",
        ),
    )


def _counted(label: str, metric: Metric, statistic: str) -> Expression:
    """Return a statistic whose silence is zero at once.

    CloudWatch looks at more periods than it was told to while data are missing, and would ring minutes or days later:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """
    return Expression(
        label=label, formula="FILL(counted, 0)", inputs={"counted": Statistic(metric=metric, statistic=statistic)}
    )


def schedule(settings: Settings) -> tuple[Alarm, ...]:
    """Return the alarms of EventBridge Scheduler."""
    return (
        Alarm(
            name="schedule-dropping",
            watches=Statistic(metric=schedule_metric(settings, "InvocationDroppedCount"), statistic="Sum"),
            period_s=FIVE_MINUTES_S,
            threshold=1,
            unit="invocations",
            missing_data="notBreaching",  # nothing dropped, no datum
            severity="ticket",
            meaning="The scheduler gave up an invocation of refresh after its retry.",
        ),
        Alarm(
            name="schedule-failing",
            watches=Statistic(metric=schedule_metric(settings, "TargetErrorCount"), statistic="Sum"),
            period_s=FIVE_MINUTES_S,
            evaluation_periods=3,
            threshold=1,
            unit="invocations",
            missing_data="notBreaching",  # nothing failed, no datum
            severity="ticket",
            meaning="The scheduler cannot invoke refresh: its role, the function or its concurrency is in the way.",
        ),
    )
