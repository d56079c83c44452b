"""The alarms' clock: it runs sixty times as fast as time does, and this is the only place that says so.

A fault shall be provable in seconds, while periods, counts and thresholds are the catalogue's own. So a second is a
minute: the schedule of one minute invokes `refresh` every second, and what measures time against the schedule or the
world outside (how old progress is, how long a refresh, a lock wait or a transaction lasts) counts sixtyfold. What
measures the work of one request or one statement (API latency, Lambda duration, slow statements) is what it is.
"""

import time

SPEED = 60
# One minute of the alarms' clock, in real seconds.
TICK_S = 60 / SPEED
# Metrics of refresh in real time that alarms hold against their own clock.
SCALED_METRICS = frozenset({"ProgressLag", "RefreshDuration", "LongestLockWait", "OldestTransactionAge"})
EXPLANATION = (
    f"Scaled: {TICK_S:g} s is one minute on the alarms' clock, so refresh, scheduled every minute, runs that often; "
    f"{', '.join(sorted(SCALED_METRICS))} count {SPEED}-fold; doctor's limits in seconds are divided by {SPEED}. "
    "Not scaled: latencies, durations of functions and statements, and every period, evaluation count and threshold."
)


class Clock:
    """Tells the alarms' time, in seconds since it was made."""

    def __init__(self) -> None:
        self._started_s = time.time()

    def now_s(self) -> float:
        """Return the alarms' time."""
        return self.of(time.time())

    def of(self, unix_s: float) -> float:
        """Return the alarms' time of a moment."""
        return (unix_s - self._started_s) * SPEED

    def minutes(self) -> int:
        """Return the minutes that have passed on the alarms' clock."""
        return int(self.now_s() // 60)

    def sleep_until(self, minute: int) -> None:
        """Wait until so many minutes have passed on the alarms' clock."""
        time.sleep(max(self._started_s + minute * TICK_S - time.time(), 0))


def scaled(name: str, value: float) -> float:
    """Return a metric's value on the alarms' clock."""
    return value * SPEED if name in SCALED_METRICS else value


def real_limits(limits: dict[str, float]) -> dict[str, float]:
    """Return the doctor's limits in real time, because it looks at a database that lives in real time."""
    return {name: value / SPEED if name.endswith("_s") else value for name, value in limits.items()}
