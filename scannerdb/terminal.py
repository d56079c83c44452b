"""A terminal: a bar for long work, a plan of two lines a statement, the question before what cannot be undone."""

import functools
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from handlers.migrator.examination import ExaminationFinding
from handlers.migrator.steps import Step
from scannerdb.errors import OperatorError

_MEBIBYTE = 1024**2
_WIDTH = 80
_INDENT = " " * 9


class WorkBar:
    """Prints each step of a run, and a bar for long work; a context manager."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[remaining]}"),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        # Elsewhere there is no bar, and its end would be an empty line.
        if self._progress.console.is_interactive:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress.console.is_interactive:
            self._progress.stop()

    def say(self, message: str) -> None:
        """Remove the bar and print a step."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        # Unbroken and as it is: a message holds commands to copy, and brackets.
        self._progress.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def show(self, description: str, *, completed: float, total: float, amount: str, remaining: str) -> None:
        """Show the bar, and make it on the first call."""
        if self._task is None:
            self._task = self._progress.add_task("", amount="", remaining="")
        self._progress.update(
            self._task, description=description, completed=completed, total=total, amount=amount, remaining=remaining
        )


class StatementBar(WorkBar):
    """A bar for one statement, from PostgreSQL's progress views."""

    def __call__(self, message: str, **fields: Any) -> None:
        """Report one step; the interface of `handlers.migrator.session.Report`."""
        if fields.get("percent") is None:
            self.say(message)
            return
        blocks = f"{fields['blocks_done']:,} of {fields['blocks_total']:,} blocks" if fields["blocks_total"] else ""
        remaining = f"about {fields['remaining_s']:.0f} s to go" if fields["remaining_s"] is not None else ""
        if fields["waits_for"]:
            remaining = f"waits for {fields['waits_for']}"
        self.show(fields["phase"], completed=fields["percent"], total=100, amount=blocks, remaining=remaining)


def row_lines(
    state: str, value: str, *, style: str, indent: int, way_out: str, why: str = "", width: int = _WIDTH
) -> Iterator[Text]:
    """Yield one row of a table as lines of text; the way out stays on one line, so that it can be copied.

    Args:
        state: the first column.
        value: the other columns.
        style: of the state, as rich names it.
        indent: the width of the first column.
        way_out: a command, or what to do; empty for none.
        why: the reason; empty for none.
        width: the columns of a line.

    """
    blank = " " * indent
    # The name of a check, an option or an alarm stays whole.
    wrap = functools.partial(textwrap.wrap, width=width, subsequent_indent=blank, break_on_hyphens=False)
    first, *rest = wrap(f"{state:<{indent}}{value}")
    line = Text(first)
    line.stylize(style, 0, len(state))
    yield line
    yield from map(Text, rest)
    if why:
        yield from map(Text, wrap(why, initial_indent=blank))
    if way_out:
        yield Text(f"{blank}next: {way_out}")


def finding_lines(findings: Sequence[ExaminationFinding]) -> Iterator[str]:
    """Yield findings as text, and an empty line; the way out stays on one line, so that it can be copied."""
    for finding in findings:
        head = f"{'refuses' if finding.refuses else 'note':<{len(_INDENT)}}{finding.subject}: {finding.value}"
        yield from textwrap.wrap(head, _WIDTH, subsequent_indent=_INDENT)
        yield from textwrap.wrap(finding.why, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
        yield f"{_INDENT}next: {finding.way_out}"
    if findings:
        yield ""


def plan_lines(steps: Iterable[Step]) -> Iterator[str]:
    """Yield a plan as text: a heading for each file, and for each statement what it is and what it does."""
    file = ""
    for step in steps:
        if step.file != file:
            file = step.file
            yield file
        yield f"{step.line:>5}  {step.title}"
        where = f" on {', '.join(step.relations)}" if step.relations else ""
        lock = f"takes {step.lock}{where}, writers {'wait' if step.blocks_writers else 'go on'}" if step.lock else ""
        size = f"about {max(step.estimate_bytes / _MEBIBYTE, 1):,.0f} MiB" if step.estimate_bytes is not None else ""
        if details := "; ".join(filter(None, (lock, size, step.note))):
            yield f"       {details}"
        yield from (f"       loses {loss}" for loss in step.losses)
        yield from (f"       {change}" for change in step.changes)


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation, unless `yes`; the answer may also come from a pipe.

    Raises:
        click.Abort: the answer is no.
        OperatorError: standard input ends without an answer.

    """
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except (click.Abort, OSError) as error:
        if sys.stdin.isatty():
            raise
        raise OperatorError("standard input is not a terminal, so the question cannot be asked; add --yes") from error
    if not agreed:
        raise click.Abort


def agree_to(sentence: str, *, yes: bool) -> None:
    """Print what will be done, and ask whether to go on, unless `yes`; raises what `confirm` raises."""
    click.echo(sentence, err=True)
    confirm("Go on?", yes=yes)
