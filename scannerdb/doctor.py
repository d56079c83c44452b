"""`scannerdb doctor`: the on-call's first command."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import psycopg2
from rich.console import Console
from rich.text import Text

from handlers.contract.alarms.messages import OUTAGE
from handlers.contract.roles import DOCTOR, OWNER
from handlers.contract.thresholds import Thresholds
from handlers.diagnosis import STATES, Commands, Finding, checks_of, examine, looks, overall, worst_first
from handlers.diagnosis.watchdog import ConnectionWatchdog
from handlers.errors import InvalidRequestError
from handlers.migrator.advice import is_exhausted
from handlers.migrator.session import Connect
from scannerdb.errors import OperatorError
from scannerdb.login import REACH_TIMEOUT_S, tunnel_as
from scannerdb.options import (
    MIGRATIONS,
    connect_to,
    current_release,
    database_options,
    deadline_option,
    deployment_dsn,
    json_option,
    settings_with_thresholds,
)
from scannerdb.printed import commands_of
from scannerdb.ringing import ringing
from scannerdb.terminal import row_lines
from stacks.alarms.thresholds import doctor_thresholds
from stacks.database.parameters import expected_parameters
from stacks.settings import Settings

EXIT_CODES = {"ok": 0, "warning": 1, "critical": 2}
STYLES = {"ok": "green", "look": "cyan", "unknown": "yellow", "warning": "yellow", "critical": "bold red"}
INDENT = 10
# Without pg_read_all_stats, which pg_monitor and superusers have, other sessions show neither state nor statement.
WHO = "SELECT quote_ident(current_user), current_user = %(doctor)s OR pg_has_role('pg_read_all_stats', 'USAGE')"


@click.command()
@click.argument("alarm", required=False)
@database_options
@click.option("--all", "show_all", is_flag=True, help="Show each check that is well on a line of its own.")
@deadline_option
@json_option
def doctor(
    alarm: str | None,
    dsn: str | None,
    environment: str | None,
    *,
    show_all: bool,
    as_json: bool,
) -> None:
    """Say what is wrong, why it matters, and the next command; change nothing.

    ALARM is the name of an alarm, such as progress-stale: then only the checks that answer it run. The thresholds are
    those of --environment, or of SCANNERDB_ENVIRONMENT, which `scannerdb tunnel` sets. The worst comes first, and again
    at the end.

    \b
    scannerdb doctor -e prod            everything, against the thresholds of prod
    scannerdb tunnel -e prod --direct -- scannerdb doctor lock-waits
    scannerdb doctor -e prod --json | jq '.findings[] | select(.state == "critical")'

    \b
    Exit code 0: no problem.  1: a warning, or an error.  2: a problem that cannot wait.
    """  # noqa: D301 - click takes the character for "do not wrap"
    try:
        checks_of(alarm)
    except InvalidRequestError as error:
        raise click.UsageError(str(error)) from error
    settings = settings_with_thresholds(environment)
    state = diagnose(
        alarm,
        dsn,
        settings=settings,
        thresholds=doctor_thresholds(settings),
        commands=commands_of(settings, dsn),
        migrations=MIGRATIONS,
        show_all=show_all,
        as_json=as_json,
    )
    sys.exit(EXIT_CODES[state])


def diagnose(
    alarm: str | None,
    dsn: str | None,
    *,
    settings: Settings,
    thresholds: Thresholds,
    commands: Commands,
    migrations: Path,
    show_all: bool = False,
    as_json: bool,
) -> str:
    """Examine a database, print the findings, and return the worst state, a key of `EXIT_CODES`.

    Args:
        alarm: only the checks that answer it; `None`: every check.
        dsn: the database; `None`: that of the environment.
        settings: of the environment.
        thresholds: what the database is held against.
        commands: makes the commands that the findings name.
        migrations: the folder of the release that should be applied.
        show_all: print each finding that is well on a line of its own.
        as_json: print JSON for programs.

    Raises:
        OperatorError: the database of the environment cannot be looked up, or the login does not see other sessions.

    """
    environment = settings.environment
    way_in = f"{tunnel_as(OWNER, environment)} -- scannerdb doctor" if commands.is_deployed else ""
    findings = examine(
        _seeing_sessions(_connecting(dsn, settings), way_in),
        thresholds,
        commands=commands,
        checks=checks_of(alarm),
        read_release=lambda: current_release(migrations),
        expected=expected_parameters(settings),
    )
    # CloudWatch knows the alarms of a deployment only.
    is_outage = alarm == OUTAGE.name and commands.is_deployed
    findings = worst_first([*findings, *(ringing(settings) if is_outage else looks(alarm, commands))])
    findings = [finding for finding in findings if finding.state != "look" or finding.next]
    state = overall(findings)
    if as_json:
        answer = {"environment": environment, "state": state, "findings": [finding.fields() for finding in findings]}
        click.echo(json.dumps(answer))
    else:
        _print(findings, environment, show_all=show_all)
    return state


def _connecting(dsn: str | None, settings: Settings) -> Connect:
    """Return how to connect: to an environment's database as the doctor, and as the owner where only he gets in.

    RDS reserves connections for `rds_superuser`, of which the owner is a member. From PostgreSQL 16 on the doctor may
    use some of them too (migrations/roles.sql).
    """
    if dsn is not None:
        return connect_to(dsn)
    as_doctor = connect_to(deployment_dsn(settings, user=DOCTOR))

    def connect() -> "psycopg2.extensions.connection":
        try:
            return as_doctor()
        except psycopg2.OperationalError as error:
            if not is_exhausted(str(error)):
                raise
            return connect_to(deployment_dsn(settings, user=OWNER))()

    return connect


def _seeing_sessions(connect: Connect, way_in: str) -> Connect:
    """Return a `connect` that refuses a user who does not see what other sessions do.

    `way_in` is the command that logs in as one who does; empty without a deployment. The OperatorError ends the
    command; a `psycopg2.Error` becomes a finding, as any other of `connect`.
    """

    def checked() -> "psycopg2.extensions.connection":
        connection = connect()
        watchdog = ConnectionWatchdog(connection)
        watchdog.start(REACH_TIMEOUT_S)
        try:
            with connection.cursor() as cursor:
                cursor.execute(WHO, {"doctor": DOCTOR})
                ((user, sees),) = cursor.fetchall()
        finally:
            watchdog.stop()
        if not sees:
            connection.close()
            seeing = f"or the owner: {way_in}" if way_in else f"or let an administrator run GRANT pg_monitor TO {user}"
            raise OperatorError(
                f"logged in as {user}, who does not see what other sessions do, so every session would look well; "
                f"log in as {DOCTOR} {seeing}"
            )
        return connection

    return checked


def _print(findings: list[Finding], environment: str, *, show_all: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    counts = Counter(finding.state for finding in findings)
    told = ", ".join(f"{counts[state]} {state}" for state in reversed(STATES) if counts[state])
    console.print(f"Held against the thresholds of {environment}: {told}.")
    shown = findings if show_all else [finding for finding in findings if finding.state != "ok"]
    for finding in shown:
        for line in lines_of(finding, width=console.width):
            console.print(line)
    if well := [finding.check for finding in findings if finding.state == "ok" and not show_all]:
        names = ", ".join(dict.fromkeys(well))
        for line in row_lines(
            "ok", f"{names} (--all shows them)", style=STYLES["ok"], indent=INDENT, way_out="", width=console.width
        ):
            console.print(line)
    if len(shown) > 1 and shown[0].state in {"critical", "warning"}:
        worst = shown[0]
        first = replace(worst, value=f"first of all: {worst.value}", why="")
        for line in lines_of(first, width=console.width):
            console.print(line)


def lines_of(finding: Finding, *, width: int) -> Iterator[Text]:
    """Yield a finding as lines of a table of so many columns."""
    return row_lines(
        finding.state,
        f"{finding.check:<21}{finding.value}",
        style=STYLES[finding.state],
        indent=INDENT,
        way_out=finding.next,
        why=finding.why,
        width=width,
    )
