"""`scannerdb partition`: partition a table online, undo that, or make it final."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from handlers.migrator.session import Connect, RunLimits
from scannerdb.numbers import Number, WholeNumber
from scannerdb.options import connect_to, database_options, deadline_option, lock_patience_option, require_dsn
from scannerdb.partition import run
from scannerdb.partition.locks import LOCK_TIMEOUT_MS
from scannerdb.partition.names import TABLE
from scannerdb.partition.steps import Options
from scannerdb.partition.terminal import reporter
from scannerdb.terminal import agree_to


@click.command()
@click.argument("table", type=click.Choice([TABLE]), expose_value=False)
@database_options
@click.option(
    "--modulus", type=WholeNumber(), default=Options.modulus, show_default=True, help="The number of partitions."
)
@click.option("--copy-only", is_flag=True, help="Stop before the swap; the same command without this option continues.")
@click.option("--revert", "action", flag_value="revert", help="Undo it; no row that was written since is lost.")
@click.option("--finish", "action", flag_value="finish", help="Drop the original table, which is kept after the swap.")
@click.option("--status", "action", flag_value="status", help="Print the phase and the next command.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--free-gib",
    type=Number(0),
    help="Free storage, from CloudWatch's FreeStorageSpace; too little is refused.",
)
@click.option(
    "--lock-timeout-ms",
    type=WholeNumber(1, 900),
    default=LOCK_TIMEOUT_MS,
    show_default=True,
    help="How long to wait for a lock that blocks writers, before a retry.",
)
@lock_patience_option
@deadline_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs; the steps go to standard error.")
def partition(
    *,
    dsn: str | None,
    environment: str | None,
    action: str | None,
    as_json: bool,
    lock_timeout_ms: int,
    lock_patience_s: float,
    **options: Any,
) -> None:
    """Partition TABLE by hash, while writers go on.

    The key of the hash is job_id. Triggers copy every write to a second, partitioned table; older rows are copied in
    small batches; all rows of both tables are compared; then the tables are swapped by renaming. The original is kept
    and still gets every write, until --finish. After an interruption, the same command continues.

    \b
    scannerdb partition job_objects --modulus 16   copy, compare, swap
    scannerdb partition job_objects --status       phase and next command
    scannerdb partition job_objects --revert       undo it
    scannerdb partition job_objects --finish       drop the original
    """  # noqa: D301 - click takes the character for "do not wrap"
    connect = connect_to(require_dsn(dsn, environment))
    limits = RunLimits(lock_timeout_ms=lock_timeout_ms, lock_patience_s=lock_patience_s, poll_interval_s=0.5)
    if action != "status":
        with reporter(as_json=as_json) as report:
            _act(action, connect, limits, report, options)
    result = run.status(connect)
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
            confirm=partial(agree_to, yes=options["yes"]),
            free_gib=options["free_gib"],
            until_copied=options["copy_only"],
        )
        run.partition(connect, wanted, limits=limits, report=report)
