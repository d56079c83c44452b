"""What an alarm is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from handlers.contract.alarms.deployment import Deployment

MINUTE_S = 60
FIVE_MINUTES_S = 300
HOUR_S = 3600
DAY_S = 24 * HOUR_S

Comparison = Literal[
    "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"
]
# What a period without a datum counts as; "missing" would keep the alarm from being evaluated.
MissingData = Literal["breaching", "notBreaching", "ignore", "missing"]
# A page wakes the on-call; a ticket waits for the morning.
Severity = Literal["page", "ticket"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A CloudWatch metric. In a record its texts may name facts (`Deployment.complete`)."""

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

    Args:
        label: what the result is, in words.
        formula: in CloudWatch's syntax.
        inputs: the statistics that the formula names.

    """

    label: str
    formula: str
    inputs: Mapping[str, Statistic] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the doctor cannot see in the database, and the command that shows it.

    Args:
        what: in words.
        command: of the AWS CLI; `{prefix}` is how the names of the deployment's resources begin,
            `{database}` its `RdsDatabase`.
        function: set where `scannerdb logs FUNCTION` shows the same.

    """

    what: str
    command: str
    function: str = ""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A message without a metric: AWS announces a failover or maintenance, or an outage has begun.

    Args:
        name: what follows the deployment's prefix; also the section of the runbook and what `scannerdb doctor` takes.
        meaning: in one or two sentences.
        checks: the doctor's checks that answer it; empty: all of them.
        look: what to look at besides.

    """

    name: str
    meaning: str
    checks: tuple[str, ...]
    look: Look


@dataclass(frozen=True, kw_only=True)
class _Described:
    """The fields that a record and an alarm have in common.

    Args:
        name: what follows the deployment's prefix; also the section of the runbook and what `scannerdb doctor` takes.
        watches: the value that is compared.
        evaluation_periods: how many periods are looked at.
        datapoints_to_alarm: how many of them must be over the threshold; `None`: all.
        comparison: how the value compares with the threshold when the alarm rings.
        unit: of the value, for people.
        missing_data: what a period without a datum counts as.
        severity: whether the on-call is woken up.
        meaning: what it means to users, in one or two sentences.

    """

    name: str
    watches: Statistic | Expression
    evaluation_periods: int = 1
    datapoints_to_alarm: int | None = None
    comparison: Comparison = "GreaterThanOrEqualToThreshold"
    unit: str
    missing_data: MissingData
    severity: Severity
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Alarm(_Described):
    """One alarm of one deployment.

    Args:
        period_s: seconds of one datum.
        threshold: in `unit`.

    """

    period_s: int
    threshold: float

    def metrics(self) -> tuple[Metric, ...]:
        """Return the metrics that are watched; none for a query, which finds its own."""
        inputs = [self.watches] if isinstance(self.watches, Statistic) else self.watches.inputs.values()
        return tuple(each.metric for each in inputs)


@dataclass(frozen=True, kw_only=True)
class AlarmRecord(_Described):
    """All that the system knows of an alarm: what is measured, when it rings, what it means, what answers it.

    Args:
        period_s: seconds of one datum, or a function of the deployment.
        threshold: in `unit`, or a function of the deployment.
        checks: the doctor's checks that answer it, by their names in `handlers/diagnosis/checks.py`.
        look: what to look at besides; `None` where the database shows everything.
        sets: the field of `Thresholds` that the doctor takes from this alarm's threshold.
        is_for: whether a deployment has this alarm; `None`: each has it.

    """

    period_s: int | Callable[[Deployment], int]
    threshold: float | Callable[[Deployment], float]
    checks: tuple[str, ...]
    look: Look | None = None
    sets: str | None = None
    is_for: Callable[[Deployment], bool] | None = None

    def of(self, deployment: Deployment) -> Alarm:
        """Return the alarm of one deployment."""
        return Alarm(
            **{each.name: deployment.complete(getattr(self, each.name)) for each in fields(_Described)},
            period_s=self.period_s(deployment) if callable(self.period_s) else self.period_s,
            threshold=self.threshold(deployment) if callable(self.threshold) else self.threshold,
        )
