"""The rate of a job over the last minute, and the time left at that rate."""

from collections import deque

# Long enough for a steady rate, short enough to notice a standstill.
WINDOW_S = 60


class JobRate:
    """Objects done of one job, sampled over the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, at_s: float, done: int) -> None:
        """Add a sample: objects done at a time in seconds of any clock; a time that was sampled already is ignored."""
        if self._seen and at_s <= self._seen[-1][0]:
            return
        self._seen.append((at_s, done))
        # Two samples stay in any case: cached numbers may be further apart than the window.
        while len(self._seen) > 2 and at_s - self._seen[0][0] > WINDOW_S:  # noqa: PLR2004
            self._seen.popleft()

    def per_second(self) -> float | None:
        """Return objects done a second; `None` before the second sample."""
        if len(self._seen) < 2:  # noqa: PLR2004
            return None
        (start_s, before), (end_s, now) = self._seen[0], self._seen[-1]
        return max(now - before, 0) / (end_s - start_s)

    def left_s(self, remaining: int) -> float | None:
        """Return the seconds, at least one, until `remaining` more objects are done; `None` at a standstill."""
        rate = self.per_second()
        return max(remaining / rate, 1) if rate else None


def short(number: float) -> str:
    """Return a count in at most five characters, such as 9,999, 62.3K or 1.25M."""
    for limit, divisor, unit in ((10_000, 1, ""), (1_000_000, 1e3, "K"), (1e9, 1e6, "M"), (1e12, 1e9, "G")):
        if number < limit:
            scaled = number / divisor
            digits = 0 if not unit or scaled >= 100 else 1 if scaled >= 10 else 2  # noqa: PLR2004
            return f"{scaled:,.{digits}f}{unit}"
    return f"{number:.1e}"
