"""`scannerdb doctor`: the on-call's first command."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from handlers.contract.roles import DOCTOR, OWNER
from handlers.contract.thresholds import Thresholds
from handlers.diagnosis import STATES, Commands, Finding, checks_of, examine, looks, overall
from handlers.diagnosis.watchdog import ConnectionWatchdog
from handlers.errors import InvalidRequestError
from handlers.migrator.session import Connect
from scannerdb.errors import OperatorError
from scannerdb.login import REACH_TIMEOUT_S, tunnel_as
from scannerdb.options import (
    ENVIRONMENT_VARIABLE,
    MIGRATIONS,
    connect_to,
    current_release,
    database_options,
    deadline_option,
    deployment_dsn,
    environment_file,
    json_option,
)
from scannerdb.terminal import row_lines
from stacks.alarms.thresholds import doctor_thresholds
from stacks.database.parameters import expected_parameters
from stacks.settings import Settings, load_settings

if TYPE_CHECKING:
    import psycopg2

EXIT_CODES = {"ok": 0, "warning": 1, "critical": 2}
STYLES = {"ok": "green", "look": "cyan", "unknown": "yellow", "warning": "yellow", "critical": "bold red"}
INDENT = 10
# Without pg_read_all_stats, which pg_monitor and superusers have, other sessions show neither state nor statement.
WHO = "SELECT quote_ident(current_user), current_user = %(doctor)s OR pg_has_role('pg_read_all_stats', 'USAGE')"


@click.command()
@click.argument("alarm", required=False)
@database_options
@deadline_option
@json_option
def doctor(alarm: str | None, dsn: str | None, environment: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Say what is wrong, why it matters, and the next command; change nothing.

    ALARM is the name of an alarm, such as progress-stale: then only the checks that answer it run. The thresholds are
    those of --environment, or of SCANNERDB_ENVIRONMENT, which `scannerdb tunnel` sets.

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
    name = environment or os.environ.get(ENVIRONMENT_VARIABLE)
    if not name:
        raise click.UsageError(
            f"whose thresholds? Add -e NAME, or set {ENVIRONMENT_VARIABLE}, as `scannerdb tunnel -e NAME -- ...` does"
        )
    settings = load_settings(environment_file(name))
    thresholds = doctor_thresholds(settings)
    state = diagnose(alarm, dsn, settings=settings, thresholds=thresholds, migrations=MIGRATIONS, as_json=as_json)
    sys.exit(EXIT_CODES[state])


def diagnose(
    alarm: str | None,
    dsn: str | None,
    *,
    settings: Settings,
    thresholds: Thresholds,
    migrations: Path,
    as_json: bool,
) -> str:
    """Examine a database, print the findings, and return the worst state, a key of `EXIT_CODES`.

    Args:
        alarm: only the checks that answer it; `None`: every check.
        dsn: the database; `None`: that of the environment.
        settings: of the environment.
        thresholds: what the database is held against.
        migrations: the folder of the release that should be applied.
        as_json: print JSON for programs.

    Raises:
        OperatorError: the database of the environment cannot be looked up, or the login does not see other sessions.

    """
    environment = settings.environment
    # `scannerdb tunnel` sets both variables. A DSN alone may be that of a database which no deployment made.
    is_deployed = dsn is None or ENVIRONMENT_VARIABLE in os.environ
    commands = Commands(prefix=settings.prefix, database=settings.rds_database, is_deployed=is_deployed)
    way_in = f"{tunnel_as(OWNER, environment)} -- scannerdb doctor" if is_deployed else ""
    findings = examine(
        _seeing_sessions(connect_to(dsn or deployment_dsn(settings, user=DOCTOR)), way_in),
        thresholds,
        commands=commands,
        checks=checks_of(alarm),
        read_release=lambda: current_release(migrations),
        expected=expected_parameters(settings),
    )
    findings += looks(alarm, commands)
    findings = [finding for finding in findings if finding.state != "look" or finding.next]
    state = overall(findings)
    if as_json:
        answer = {"environment": environment, "state": state, "findings": [finding.fields() for finding in findings]}
        click.echo(json.dumps(answer))
    else:
        _print(findings, environment)
    return state


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


def _print(findings: list[Finding], environment: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    counts = Counter(finding.state for finding in findings)
    found = ", ".join(f"{counts[state]} {state}" for state in reversed(STATES) if counts[state])
    console.print(f"Held against the thresholds of {environment}: {found}.")
    for finding in sorted(findings, key=lambda finding: -STATES.index(finding.state)):
        for line in lines_of(finding):
            console.print(line)


def lines_of(finding: Finding) -> Iterator[Text]:
    """Yield a finding as lines of a table."""
    return row_lines(
        finding.state,
        f"{finding.check:<21}{finding.value}",
        style=STYLES[finding.state],
        indent=INDENT,
        way_out=finding.next,
        why=finding.why,
    )
