"""Progress of a run: a bar at a terminal, lines every few seconds in a log, JSON lines for programs."""

import json
import math
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click
from rich.console import Console

from handlers.migrator.session import Report
from scannerdb.terminal import WorkBar

LINE_EVERY_S = 5.0


class RowsBar(WorkBar):
    """A bar for each phase that works through rows, and a line for every other step."""

    def __call__(self, message: str, **fields: Any) -> None:
        """Report one step."""
        if "rows_done" not in fields or fields["final"]:
            self.say(message)
            return
        remaining_s = fields["remaining_s"]
        self.show(
            fields["phase"],
            completed=fields["rows_done"],
            total=fields["rows_total"],
            amount=f"{fields['rows_done']:,} of {fields['rows_total']:,} rows, {fields['rows_per_s']:,} rows/s",
            remaining="" if remaining_s is None else f"about {remaining_s:.0f} s to go",
        )


class Lines:
    """Lines on standard error: every step, and the rows every few seconds; or JSON."""

    def __init__(self, *, as_json: bool, every_s: float = LINE_EVERY_S) -> None:
        self._as_json, self._every_s, self._told = as_json, every_s, -math.inf

    def __call__(self, message: str, **fields: Any) -> None:
        """Report one step."""
        final = fields.pop("final", True)
        if not final and time.monotonic() - self._told < self._every_s:
            return
        if not final:
            self._told = time.monotonic()
        click.echo(json.dumps({"message": message, **fields}) if self._as_json else message, err=True)


def reporter(*, as_json: bool) -> AbstractContextManager[Report]:
    """Return a bar where standard error is a terminal, and lines elsewhere."""
    console = Console(stderr=True)
    return RowsBar(console) if console.is_terminal and not as_json else nullcontext(Lines(as_json=as_json))
