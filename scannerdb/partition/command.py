"""`scannerdb partition`: registered with `main.add_command(partition)`."""

import json
from collections.abc import Callable
from typing import Any

import click

from handlers.migrator.session import Connect, RunLimits
from scannerdb.options import connect_to, database_options, require_dsn
from scannerdb.partition import run
from scannerdb.partition.errors import ConfirmationNeededError
from scannerdb.partition.locks import LOCK_TIMEOUT_MS
from scannerdb.partition.names import TABLE
from scannerdb.partition.steps import Options
from scannerdb.partition.terminal import asker, reporter


@click.command()
@click.argument("table", type=click.Choice([TABLE]))
@database_options
@click.option("--modulus", type=int, default=Options.modulus, show_default=True, help="How many partitions.")
@click.option("--copy-only", is_flag=True, help="Stop before the swap; the same command without this goes on.")
@click.option("--revert", "action", flag_value="revert", help="Undo all of it; nothing written since is lost.")
@click.option("--finish", "action", flag_value="finish", help="Drop the original table that is kept since the swap.")
@click.option("--status", "action", flag_value="status", help="Say how far it is, and the next command.")
@click.option("--yes", is_flag=True, help="Do not ask whether there is disk enough.")
@click.option("--free-gib", type=click.FloatRange(0), help="Free storage, as CloudWatch's FreeStorageSpace says it.")
@click.option(
    "--lock-timeout-ms",
    type=click.IntRange(1, 900),
    default=LOCK_TIMEOUT_MS,
    show_default=True,
    help="How long to wait for a lock that writers wait behind, before trying again.",
)
@click.option(
    "--lock-patience-s",
    type=click.FloatRange(0),
    default=RunLimits.lock_patience_s,
    show_default=True,
    help="How long to go on trying.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: the steps on standard error.")
def partition(
    *,
    table: str,
    dsn: str | None,
    environment: str | None,
    action: str | None,
    as_json: bool,
    lock_timeout_ms: int,
    lock_patience_s: float,
    **options: Any,
) -> None:
    """Partition TABLE by the hash of job_id, while writers go on writing.

    Older rows are copied in small batches, while triggers bring every write to both tables; both are compared; then
    they change their names. The original is kept, and written as well, until --finish. Run again after any
    interruption, it goes on where it was.

    \b
    scannerdb partition job_objects --modulus 16   copy, compare, swap
    scannerdb partition job_objects --status       how far it is
    scannerdb partition job_objects --revert       undo it
    scannerdb partition job_objects --finish       drop the original
    """  # noqa: D301 - click takes the character for "do not wrap"
    connect = connect_to(require_dsn(dsn, environment))
    limits = RunLimits(lock_timeout_ms=lock_timeout_ms, lock_patience_s=lock_patience_s, poll_interval_s=0.5)
    if action != "status":
        with reporter(as_json=as_json) as report:
            _act(action, connect, limits, report, options)
    result = run.status(connect, table)
    if as_json:
        click.echo(json.dumps(result))
    else:
        click.echo(
            "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in result.items() if value is not None)
        )


def _act(
    action: str | None,
    connect: Connect,
    limits: RunLimits,
    report: Callable[..., None],
    options: dict[str, Any],
) -> None:
    if action == "revert":
        run.revert(connect, limits=limits, report=report)
    elif action == "finish":
        run.finish(connect, limits=limits, report=report)
    else:
        wanted = Options(
            modulus=options["modulus"],
            confirm=asker(yes=options["yes"], refuse=ConfirmationNeededError),
            free_gib=options["free_gib"],
            until_copied=options["copy_only"],
        )
        run.partition(connect, wanted, limits=limits, report=report)
