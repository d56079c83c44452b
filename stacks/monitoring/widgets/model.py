"""What the dashboard is made of."""

from dataclasses import dataclass, replace

from handlers.contract.alarms.deployment import Deployment
from handlers.contract.alarms.model import MINUTE_S, AlarmRecord, Metric, Statistic
from stacks.monitoring.log_queries import LogQuery


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a graph."""

    watches: Statistic
    period_s: int = MINUTE_S
    on_the_right: bool = False

    def of(self, deployment: Deployment) -> "Series":
        """Return the series of one deployment."""
        return replace(self, watches=self.watches.of(deployment))


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A horizontal line that is no threshold, such as the highest possible value."""

    label: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A graph of alarms' values with their thresholds, and of what helps to read them."""

    title: str
    alarms: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LogTable:
    """The answer to a question to the logs."""

    title: str
    query: LogQuery


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, and rows of widgets that share the width evenly.

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
