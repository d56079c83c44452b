"""`scannerdb end` and `repair`: end what the doctor found, after showing it and asking."""

from collections.abc import Callable
from typing import Any

import click

from handlers.contract.events import MigrateAction, MigrateEvent
from handlers.contract.names import release_bucket
from handlers.diagnosis import CHECKS, Commands
from handlers.remedies import actions
from scannerdb.aws import calling, client
from scannerdb.errors import OperatorError
from scannerdb.functions.invocation import invoke_function
from scannerdb.numbers import WholeNumber
from scannerdb.options import (
    ENVIRONMENT_VARIABLE,
    connect_to,
    current_release,
    dsn_option,
    environment_file,
    named_environment,
    require_dsn,
    settings_with_thresholds,
)
from scannerdb.outputs import output, stack_outputs
from scannerdb.terminal import confirm
from stacks.alarms.thresholds import doctor_thresholds
from stacks.settings import Settings, load_settings

# What `end` and `repair` of `handlers.remedies.actions` do, with a connection or by the function `migrate`.
Act = Callable[[dict[str, Any]], dict[str, Any]]

environment_option = named_environment(
    help="Without a DSN: the database of this environment, by its function migrate: also from outside of its network. "
    f"Also from {ENVIRONMENT_VARIABLE}.",
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@click.command()
@click.argument("pid", type=WholeNumber(1), required=False)
@click.option("--idle", is_flag=True, help="Instead of one session: the idle ones of a user and application.")
@click.option("--user", help="With --idle: of this user. [default: of those who have most]")
@click.option("--application", help="With --idle: of this application.")
@click.option("--cancel", is_flag=True, help="Cancel the statement of PID and its transaction; the session stays.")
@dsn_option
@environment_option
@yes_option
def end(
    pid: int | None,
    user: str | None,
    application: str | None,
    dsn: str | None,
    environment: str | None,
    *,
    idle: bool,
    cancel: bool,
    yes: bool,
) -> None:
    """End the session PID, after showing it: its open transaction is undone, its client may connect again.

    \b
    scannerdb end 16530 -e prod
    scannerdb end --idle -e prod                              of the application with most idle sessions
    scannerdb end --idle --user scanner_app --application leaky -e prod

    \b
    Exit code 0: ended.  1: not ended, with the reason.
    """  # noqa: D301
    if (pid is None) is not idle or ((user is not None or application is not None) and not idle):
        raise click.UsageError("name a PID; or --idle, perhaps with --user and --application")
    if dsn is None and environment is not None:
        act = _by_function(load_settings(environment_file(environment)))
    else:
        act = _ending(require_dsn(dsn, environment))
    event: dict[str, Any] = {"action": MigrateAction.END}
    if idle:
        named = {"user": user, "application": application}
        event |= {"idle": True, **{name: value for name, value in named.items() if value is not None}}
    else:
        event["pid"] = pid
    found = act({**event, "dry_run": True})
    for line in found["would"]:
        click.echo(line)
    confirm(
        "End the idle sessions of the first?" if idle else "Cancel its statement?" if cancel else "End it?", yes=yes
    )
    done = act({**found["event"], **({"cancel": True} if cancel else {})})
    click.echo(f"Done: {done['done']}.")


@click.command()
@click.argument("check", type=click.Choice(list(CHECKS)), metavar="CHECK")
@dsn_option
@environment_option
@yes_option
def repair(check: str, dsn: str | None, environment: str | None, *, yes: bool) -> None:
    """Run the statements with which the doctor's CHECK ends what it finds, each after showing it.

    They run as the owner of the tables. A statement that writers would queue behind gives up after two seconds.

    \b
    scannerdb repair indexes -e prod
    scannerdb tunnel -e prod --direct -- scannerdb repair triggers

    \b
    Exit code 0: nothing is left of it that a statement ends.  1: one failed, or was not wanted.
    """  # noqa: D301
    settings = settings_with_thresholds(environment)
    act = _repairing_by_function(settings) if dsn is None else _repairing(settings, require_dsn(dsn, environment))
    event = {"action": MigrateAction.REPAIR, "check": check}
    found = act({**event, "dry_run": True})["would"]
    if not found:
        click.echo(f"Nothing to do: {check} names no statement now.")
    for finding in found:
        click.echo(f"{finding['state']}: {finding['value']}")
        click.echo(f"  {finding['sql']}")
        confirm("Run it?", yes=yes)
        act({**event, "sql": finding["sql"]})
        click.echo("Done.")


def _ending(dsn: str) -> Act:
    return lambda event: actions.end(_event(event), connect_to(dsn))


def _repairing(settings: Settings, dsn: str) -> Act:
    commands = Commands(prefix=settings.prefix, database=settings.rds_database)
    return lambda event: actions.repair(
        _event(event),
        connect_to(dsn),
        thresholds=doctor_thresholds(settings),
        commands=commands,
        read_release=current_release,
    )


def _by_function(settings: Settings) -> Act:
    return lambda event: _invoke(settings, event)


def _repairing_by_function(settings: Settings) -> Act:
    """Return `repair` with the release in service, which a checkout may differ from."""
    with calling(settings, "the account"):
        account_id = client(settings, "sts").get_caller_identity()["Account"]
    sha256 = output(stack_outputs(settings), "release_sha256", settings)
    release = {
        "release_bucket": release_bucket(settings.prefix, account_id),
        "release_key": f"{sha256}.zip",
        "release_sha256": sha256,
    }
    return lambda event: _invoke(settings, release | event)


def _invoke(settings: Settings, event: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = invoke_function(settings, "migrate", event)
    if "failed" in answer:
        raise OperatorError(answer["failed"])
    return answer


def _event(event: dict[str, Any]) -> MigrateEvent:
    return event  # type: ignore[return-value] # without a release: nothing reads it here
