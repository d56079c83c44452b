"""`scannerdb plan`, `migrate` and `rollback`: print what a release would do to a database, and do it."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console

from handlers.contract.parameters import ExpectedParameters
from handlers.migrator.runner import rollback as roll_back
from handlers.migrator.runner import run
from handlers.migrator.session import RunLimits
from handlers.migrator.steps import migration_plan, rollback_plan
from scannerdb.numbers import Number, WholeNumber
from scannerdb.options import (
    address_of,
    connect_to,
    current_release,
    database_options,
    deadline_option,
    environment_file,
    find_dsn,
    json_option,
    lock_patience_option,
    require_dsn,
)
from scannerdb.terminal import StatementBar, agree_to, finding_lines, plan_lines
from stacks.database.parameters import expected_parameters
from stacks.settings import load_settings

LIMIT_OPTIONS = (
    click.option(
        "--lock-timeout-ms",
        type=WholeNumber(1, 60_000),
        default=RunLimits.lock_timeout_ms,
        show_default=True,
        help="How long a statement may wait for a lock that blocks writers; then it retries.",
    ),
    lock_patience_option,
    click.option(
        "--deadline-s",
        type=Number(0),
        help="Return after this; an index build goes on in the database, and the next run waits for it.",
    ),
)


# The exit code of `plan` where `migrate` would refuse.
REFUSED = 2
# For a person at a terminal, who watches a bar.
POLL_INTERVAL_S = 0.5


def limit_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each field of `RunLimits`, under its name."""
    for option in reversed(LIMIT_OPTIONS):
        function = option(function)
    return function


@click.command()
@database_options
@deadline_option
@json_option
def plan(dsn: str | None, environment: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Print what a migration would meet, and each pending statement with its lock.

    First what was found in the database, why it matters, and the way out; `migrate` refuses where it says so. Then the
    statements: whether writers wait for it, and about how large an index will be.

    \b
    scannerdb plan                                      against an empty database
    scannerdb tunnel -e prod --direct -- scannerdb plan    against that of prod
    scannerdb plan --json | jq '.steps[] | select(.blocks_writers)'
    scannerdb plan --json | jq -r '.findings[] | select(.refuses) | .way_out'

    \b
    Exit code 0: migrate would run.  1: an error.  2: migrate would refuse.
    """  # noqa: D301
    chosen = find_dsn(dsn, environment)
    planned = migration_plan(current_release(), connect_to(chosen) if chosen else None, expected=_expected(environment))
    if as_json:
        click.echo(json.dumps(planned.fields()))
    else:
        for line in (*finding_lines(planned.findings), *plan_lines(planned.steps)):
            click.echo(line)
        if not planned.steps:
            click.echo("Nothing is pending: every migration of this release is applied.")
    sys.exit(REFUSED if any(finding.refuses for finding in planned.findings) else 0)


@click.command()
@database_options
@limit_options
@json_option
def migrate(dsn: str | None, environment: str | None, *, as_json: bool, **options: Any) -> None:
    """Bring the database to the release of the folder migrations/.

    A deploy does this by itself. Use it for a database that no deploy manages, and after a deploy failed.

    \b
    scannerdb migrate --lock-timeout-ms 200 --lock-patience-s 600
    scannerdb migrate --deadline-s 60    return then; an index build goes on in the database
    """  # noqa: D301
    with StatementBar(Console(stderr=True)) as bar:
        result = run(
            connect_to(require_dsn(dsn, environment)),
            current_release(),
            limits=_limits(options),
            report=bar,
            expected=_expected(environment),
        )
    if as_json:
        click.echo(json.dumps(asdict(result)))
    else:
        done = ", ".join(result.applied) or "nothing; every migration was applied before"
        click.echo(f"Applied: {done}.")


@click.command()
@database_options
@limit_options
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def rollback(dsn: str | None, environment: str | None, *, yes: bool, as_json: bool, **options: Any) -> None:
    """Undo the newest migration with its .down.sql.

    It shows the statements, with what each locks and loses, and asks.

    \b
    scannerdb rollback
    scannerdb rollback --yes && scannerdb plan    it is pending again
    """  # noqa: D301
    chosen, release, limits = require_dsn(dsn, environment), current_release(), _limits(options)
    connect, agreed = connect_to(chosen), None
    if not yes:
        steps = rollback_plan(release, connect, limits=limits)
        agreed = steps[0].file
        for line in plan_lines(steps):
            click.echo(line, err=True)
        agree_to(f"{agreed} will run on {address_of(chosen)}, as shown.", yes=False)
    with StatementBar(Console(stderr=True)) as bar:
        file = roll_back(connect, release, agreed=agreed, limits=limits, report=bar)
    click.echo(json.dumps({"rolled_back": file}) if as_json else f"Ran {file}.")


def _expected(environment: str | None) -> ExpectedParameters | None:
    return expected_parameters(load_settings(environment_file(environment))) if environment else None


def _limits(options: Mapping[str, Any]) -> RunLimits:
    return RunLimits(poll_interval_s=POLL_INTERVAL_S, **options)
