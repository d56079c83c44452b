"""`scannerdb refresh`, `verify` and `rebuild`: the actions of the function `refresh`, from a terminal or cron."""

import json
import shlex
import sys
from typing import Any

import click
import psycopg2

from handlers.contract.roles import REFRESHER
from handlers.diagnosis.text import plural
from handlers.progress import maintenance
from scannerdb.causes import sentence
from scannerdb.errors import OperatorError
from scannerdb.options import (
    Session,
    database_options,
    deadline_option,
    environment_file,
    json_option,
    require_dsn,
)
from scannerdb.printed import commands_of, typed_dsn
from stacks.settings import load_settings

DRIFTED = 2
SKIPPED = 1
_COUNTS = ("queued", "processing", "succeeded", "failed", "other", "findings")


@click.command()
@database_options
@click.option("--quiet", "-q", is_flag=True, help="Print errors only, for cron.")
@deadline_option
@json_option
def refresh(dsn: str | None, environment: str | None, *, quiet: bool, as_json: bool) -> None:
    """Fold the deltas and refresh job_progress now.

    \b
    scannerdb refresh
    scannerdb refresh -e prod --json | jq .duration_ms

    \b
    In a crontab, for a database without a schedule on AWS; cron mails errors only:
    SCANNERDB_DSN=service=scanner
    */5 * * * * /opt/scanner-database/.venv/bin/scannerdb refresh --quiet

    \b
    Exit code 0: refreshed.
              1: not refreshed: another refresh runs, which does no harm, or an error.
    """  # noqa: D301
    try:
        session = Session(require_dsn(dsn, environment, user=REFRESHER))
        _warn_of_older_objects(session)
        result = maintenance.refresh(session)
    except psycopg2.Error as error:
        raise OperatorError(f"not refreshed: {sentence(error)}") from error
    if as_json:
        click.echo(json.dumps(result))
    elif not quiet:
        click.echo(_refreshed(result) if result["refreshed"] else "Another refresh is running; this one did nothing.")
    sys.exit(0 if result["refreshed"] else SKIPPED)


@click.command()
@database_options
@deadline_option
@json_option
def verify(dsn: str | None, environment: str | None, *, as_json: bool) -> None:
    """Compare every job with a full count.

    \b
    scannerdb verify
    scannerdb verify --json | jq '.jobs[].job_id'

    \b
    Exit code 0: exact.  1: an error.  2: a job differs.
    """  # noqa: D301
    session = Session(require_dsn(dsn, environment, user=REFRESHER))
    _warn_of_older_objects(session)
    drifted = maintenance.verify(session)
    if as_json:
        click.echo(json.dumps({"drifted_jobs": len(drifted), "jobs": drifted}, default=str))
    elif drifted:
        for row in drifted:
            click.echo(f"{row['job_id']}: {_drift(row)}")
        click.echo(f"{plural(len(drifted), 'job')} drifted (known minus counted). Next: {_rebuild(dsn, environment)}")
    else:
        click.echo("Exact: every job is what a full count says.")
    sys.exit(DRIFTED if drifted else 0)


@click.command()
@database_options
@deadline_option
@json_option
def rebuild(dsn: str | None, environment: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Repair the jobs that verify lists, while writers go on.

    \b
    scannerdb rebuild && scannerdb verify
    """  # noqa: D301
    mended = maintenance.rebuild(Session(require_dsn(dsn, environment, user=REFRESHER)))
    click.echo(json.dumps({"mended_jobs": mended}) if as_json else f"Mended {plural(mended, 'job')}.")


def _rebuild(dsn: str | None, environment: str | None) -> str:
    """Return the command that repairs the database that was verified."""
    if environment:
        return commands_of(load_settings(environment_file(environment)), dsn).rebuild()
    named = typed_dsn(dsn)
    return "scannerdb rebuild" if named is None else f"scannerdb rebuild --dsn {shlex.quote(named)}"


def _warn_of_older_objects(session: Session) -> None:
    if advice := maintenance.restore_advice(session):
        click.echo(f"scannerdb: {advice}", err=True)


def _refreshed(result: dict[str, Any]) -> str:
    return (
        f"Refreshed {plural(result['jobs'], 'job')} with {plural(result['objects'], 'object')}, "
        f"{plural(result['folded_rows'], 'change')} folded, in {result['duration_ms']:,} ms."
    )


def _drift(row: dict[str, Any]) -> str:
    counts = [f"{name} {row[f'{name}_drift']:+,}" for name in _COUNTS if row[f"{name}_drift"]]
    return ", ".join(counts) or "last_object_update"
