"""Statistics of the samples of one measurement."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of samples."""

    median: float
    p25: float
    p75: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of one or more samples."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        p25, median, p75 = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, p25, p75)

    @classmethod
    def of_ratios(cls, above: Sequence[float], below: Sequence[float]) -> Self:
        """Return the spread of the ratios of paired samples."""
        return cls.of([one / other for one, other in zip(above, below, strict=True)])

    def __str__(self) -> str:
        """Return all three, for a table."""
        return f"{short(self.median)} ({short(self.p25)}-{short(self.p75)})"


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile of the samples by nearest rank."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def slope(ages: Sequence[float], values: Sequence[float]) -> float:
    """Return how much the values grow with each unit of age: the slope of the least-squares line."""
    return statistics.linear_regression(ages, values).slope if len(set(ages)) > 1 else 0.0


def time_ms(action: Callable[[], object]) -> float:
    """Return how many milliseconds an action takes."""
    started_s = time.perf_counter()
    action()
    return (time.perf_counter() - started_s) * 1000


def short(value: float) -> str:
    """Return a number as text with about three significant digits."""
    magnitude = abs(value)
    digits = 3 if magnitude < 0.1 else 2 if magnitude < 10 else 1 if magnitude < 100 else 0  # noqa: PLR2004
    return f"{value:,.{digits}f}"
