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
from ops.doctor import doctor
from ops.options import connect_to, current_release, dsn_option, json_option, needed
from ops.progress_commands import rebuild, refresh, verify
from ops.settings_command import show_settings
from ops.terminal import StatementBar, plan_lines
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

    \b
    scannerdb doctor                          what is wrong, why it matters, and the next command
    scannerdb doctor lock-waits -e prod       what belongs to one alarm, with the limits of prod
    scannerdb refresh                         bring cached progress up to date now
    scannerdb verify                          compare every job with a full count
    scannerdb rebuild                         mend the jobs that verify lists, while writers go on
    scannerdb plan                            what a release would do to this database
    scannerdb migrate                         do it
    scannerdb rollback                        take the newest migration back
    scannerdb settings prod                   what prod is made with, and where each value came from
    """  # noqa: D301 - click takes the character for "do not wrap"


@main.command()
@dsn_option
@json_option
def plan(dsn: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Print each pending statement with its lock, who waits for it, and the size of an index."""
    steps = describe(current_release(), connect_to(dsn) if dsn else None)
    if as_json:
        click.echo(json.dumps([step.fields() for step in steps]))
    elif steps:
        click.echo("\n".join(plan_lines(steps)))
    else:
        click.echo("Nothing is pending: every migration of this release is applied.")


@main.command()
@dsn_option
@limit_options
@json_option
def migrate(dsn: str | None, as_json: bool, limits: Limits) -> None:  # noqa: FBT001 - click passes flags by name
    """Bring the database to the release of the folder migrations/."""
    with StatementBar(Console(stderr=True)) as bar:
        result = run(connect_to(needed(dsn)), current_release(), limits=limits, report=bar)
    if as_json:
        click.echo(json.dumps(asdict(result)))
    else:
        done = ", ".join(result.applied) or "nothing, all was applied before"
        click.echo(f"Applied: {done}.")


@main.command("rollback")
@dsn_option
@limit_options
@json_option
def roll_back(dsn: str | None, as_json: bool, limits: Limits) -> None:  # noqa: FBT001 - click passes flags by name
    """Take the newest migration back with its .down.sql."""
    with StatementBar(Console(stderr=True)) as bar:
        file = rollback(connect_to(needed(dsn)), current_release(), limits=limits, report=bar)
    click.echo(json.dumps({"rolled_back": file}) if as_json else f"Ran {file}.")


for registered in (doctor, refresh, verify, rebuild, show_settings):
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
