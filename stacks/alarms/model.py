"""What an alarm is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Comparison = Literal[
    "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"
]
MINUTE_S = 60
FIVE_MINUTES_S = 300
HOUR_S = 3600
DAY_S = 24 * HOUR_S

# What a period without a datum says; "missing" would keep the alarm from being evaluated.
MissingData = Literal["breaching", "notBreaching", "ignore", "missing"]
# A page wakes somebody up; a ticket waits for the morning.
Severity = Literal["page", "ticket"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A CloudWatch metric."""

    namespace: str
    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One statistic of a metric in each period, such as `Sum` or `p90`."""

    metric: Metric
    statistic: str


@dataclass(frozen=True, kw_only=True)
class Expression:
    """Metric math over statistics by their id, or a Metrics Insights query, which names its metrics itself.

    The label says in words what comes out.
    """

    label: str
    formula: str
    inputs: Mapping[str, Statistic] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One alarm: it rings when `datapoints_to_alarm` of the last `evaluation_periods` periods are over the threshold.

    Args:
        name: what follows the deployment's prefix; also the section of the runbook and what `scannerdb doctor` takes.
        watches: the value that is compared.
        period_s: seconds of one datum.
        evaluation_periods: how many periods are looked at.
        datapoints_to_alarm: how many of them must be over the threshold; none: all.
        comparison: how the value compares with the threshold when it is too much or too little.
        threshold: in `unit`.
        unit: of the value, for people.
        missing_data: what a period without a datum says.
        severity: whether somebody is woken up.
        meaning: what it means to users, in one or two sentences.

    """

    name: str
    watches: Statistic | Expression
    period_s: int
    evaluation_periods: int = 1
    datapoints_to_alarm: int | None = None
    comparison: Comparison = "GreaterThanOrEqualToThreshold"
    threshold: float
    unit: str
    missing_data: MissingData
    severity: Severity
    meaning: str

    def metrics(self) -> tuple[Metric, ...]:
        """Return the metrics that are watched; none for a query, which finds its own."""
        inputs = [self.watches] if isinstance(self.watches, Statistic) else self.watches.inputs.values()
        return tuple(each.metric for each in inputs)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something that AWS announces, without a metric: a failover, maintenance, the end of a certificate's life."""

    name: str
    meaning: str
