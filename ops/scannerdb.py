"""`scannerdb`: what an operator asks of the database."""

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click
import psycopg2
from rich.console import Console

from handlers.errors import ScannerDatabaseError
from handlers.migrator.describe import describe
from handlers.migrator.runner import rollback, run
from handlers.migrator.session import Limits
from ops.cost_command import cost
from ops.doctor import doctor
from ops.function_commands import invoke, logs
from ops.options import connect_to, current_release, database_options, found, json_option, needed
from ops.partition.command import partition
from ops.progress_commands import rebuild, refresh, verify
from ops.settings_command import show_settings
from ops.status_command import status
from ops.terminal import StatementBar, plan_lines
from ops.tunnel_command import tunnel
from stacks.manifest import MigrationError
from stacks.settings import SettingsError

LIMIT_OPTIONS = (
    click.option(
        "--lock-timeout-ms",
        type=click.IntRange(1, 60_000),
        default=Limits.lock_timeout_ms,
        show_default=True,
        help="How long a statement may wait for a lock that writers wait behind, before it tries again.",
    ),
    click.option(
        "--lock-patience-s",
        type=click.FloatRange(0),
        default=Limits.lock_patience_s,
        show_default=True,
        help="How long to go on trying.",
    ),
    click.option(
        "--deadline-s",
        type=click.FloatRange(0),
        help="Return after this; a build goes on in the database and the next run waits for it.",
    ),
)


def limit_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `Limits`; they arrive together as `limits`."""

    @functools.wraps(function)
    def with_limits(
        *, lock_timeout_ms: int, lock_patience_s: float, deadline_s: float | None, **arguments: Any
    ) -> None:
        # A person at a terminal watches: look twice a second.
        limits = Limits(
            lock_timeout_ms=lock_timeout_ms,
            lock_patience_s=lock_patience_s,
            deadline_s=deadline_s,
            poll_interval_s=0.5,
        )
        function(limits=limits, **arguments)

    for option in reversed(LIMIT_OPTIONS):
        with_limits = option(with_limits)
    return with_limits


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Find out what is wrong, keep progress right, and migrate.

    \b
    export SCANNERDB_DSN='host=127.0.0.1 dbname=scanner_db user=scanner_admin'
    export SCANNERDB_ENVIRONMENT=dev

    \b
    scannerdb doctor                      what is wrong, and the next command
    scannerdb doctor lock-waits -e prod   what belongs to one alarm of prod
    scannerdb status --watch              how far the scans are, live
    scannerdb refresh                     bring cached progress up to date now
    scannerdb verify                      compare every job with a full count
    scannerdb rebuild                     mend what verify lists
    scannerdb plan                        what a release would do to a database
    scannerdb migrate                     do it
    scannerdb rollback                    take the newest migration back
    scannerdb partition job_objects       split the table, while writers write
    scannerdb settings prod               what prod is made with, and why
    scannerdb cost prod                   what that costs a month
    scannerdb tunnel prod -- COMMAND      run a command inside prod's network
    scannerdb logs refresh -e prod        what a function logged
    scannerdb invoke refresh -e prod      run a function

    Which database: --dsn or SCANNERDB_DSN, which comes first; else --environment, which looks the address up in the
    Terraform state of a deployment; else the variables of the handlers, RDS_PROXY_ENDPOINT, RDS_PORT, RDS_DBNAME,
    RDS_USERNAME, RDS_PASSWORD and RDS_CA_BUNDLE. SCANNERDB_ENVIRONMENT is the --environment of doctor, logs and invoke.
    docs/operations.md shows each command at work.
    """  # noqa: D301 - click takes the character for "do not wrap"


@main.command()
@database_options
@json_option
def plan(dsn: str | None, environment: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Print each pending statement with its lock, who waits for it, and the size of an index.

    \b
    scannerdb plan                                      for an empty database
    scannerdb tunnel prod --direct -- scannerdb plan    for the one of prod
    scannerdb plan --json | jq '.[] | select(.blocks_writers)'
    """  # noqa: D301
    chosen = found(dsn, environment)
    steps = describe(current_release(), connect_to(chosen) if chosen else None)
    if as_json:
        click.echo(json.dumps([step.fields() for step in steps]))
    elif steps:
        click.echo("\n".join(plan_lines(steps)))
    else:
        click.echo("Nothing is pending: every migration of this release is applied.")


@main.command()
@database_options
@limit_options
@json_option
def migrate(dsn: str | None, environment: str | None, as_json: bool, limits: Limits) -> None:  # noqa: FBT001
    """Bring the database to the release of the folder migrations/.

    A deployment does this by itself; this is for a database that nothing deploys, and for the day that a deploy failed.

    \b
    scannerdb migrate --lock-timeout-ms 200 --lock-patience-s 600
    scannerdb migrate --deadline-s 60    come back; a build goes on without us
    """  # noqa: D301
    with StatementBar(Console(stderr=True)) as bar:
        result = run(connect_to(needed(dsn, environment)), current_release(), limits=limits, report=bar)
    if as_json:
        click.echo(json.dumps(asdict(result)))
    else:
        done = ", ".join(result.applied) or "nothing, all was applied before"
        click.echo(f"Applied: {done}.")


@main.command("rollback")
@database_options
@limit_options
@json_option
def roll_back(dsn: str | None, environment: str | None, as_json: bool, limits: Limits) -> None:  # noqa: FBT001
    """Take the newest migration back with its .down.sql.

    \b
    scannerdb rollback && scannerdb plan    and see that it is pending again
    """  # noqa: D301
    with StatementBar(Console(stderr=True)) as bar:
        file = rollback(connect_to(needed(dsn, environment)), current_release(), limits=limits, report=bar)
    click.echo(json.dumps({"rolled_back": file}) if as_json else f"Ran {file}.")


for registered in (doctor, refresh, verify, rebuild, show_settings, status, tunnel, logs, invoke, cost, partition):
    main.add_command(registered)


def command(arguments: list[str] | None = None) -> Any:
    """Run the command line; a user's mistake ends with one message and exit code 1, without a stack trace."""
    try:
        return main(arguments, prog_name="scannerdb", standalone_mode=True)
    except (ScannerDatabaseError, MigrationError, SettingsError, psycopg2.Error) as error:
        click.echo(f"scannerdb: {str(error).strip()}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    command()
