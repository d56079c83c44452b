"""What the dashboard is made of."""

from dataclasses import dataclass

from handlers.contract.alarms.model import MINUTE_S, AlarmRecord, Expression, Metric, Statistic
from stacks.monitoring.log_queries import LogQuery


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a graph."""

    watches: Statistic | Expression
    period_s: int = MINUTE_S
    on_the_right: bool = False


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A horizontal line that is no threshold, such as the highest possible value."""

    label: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A graph of alarms' values with their thresholds, and of what helps to read them.

    Args:
        title: with the unit in which the values are drawn; with `, %` in it the axis ends at 100.
        alarms: the names of those that it explains; they share a unit.
        series: drawn besides.
        marks: lines that are no thresholds, in the unit of the metrics.
        divisor: what each value on the left axis is divided by; `None`: as the unit of the alarms asks.

    """

    title: str
    alarms: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()
    marks: tuple[Mark, ...] = ()
    divisor: float | None = None


@dataclass(frozen=True, kw_only=True)
class Number:
    """The newest value of what an alarm compares.

    Args:
        title: with the unit.
        alarm: its name.
        label: of the value, shorter than the title.

    """

    title: str
    alarm: str
    label: str


@dataclass(frozen=True, kw_only=True)
class LogTable:
    """The answer to a question to the logs."""

    title: str
    query: LogQuery


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, and rows of widgets that share the width; what pages has twice the width of the others.

    Args:
        heading: above the rows.
        rows: from top to bottom.
        records: the alarms that get a graph at the end of this section unless another graph draws them.

    """

    heading: str
    rows: tuple[tuple[Graph | LogTable, ...], ...]
    records: tuple[AlarmRecord, ...]


def series(metric: Metric, statistic: str, *, period_s: int = MINUTE_S, on_the_right: bool = False) -> Series:
    """Return one statistic of a metric, over a minute by default."""
    watches = Statistic(metric=metric, statistic=statistic)
    return Series(watches=watches, period_s=period_s, on_the_right=on_the_right)
