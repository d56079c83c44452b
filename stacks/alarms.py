"""The alarms, as data: what is measured, when it is too much, what that means, and where the runbook answers it.

`alarm_resources.py` turns them into resources. A threshold's unit is the metric's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from stacks.settings import Settings

Comparison = Literal[
    "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"
]
# What a period without a datum says; "missing" would keep the alarm as it was.
MissingData = Literal["breaching", "notBreaching", "ignore", "missing"]
# A page wakes somebody up; a ticket waits for the morning.
Severity = Literal["page", "ticket"]

FIVE_MINUTES_S = 300
ONE_HOUR_S = 3600


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A CloudWatch metric."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One alarm. `evaluation_periods` periods in a row must be over the threshold."""

    name: str
    metric: Metric
    statistic: str
    period_s: int
    evaluation_periods: int = 1
    comparison: Comparison = "GreaterThanOrEqualToThreshold"
    threshold: float
    missing_data: MissingData
    severity: Severity
    meaning: str

    @property
    def runbook_section(self) -> str:
        """The heading's anchor in the runbook."""
        return self.name


def slow_query_metric(settings: Settings) -> Metric:
    """Return the metric that the database's log is turned into: the milliseconds of each slow statement.

    A filter's metric takes no constant dimension, so the environment is in the namespace.
    """
    namespace = f"ScannerDatabase/{settings.environment}"
    return Metric(namespace=namespace, name="SlowQueryDuration", dimensions={})


def catalogue(settings: Settings, *, api_id: str) -> tuple[Alarm, ...]:
    """Return the alarms of one deployment."""
    prefix, interval_s = settings.prefix, 60 * settings.schedule.refresh_minutes
    refresh, migrate = f"{prefix}-refresh", f"{prefix}-migrate"
    stale_minutes = 3 * settings.schedule.refresh_minutes
    return (
        Alarm(
            name="slow-queries",
            metric=slow_query_metric(settings),
            statistic="SampleCount",
            period_s=FIVE_MINUTES_S,
            threshold=settings.alarms.slow_queries,
            missing_data="notBreaching",  # no slow statement, no line, no datum
            severity="ticket",
            meaning=f"Statements take longer than {settings.database.log_min_duration_ms} ms; status reads may wait.",
        ),
        Alarm(
            name="refresh-failing",
            metric=Metric(namespace="AWS/Lambda", name="Errors", dimensions={"FunctionName": refresh}),
            statistic="Sum",
            period_s=interval_s,
            evaluation_periods=3,
            threshold=1,
            missing_data="notBreaching",  # not invoked at all: progress-stale tells
            severity="ticket",
            meaning="Three refreshes in a row raised an error; cached progress grows old.",
        ),
        Alarm(
            name="progress-stale",
            metric=Metric(namespace="ScannerDatabase", name="RefreshSucceeded", dimensions={"service": refresh}),
            statistic="Sum",
            period_s=60 * stale_minutes,
            comparison="LessThanThreshold",
            threshold=1,
            missing_data="breaching",  # silence is the very fault that this is about
            severity="page",
            meaning=f"No refresh has succeeded for {stale_minutes} minutes; callers see old progress.",
        ),
        Alarm(
            name="progress-drift",
            metric=Metric(namespace="ScannerDatabase", name="DriftedJobs", dimensions={"service": refresh}),
            statistic="Maximum",
            period_s=ONE_HOUR_S,
            threshold=1,
            missing_data="ignore",  # what the last verification said holds until the next
            severity="ticket",
            meaning="The nightly verification found jobs whose progress differs from a full count.",
        ),
        Alarm(
            name="api-errors",
            metric=Metric(namespace="AWS/ApiGateway", name="5xx", dimensions={"ApiId": api_id}),
            statistic="Sum",
            period_s=FIVE_MINUTES_S,
            threshold=settings.alarms.api_errors,
            missing_data="notBreaching",  # no request, no error
            severity="page",
            meaning="The status API answers with 5xx; callers do not get their progress.",
        ),
        Alarm(
            name="migration-failed",
            metric=Metric(namespace="AWS/Lambda", name="Errors", dimensions={"FunctionName": migrate}),
            statistic="Sum",
            period_s=FIVE_MINUTES_S,
            threshold=1,
            missing_data="notBreaching",  # it runs in deployments only
            severity="ticket",
            meaning="A migration failed and its deployment stopped; the code in service is the old one.",
        ),
    )
