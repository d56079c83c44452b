"""The alarms' clock, which runs 60 times as fast as real time; every conversion is here.

A fault is shown within seconds while periods, counts and thresholds stay those of the catalogue. So one real second is
a minute of the alarms: the one-minute schedule invokes `refresh` every second, and metrics of elapsed time (age of
progress, duration of a refresh, a lock wait or a transaction) are multiplied by 60. Metrics of one request or statement
(API latency, Lambda duration, slow statements) are not scaled.
"""

import time

SPEED = 60
# One minute of the alarms' clock, in real seconds.
TICK_S = 60 / SPEED
# Metrics in real time that alarms compare with their own clock.
SCALED_METRICS = frozenset({"ProgressLag", "RefreshDuration", "LongestLockWait", "OldestTransactionAge"})
EXPLANATION = (
    f"Scaled: {TICK_S:g} s is one minute on the alarms' clock, so refresh, scheduled every minute, runs that often; "
    f"{', '.join(sorted(SCALED_METRICS))} count {SPEED}-fold; doctor's limits in seconds are divided by {SPEED}. "
    "Not scaled: latencies, durations of functions and statements, and every period, evaluation count and threshold."
)


class Clock:
    """The alarms' time, in seconds since this object was created."""

    def __init__(self) -> None:
        self._started_s = time.time()

    def now_s(self) -> float:
        """Return the alarms' time."""
        return self.of(time.time())

    def of(self, unix_s: float) -> float:
        """Return the alarms' time at a Unix time."""
        return (unix_s - self._started_s) * SPEED

    def minutes(self) -> int:
        """Return the whole minutes of the alarms' time."""
        return int(self.now_s() // 60)

    def sleep_until(self, minute: int) -> None:
        """Wait until a minute of the alarms' time."""
        time.sleep(max(self._started_s + minute * TICK_S - time.time(), 0))


def scaled(name: str, value: float) -> float:
    """Return a metric's value on the alarms' clock."""
    return value * SPEED if name in SCALED_METRICS else value


def real_limits(limits: dict[str, float]) -> dict[str, float]:
    """Return the doctor's limits in real time: it reads ages from the database, which runs in real time."""
    return {name: value / SPEED if name.endswith("_s") else value for name, value in limits.items()}
