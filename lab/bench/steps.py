"""Shows the running step, its number, what it is doing, and the elapsed time."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

# Receives what the step is doing now.
Say = Callable[[str], None]


class Steps:
    """A bar for all steps; use as a context manager."""

    def __init__(self, console: Console, *, total: int) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
        )
        self._task = self._progress.add_task("", total=total)
        self._title = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Say]:
        """Show one step, and print its duration at the end."""
        self._title = title
        self.say("")
        started_s = time.monotonic()
        yield self.say
        self._progress.console.print(f"{title}: {time.monotonic() - started_s:.1f} s", highlight=False)
        self._progress.advance(self._task)

    def say(self, detail: str) -> None:
        """Show what the current step is doing."""
        self._progress.update(self._task, description=f"{self._title}{detail and ': '}{detail}")
