"""What the two commands do alike: who asks, the table, `--json`, and the exit code."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from scannerdb.aws import calling
from scannerdb.checks.clients import Clients
from scannerdb.checks.model import STATES, Answer, Check, Context, overall
from scannerdb.checks.run import run
from scannerdb.terminal import row_lines
from stacks.settings import Settings

EXIT_CODES = {"ok": 0, "warning": 1, "refused": 2}
STYLES = {"ok": "green", "not answered": "yellow", "warning": "yellow", "refused": "bold red"}
INDENT = len("not answered") + 2
ASKED_WIDTH = 28


def identity(settings: Settings, aws: Clients) -> dict[str, str]:
    """Return account and ARN of the credentials as arguments of `Context`; it needs no permission.

    Raises:
        OperatorError: there are none, they are no longer valid, or AWS does not answer.

    """
    with calling(settings, "the identity of the credentials"):
        who: dict[str, Any] = aws("sts").get_caller_identity()
    return {"account_id": who["Account"], "caller": who["Arn"]}


def answer_all(checks: Sequence[Check], context: Context, *, as_json: bool) -> None:
    """Ask every check, print each answer as it comes, or all as JSON, and end with the exit code."""
    answers = []
    say = _silent if as_json else _printer(Console(highlight=False, soft_wrap=True))
    for answer in run(checks, context):
        answers.append(answer)
        say(_lines(answer))
    state = overall(answers)
    environment = context.settings.environment
    if as_json:
        found = [answer.fields() for answer in answers]
        click.echo(json.dumps({"environment": environment, "state": state, "findings": found}))
    else:
        counts = Counter(answer.state for answer in answers)
        told = ", ".join(f"{counts[each]} {each}" for each in reversed(STATES) if counts[each])
        say(iter([Text(""), Text(f"{environment}: {told}.")]))
    sys.exit(EXIT_CODES[state])


def _lines(answer: Answer) -> Iterator[Text]:
    return row_lines(
        answer.state,
        f"{answer.asked:<{ASKED_WIDTH}}  {answer.seen}",
        style=STYLES[answer.state],
        indent=INDENT,
        way_out=answer.next,
    )


def _printer(console: Console) -> Callable[[Iterator[Text]], None]:
    def say(lines: Iterator[Text]) -> None:
        for line in lines:
            console.print(line)

    return say


def _silent(_lines: Iterator[Text]) -> None:
    """Print nothing: programs read the JSON at the end."""
