"""Stores data by metric and time, and computes their statistics for each period, as CloudWatch does."""

import bisect
import itertools
import math
import re
import statistics
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from handlers.contract.alarms.model import Metric, Statistic

Key = tuple[str, str, frozenset[tuple[str, str]]]
PERCENTILE = re.compile(r"p(\d+(?:\.\d+)?)")
STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Average": statistics.fmean,
    "Minimum": min,
    "Maximum": max,
    "SampleCount": len,
}


@dataclass(frozen=True, kw_only=True)
class Datum:
    """One value of a metric.

    Args:
        namespace, name, dimensions: the metric; another set of dimensions is another metric.
        value: in the metric's unit.
        at_s: seconds of the alarms' time.

    """

    namespace: str
    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)
    value: float
    at_s: float

    @classmethod
    def of(cls, metric: Metric, value: float, *, at_s: float) -> Self:
        """Return a value of a metric of the catalogue."""
        return cls(namespace=metric.namespace, name=metric.name, dimensions=metric.dimensions, value=value, at_s=at_s)

    @property
    def key(self) -> Key:
        """What identifies its metric."""
        return self.namespace, self.name, frozenset(self.dimensions.items())


def key_of(metric: Metric) -> Key:
    """Return what identifies a metric."""
    return metric.namespace, metric.name, frozenset(metric.dimensions.items())


def statistic(values: Sequence[float], name: str) -> float | None:
    """Return one statistic of a period's values; `None` when there are none.

    Percentiles are by nearest rank: "Statistics definitions" in CloudWatch's guide does not document interpolation.

    Raises:
        ValueError: the statistic is not supported here.

    """
    if not values:
        return None
    if percentile := PERCENTILE.fullmatch(name):
        rank = math.ceil(float(percentile[1]) / 100 * len(values))
        return sorted(values)[max(rank, 1) - 1]
    if name not in STATISTICS:
        raise ValueError(f"statistic {name!r} is not known here")
    return float(STATISTICS[name](values))


class MetricStore:
    """The data of all metrics; safe for several threads."""

    def __init__(self) -> None:
        self._data: dict[Key, list[tuple[float, float]]] = defaultdict(list)
        self._lock = threading.Lock()

    def add(self, datum: Datum) -> None:
        """Keep one datum."""
        with self._lock:
            bisect.insort(self._data[datum.key], (datum.at_s, datum.value))

    def dump(self) -> list[dict[str, Any]]:
        """Return all data as JSON values, each series with its time in seconds and its value."""
        with self._lock:
            return [
                {
                    "namespace": namespace,
                    "name": name,
                    "dimensions": dict(sorted(dimensions)),
                    "data": [[round(at_s, 1), round(value, 3)] for at_s, value in data],
                }
                for (namespace, name, dimensions), data in self._data.items()
            ]

    def load(self, dumped: Iterable[Mapping[str, Any]]) -> None:
        """Add what `dump` returned."""
        for series in dumped:
            metric = {name: series[name] for name in ("namespace", "name", "dimensions")}
            for at_s, value in series["data"]:
                self.add(Datum(**metric, value=value, at_s=at_s))

    def has(self, metric: Metric) -> bool:
        """Return whether a metric has ever had a datum."""
        with self._lock:
            return bool(self._data.get(key_of(metric)))

    def values(self, metric: Metric, start_s: float, end_s: float) -> list[float]:
        """Return the values at or after `start_s` and before `end_s`."""
        with self._lock:
            data = self._data.get(key_of(metric), [])
            first, last = (bisect.bisect_left(data, (edge_s, -math.inf)) for edge_s in (start_s, end_s))
            return [value for _, value in data[first:last]]

    def series(self, watched: Statistic, *, period_s: float, periods: int, now_s: float) -> list[float | None]:
        """Return a statistic of the last periods, the oldest first.

        The last period ends now: "the boundaries of the window are not aligned to the wall clock" ("Alarm evaluation"
        in CloudWatch's guide).
        """
        edges = [now_s - period_s * number for number in range(periods, -1, -1)]
        return [
            statistic(self.values(watched.metric, start_s, end_s), watched.statistic)
            for start_s, end_s in itertools.pairwise(edges)
        ]
