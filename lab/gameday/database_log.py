"""Reads metrics from the database's real log with the filter patterns of the stack.

The embedded server writes RDS's line prefix. Each line is one log event; the tests of the patterns also try entries of
several lines.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from handlers.contract.alarms.model import Metric
from lab.emulator.filter_pattern import FilterPattern, Reading, parse
from lab.gameday.clock import Clock
from lab.gameday.function_logs import Tail
from lab.gameday.metric_store import Datum
from stacks.alarms.log_patterns import DENIED_STATEMENTS, NOTHING_DENIED, SLOW_STATEMENTS

# RDS's, which cannot be changed there.
LINE_PREFIX = "%t:%r:%u@%d:[%p]:"
READING = Reading()


class DatabaseLog:
    """The log of a server, read incrementally.

    Args:
        path: the log file.
        clock: dates each datum.
        slow, denied: the metrics that the filters publish.

    """

    def __init__(self, path: Path, clock: Clock, *, slow: Metric, denied: Metric) -> None:
        self._tail = Tail(path, from_end=True)
        self._clock = clock
        self._denied = denied
        self._filters: list[tuple[Metric, str, FilterPattern]] = [
            *_filters(slow, "$milliseconds", SLOW_STATEMENTS),
            *_filters(denied, "1", DENIED_STATEMENTS),
        ]

    def data(self) -> Iterator[Datum]:
        """Yield the data of the lines since the last call."""
        lines, is_denied = list(self._tail.lines()), False
        for line in lines:
            for metric, value, pattern in self._filters:
                published = pattern.metric_value(line, value, READING)
                if published is not None:
                    is_denied |= metric == self._denied
                    yield self._datum(metric, published)
        if lines and not is_denied:
            yield self._datum(self._denied, float(NOTHING_DENIED))

    def _datum(self, metric: Metric, value: float) -> Datum:
        return Datum.of(metric, value, at_s=self._clock.now_s())


def _filters(metric: Metric, value: str, patterns: Mapping[str, str]) -> list[tuple[Metric, str, FilterPattern]]:
    return [(metric, value, parse(pattern)) for pattern in patterns.values()]
