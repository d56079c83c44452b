"""`scannerdb refresh`, `verify` and `rebuild`: what the function `refresh` does, by hand."""

import json
import sys
from typing import Any

import click

from handlers import progress
from handlers.diagnosis.text import plural
from ops.options import Session, dsn_option, json_option, needed

DRIFTED = 2
SKIPPED = 1
_COUNTS = ("queued", "processing", "succeeded", "failed", "findings")


@click.command()
@dsn_option
@json_option
def refresh(dsn: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Fold what changed and refresh job_progress now; exit code 1 when another refresh is at work."""
    result = progress.refresh(Session(needed(dsn)))
    if as_json:
        click.echo(json.dumps(result))
    elif result["refreshed"]:
        click.echo(
            f"Refreshed {plural(result['jobs'], 'job')} with {plural(result['objects'], 'object')}, "
            f"{plural(result['folded_rows'], 'change')} folded, in {result['duration_ms']:,} ms."
        )
    else:
        click.echo("Another refresh is at work; this one did nothing.")
    sys.exit(0 if result["refreshed"] else SKIPPED)


@click.command()
@dsn_option
@json_option
def verify(dsn: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Compare every job with a full count; exit code 2 when one differs."""
    drifted = progress.verify(Session(needed(dsn)))
    if as_json:
        click.echo(json.dumps({"drifted_jobs": len(drifted), "jobs": drifted}, default=str))
    elif drifted:
        for row in drifted:
            click.echo(f"{row['job_id']}: {_drift(row)}")
        click.echo(f"{plural(len(drifted), 'job')} drifted (known minus counted). Next: scannerdb rebuild")
    else:
        click.echo("Exact: every job is what a full count says.")
    sys.exit(DRIFTED if drifted else 0)


@click.command()
@dsn_option
@json_option
def rebuild(dsn: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Mend the jobs that verify lists, while writers go on."""
    mended = progress.rebuild(Session(needed(dsn)))
    click.echo(json.dumps({"mended_jobs": mended}) if as_json else f"Mended {plural(mended, 'job')}.")


def _drift(row: dict[str, Any]) -> str:
    counts = [f"{name} {row[f'{name}_drift']:+,}" for name in _COUNTS if row[f"{name}_drift"]]
    return ", ".join(counts) or "last_object_update"
