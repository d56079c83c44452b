"""Reports rows done, the rate and the time left."""

import time
from collections.abc import Callable
from typing import Any

TELL_EVERY_S = 0.5


class ProgressReporter:
    """Reports the progress of one phase.

    Args:
        report: gets a sentence and the fields `phase`, `rows_done`, `rows_total`, `rows_per_s` and `remaining_s`.
        phase: its name.
        total: rows in all, by PostgreSQL's estimate.
        done: rows that an earlier run did.

    """

    def __init__(self, report: Callable[..., None], phase: str, *, total: int, done: int = 0) -> None:
        self._report, self._phase, self._total = report, phase, total
        self._first = self._done = done
        self._started = self._told = time.monotonic()

    def tell(self, done: int) -> None:
        """Note how many rows are done in all, and report every half second."""
        self._done = done
        if time.monotonic() - self._told >= TELL_EVERY_S:
            self._told = time.monotonic()
            self._say(final=False)

    def end(self) -> None:
        """Report a last time."""
        self._total = self._done
        self._say(final=True)

    def _say(self, *, final: bool) -> None:
        elapsed_s = max(time.monotonic() - self._started, 0.001)
        rate = (self._done - self._first) / elapsed_s
        total = max(self._total, self._done)
        remaining_s = (total - self._done) / rate if rate else None
        fields: dict[str, Any] = {
            "phase": self._phase,
            "rows_done": self._done,
            "rows_total": total,
            "rows_per_s": round(rate),
            "remaining_s": None if remaining_s is None else round(remaining_s, 1),
            "final": final,
        }
        left = "" if remaining_s is None or final else f", about {remaining_s:.0f} s to go"
        self._report(f"{self._phase}: {self._done:,} of {total:,} rows, {rate:,.0f} rows/s{left}", **fields)
