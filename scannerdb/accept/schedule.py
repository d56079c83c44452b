"""Whether the schedules invoke `refresh`."""

import datetime as dt
from collections.abc import Iterator

from handlers.contract.alarms.metrics import schedule_metric
from handlers.contract.timeouts import STALE_AFTER_INTERVALS
from scannerdb.checks.model import Answer, Check, Context, ok, refused, warning
from stacks.alarms import facts

SCHEDULES = ("refresh", "verify")
# As EventBridge Scheduler counts them:
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
ATTEMPTS = "InvocationAttemptCount"
FAILURES = ("TargetErrorCount", "InvocationDroppedCount")
PERIOD_S = 60


def _enabled(context: Context) -> Iterator[Answer]:
    prefix = context.settings.prefix
    for name in SCHEDULES:
        schedule = context.aws("scheduler").get_schedule(GroupName=prefix, Name=f"{prefix}-{name}")
        seen = f"{name}: {schedule['State']}, {schedule['ScheduleExpression']}"
        yield ok(seen) if schedule["State"] == "ENABLED" else refused(seen, next="deploy again")


def _last_run(context: Context) -> Iterator[Answer]:
    """Ask for the scheduler's own metrics: a refresh in the log may be another caller's."""
    interval_s = context.settings.schedule.refresh_interval_s
    names = (ATTEMPTS, *FAILURES)
    now = context.now
    answer = context.aws("cloudwatch").get_metric_data(
        MetricDataQueries=[_query(context, name, f"m{number}") for number, name in enumerate(names)],
        StartTime=now - dt.timedelta(seconds=STALE_AFTER_INTERVALS * interval_s),
        EndTime=now,
        ScanBy="TimestampDescending",
    )
    results = {names[int(each["Id"][1:])]: each for each in answer["MetricDataResults"]}
    if failed := [f"{name} {sum(results[name]['Values']):.0f}" for name in FAILURES if sum(results[name]["Values"])]:
        yield refused(
            f"the scheduler could not invoke refresh: {', '.join(failed)}", next="scannerdb doctor schedule-failing"
        )
    elif times := results[ATTEMPTS]["Timestamps"]:
        yield ok(f"{(now - times[0]).total_seconds() / 60:.0f} min ago, every {interval_s // 60} min")
    else:
        yield warning(
            f"none in {STALE_AFTER_INTERVALS * interval_s // 60} min",
            next="ask again when two intervals have passed since the deploy; then scannerdb doctor progress-stale",
        )


def _query(context: Context, name: str, id_: str) -> dict[str, object]:
    metric = facts(context.settings).complete(schedule_metric(name))
    dimensions = [{"Name": key, "Value": value} for key, value in metric.dimensions.items()]
    named = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
    return {"Id": id_, "MetricStat": {"Metric": named, "Period": PERIOD_S, "Stat": "Sum"}}


SCHEDULE = (
    Check(name="schedules", asked="schedules", ask=_enabled),
    Check(name="last-run", asked="last run of the schedule", ask=_last_run),
)
