"""What the dashboard is made of."""

from dataclasses import dataclass

from stacks.alarms.model import MINUTE_S, Metric, Statistic
from stacks.monitoring.log_queries import LogQuery


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a graph."""

    watches: Statistic
    period_s: int = MINUTE_S
    on_the_right: bool = False


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A horizontal line that is no threshold: what is the most that can be."""

    label: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A graph of alarms' values with their thresholds, and of what helps to read them."""

    title: str
    alarms: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LogTable:
    """The answer to a question to the logs."""

    title: str
    query: LogQuery


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, and rows of widgets that share the width evenly."""

    heading: str
    rows: tuple[tuple[Graph | LogTable, ...], ...]


def line(metric: Metric, statistic: str, *, period_s: int = MINUTE_S, on_the_right: bool = False) -> Line:
    """Return one statistic of a metric, over a minute unless it is said otherwise."""
    watches = Statistic(metric=metric, statistic=statistic)
    return Line(watches=watches, period_s=period_s, on_the_right=on_the_right)
