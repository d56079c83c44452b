"""What somebody sees meanwhile: a bar at a terminal, a line now and then in a log, JSON lines for programs."""

import json
import math
import sys
import time
from collections.abc import Callable
from typing import Any, Self

import click
from rich.console import Console

from scannerdb.terminal import WorkBar

LINE_EVERY_S = 5.0


class RowsBar(WorkBar):
    """A bar for the rows of each phase, and a line for every other step."""

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
    """Plain lines on standard error: each step, and the rows every few seconds; as JSON for programs."""

    def __init__(self, *, as_json: bool, every_s: float = LINE_EVERY_S) -> None:
        self._as_json, self._every_s, self._told = as_json, every_s, -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, message: str, **fields: Any) -> None:
        """Report one step."""
        final = fields.pop("final", True)
        if not final and time.monotonic() - self._told < self._every_s:
            return
        if not final:
            self._told = time.monotonic()
        click.echo(json.dumps({"message": message, **fields}) if self._as_json else message, err=True)


def reporter(*, as_json: bool) -> RowsBar | Lines:
    """Return what fits standard error."""
    console = Console(stderr=True)
    return RowsBar(console) if console.is_terminal and not as_json else Lines(as_json=as_json)


def asker(*, yes: bool, refuse: type[Exception]) -> Callable[[str], None]:
    """Return what asks before anything is made.

    Args:
        yes: do not ask, but say it.
        refuse: the error of nobody being there.

    """

    def ask(sentence: str) -> None:
        click.echo(sentence, err=True)
        if yes:
            return
        if not sys.stdin.isatty():
            raise refuse("nobody is there to be asked whether that is wanted; say --yes")
        click.confirm("Go on?", abort=True, err=True)

    return ask
