"""`scannerdb review -e ENV`: plan with Terraform, and say what the plan would do."""

import datetime as dt
import functools
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from scannerdb.options import deployment_option, environment_file
from scannerdb.review.allowed import load_allowed
from scannerdb.review.ledger import Ledger, ReadLedger, UnknownLedgerError, ask_migrate
from scannerdb.review.planning import plan_environment
from scannerdb.review.policy import check_policy
from scannerdb.review.releases import Fetch, fetch_built, fetch_deployed
from scannerdb.review.render import markdown, no_plan, print_review, to_json
from scannerdb.review.review import Review, judge
from scannerdb.review.terraform_errors import PlanningError
from stacks.disk_errors import disk_problem
from stacks.settings import Settings, SettingsError, load_settings

HOW_LONG = "a minute or two; the first time Terraform also downloads its provider, 700 MB"


@click.command()
@deployment_option
@click.option(
    "--emulator", is_flag=True, help="Plan against an empty emulator: needs no account, every resource is new."
)
@click.option(
    "--plan-json",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Review this output of `terraform show -json`; Terraform is not run.",
)
@click.option("--expect-empty", is_flag=True, help="Red if the plan is not empty: finds drift.")
@click.option(
    "--markdown", "markdown_file", type=click.Path(path_type=Path), help="Write the summary to this file too."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def review(
    *,
    environment: str,
    emulator: bool,
    plan_json: Path | None,
    expect_empty: bool,
    markdown_file: Path | None,
    as_json: bool,
) -> None:
    """Plan a deploy with Terraform; say what is created, changed, replaced, lost, restarted and migrated.

    Ends with 0 for green, 1 for red, and 2 where there is no plan to judge.

    \b
    scannerdb review -e dev                 against the account of your credentials
    scannerdb review -e dev --emulator      needs no account: every resource is new
    scannerdb review -e prod --expect-empty red if the plan is not empty: finds drift
    """  # noqa: D301 - click takes the character for "do not wrap"
    console = Console(stderr=as_json)
    try:
        settings = load_settings(environment_file(environment))
        judged = _judge(settings, plan_json, emulator=emulator, expect_empty=expect_empty, console=console)
    except (PlanningError, SettingsError) as error:
        _end_without_plan(environment, str(error), markdown_file)
    except OSError as error:
        if (problem := disk_problem(error)) is None:
            raise
        _end_without_plan(environment, problem, markdown_file)
    if as_json:
        click.echo(to_json(judged))
    else:
        print_review(judged, console)
    if markdown_file:
        markdown_file.write_text(markdown(judged))
    sys.exit(1 if judged.problems else 0)


def _end_without_plan(environment: str, why: str, markdown_file: Path | None) -> NoReturn:
    click.echo(f"plan: {why}", err=True)
    if markdown_file:
        # Overwrites the summary of an earlier plan.
        markdown_file.write_text(no_plan(environment, why))
    sys.exit(2)


def _judge(
    settings: Settings, plan_json: Path | None, *, emulator: bool, expect_empty: bool, console: Console
) -> Review:
    today = dt.datetime.now(dt.UTC).date()
    # First: a mistake in the allow list is reported before the minute that a plan takes.
    allowed = load_allowed(settings.environment, today=today)
    fetch: Fetch = fetch_built
    read_ledger = _unread("a plan from a file may be of another account")
    if plan_json:
        plan, against = _read(plan_json), f"what {plan_json.name} was made against"
    else:
        console.print(f"Planning {settings.environment}: {HOW_LONG} ...", style="dim", soft_wrap=True)
        planned = plan_environment(settings, emulator=emulator)
        plan, against = planned.json, planned.against
        console.print(f"Saved: {os.path.relpath(planned.plan_file)}\n", style="dim", soft_wrap=True)
        if planned.is_aws:
            fetch = functools.partial(fetch_deployed, region=settings.region)
        read_ledger = functools.partial(ask_migrate, settings)
        if emulator:
            read_ledger = _unread("an empty emulator has no database")
    return judge(
        plan,
        environment=settings.environment,
        against=against,
        allowed=allowed,
        policy=check_policy(plan),
        fetch=fetch,
        read_ledger=read_ledger,
        today=today,
        expect_empty=expect_empty,
    )


def _unread(why: str) -> ReadLedger:
    def refuse() -> Ledger:
        raise UnknownLedgerError(why)

    return refuse


def _read(path: Path) -> Mapping[str, Any]:
    try:
        plan = json.loads(path.read_text())
    except ValueError as error:
        raise PlanningError(f"{path} is not JSON ({error}); make it with: terraform show -json plan.tfplan") from error
    if not isinstance(plan, dict) or "planned_values" not in plan:
        raise PlanningError(f"{path} is no plan; make it with: terraform show -json plan.tfplan > {path.name}")
    return plan
