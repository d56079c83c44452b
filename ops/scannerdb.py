"""`scannerdb`: what an operator asks of the database. Run it as `.venv/bin/python -m ops.scannerdb`."""

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import psycopg2
from rich.console import Console

from handlers.errors import ScannerDatabaseError
from handlers.migrator.describe import describe
from handlers.migrator.release import Release, read_release
from handlers.migrator.runner import rollback, run
from handlers.migrator.session import Limits
from ops.terminal import StatementBar, plan_lines
from stacks.manifest import MigrationError
from stacks.package import build_release

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"

dsn_option = click.option(
    "--dsn",
    envvar="SCANNERDB_DSN",
    help="A libpq connection string or URL, of the owner of the tables. Also from SCANNERDB_DSN.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
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
    r"""Plan, run and take back migrations.

    \b
    scannerdb plan                              what a release would do to an empty database
    scannerdb plan --dsn postgresql://...       what it would do to this one
    scannerdb migrate --dsn postgresql://...    do it
    scannerdb rollback --dsn postgresql://...   take the newest migration back
    """


@main.command()
@dsn_option
@json_option
def plan(dsn: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Print each pending statement with its lock, who waits for it, and the size of an index."""
    steps = describe(_release(), _connect(dsn) if dsn else None)
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
        result = run(_connect(_needed(dsn)), _release(), limits=limits, report=bar)
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
        file = rollback(_connect(_needed(dsn)), _release(), limits=limits, report=bar)
    click.echo(json.dumps({"rolled_back": file}) if as_json else f"Ran {file}.")


def _release() -> Release:
    package = build_release(MIGRATIONS)
    return read_release(package.path.read_bytes(), expected_sha256=package.sha256)


def _needed(dsn: str | None) -> str:
    if dsn is None:
        raise click.UsageError("name the database with --dsn or SCANNERDB_DSN")
    return dsn


def _connect(dsn: str) -> Callable[[], "psycopg2.extensions.connection"]:
    def connect() -> "psycopg2.extensions.connection":
        connection = psycopg2.connect(dsn, application_name="scannerdb")
        connection.autocommit = True
        return connection

    return connect


def command(arguments: list[str] | None = None) -> Any:
    """Run the command line; a user's mistake ends with one message and exit code 1, without a stack trace."""
    try:
        return main(arguments, standalone_mode=True)
    except (ScannerDatabaseError, MigrationError, psycopg2.Error) as error:
        click.echo(f"scannerdb: {str(error).strip()}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    command()
