"""`scannerdb doctor`: the on-call's first command."""

import json
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from handlers.contract.roles import DOCTOR, OWNER
from handlers.diagnosis import STATES, Commands, Finding, Limits, checks_of, examine, hint, overall
from handlers.diagnosis.patience import Patience
from handlers.errors import InvalidRequestError
from handlers.migrator.session import Connect
from scannerdb.errors import OperatorError
from scannerdb.login import REACH_TIMEOUT_S, tunnel_as
from scannerdb.options import (
    ENVIRONMENT_VARIABLE,
    connect_to,
    current_release,
    database_options,
    deployment_dsn,
    environment_file,
    json_option,
)
from stacks.alarms.thresholds import doctor_limits
from stacks.settings import load_settings

if TYPE_CHECKING:
    import psycopg2

EXIT_CODES = {"ok": 0, "warning": 1, "critical": 2}
STYLES = {"ok": "green", "look": "cyan", "unknown": "yellow", "warning": "yellow", "critical": "bold red"}
WIDTH = 80
INDENT = " " * 10
# To anybody else other sessions have neither a state nor a statement. It comes with pg_monitor, and superusers have it.
WHO = "SELECT current_user, current_user = %(doctor)s OR pg_has_role('pg_read_all_stats', 'USAGE')"


@click.command()
@click.argument("alarm", required=False)
@database_options
@json_option
def doctor(alarm: str | None, dsn: str | None, environment: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Say what is wrong, why it matters, and the next command; change nothing.

    ALARM is the name of an alarm, such as progress-stale: then only what belongs to it is examined. The limits and
    names are those of --environment, or of SCANNERDB_ENVIRONMENT, which `scannerdb tunnel` sets.

    \b
    scannerdb doctor -e prod            everything, against the limits of prod
    scannerdb tunnel prod --direct -- scannerdb doctor lock-waits
    scannerdb doctor -e prod --json | jq '.findings[] | select(.state == "critical")'

    \b
    Exit code 0: all is well.  1: warnings, or an error.  2: something cannot wait.
    """  # noqa: D301 - click takes the character for "do not wrap"
    try:
        checks = checks_of(alarm)
    except InvalidRequestError as error:
        raise click.UsageError(str(error)) from error
    limits_of = environment or os.environ.get(ENVIRONMENT_VARIABLE)
    if not limits_of:
        raise click.UsageError(
            f"whose limits? Add -e NAME, or set {ENVIRONMENT_VARIABLE}, as `scannerdb tunnel NAME -- ...` does"
        )
    settings = load_settings(environment_file(limits_of))
    findings = examine(
        # With a DSN the environment says whose limits, and nothing else.
        _seeing_sessions(connect_to(dsn or deployment_dsn(settings, user=DOCTOR)), limits_of),
        Limits(**doctor_limits(settings)),
        commands=Commands(deployment=settings.prefix),
        checks=checks,
        read_release=current_release,
    )
    findings += hint(alarm, settings.prefix)
    state = overall(findings)
    if as_json:
        answer = {"environment": limits_of, "state": state, "findings": [finding.fields() for finding in findings]}
        click.echo(json.dumps(answer))
    else:
        _print(findings, limits_of)
    sys.exit(EXIT_CODES[state])


def _seeing_sessions(connect: Connect, environment: str) -> Connect:
    """Return what connects likewise, and refuses a user to whom every session looks well.

    Its OperatorError ends the command; a `psycopg2.Error` is a finding, as any other of `connect`.
    """

    def checked() -> "psycopg2.extensions.connection":
        connection = connect()
        patience = Patience(connection)
        patience.start(REACH_TIMEOUT_S)
        try:
            with connection.cursor() as cursor:
                cursor.execute(WHO, {"doctor": DOCTOR})
                ((user, sees),) = cursor.fetchall()
        finally:
            patience.stop()
        if not sees:
            connection.close()
            raise OperatorError(
                f"logged in as {user}, who does not see what other sessions do, so that all would look well; log in as "
                f"{DOCTOR} or the owner: {tunnel_as(OWNER, environment)} -- scannerdb doctor"
            )
        return connection

    return checked


def _print(findings: list[Finding], environment: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    counts = Counter(finding.state for finding in findings)
    found = ", ".join(f"{counts[state]} {state}" for state in reversed(STATES) if counts[state])
    console.print(f"Held against the limits of {environment}: {found}.")
    for finding in sorted(findings, key=lambda finding: -STATES.index(finding.state)):
        for line in lines_of(finding):
            console.print(line)


def lines_of(finding: Finding) -> Iterator[Text]:
    """Yield a finding as lines of 80 columns; a command stays on one line, so that it can be copied."""
    head = f"{finding.state:<{len(INDENT)}}{finding.check:<21}"
    first, *rest = textwrap.wrap(f"{head}{finding.value}", WIDTH, subsequent_indent=INDENT)
    line = Text(first)
    line.stylize(STYLES[finding.state], 0, len(finding.state))
    yield line
    yield from map(Text, rest)
    if finding.why:
        yield from map(Text, textwrap.wrap(finding.why, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT))
    if finding.next:
        yield Text(f"{INDENT}next: {finding.next}")
