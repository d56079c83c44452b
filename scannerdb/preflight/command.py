"""`scannerdb preflight -e ENV`: the questions to AWS before a deploy."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from scannerdb.checks.clients import Clients
from scannerdb.checks.command import answer_all, identity
from scannerdb.checks.model import Context
from scannerdb.errors import OperatorError
from scannerdb.options import deployment_option, environment_file, json_option
from scannerdb.outputs import read_state
from scannerdb.preflight.account import ACCOUNT
from scannerdb.preflight.database import DATABASE
from scannerdb.preflight.existing import EXISTING
from scannerdb.preflight.names import NAMES
from scannerdb.preflight.network import NETWORK
from scannerdb.preflight.prerequisites import PREREQUISITES
from scannerdb.preflight.quotas import QUOTAS
from scannerdb.preflight.restore import RESTORE
from scannerdb.review.planning import synthesise
from scannerdb.review.terraform_errors import PlanningError
from stacks import ROOT
from stacks.settings import Settings, load_settings

CHECKS = (*ACCOUNT, *NETWORK, *PREREQUISITES, *DATABASE, *RESTORE, *EXISTING, *QUOTAS, *NAMES)
DIRECTORY = ROOT / "build" / "preflight"


@click.command()
@deployment_option
@json_option
def preflight(environment: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Ask AWS what would stop a deploy; change nothing.

    Account, zones, image, state bucket, service-linked roles, engine version, instance class, what is restored, quotas,
    and names that something already has. A denied call is told with the permission that is missing.

    \b
    scannerdb preflight -e prod
    scannerdb preflight -e prod --json | jq '.findings[] | select(.state != "ok")'

    \b
    Exit code 0: all is well.  1: a warning, a question that was not answered, or an error.  2: AWS would refuse.
    """  # noqa: D301 - click takes the character for "do not wrap"
    settings = load_settings(environment_file(environment))
    aws = Clients(settings)
    who = identity(settings, aws)
    click.echo(f"Synthesising {environment}, for the names that a deploy would take: about 10 seconds ...", err=True)
    answer_all(CHECKS, context_of(settings, aws, synthesised(settings), **who), as_json=as_json)


def context_of(settings: Settings, aws: Clients, stack: Mapping[str, Any], **who: str) -> Context:
    """Return what the checks use. A state that cannot be read is none: the check of the state says why."""
    try:
        state = read_state(settings, aws("s3") if settings.state.bucket else None)
    except OperatorError:
        state = None
    return Context(
        settings=settings, aws=aws, stack=stack, state=state, account_id=who["account_id"], caller=who["caller"]
    )


def synthesised(settings: Settings, directory: Path = DIRECTORY) -> dict[str, Any]:
    """Return the Terraform JSON of an environment, whose names are those that a deploy would create.

    Raises:
        OperatorError: `main.py` failed.

    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        synthesise(settings.environment, directory, os.environ)
    except PlanningError as error:
        raise OperatorError(str(error)) from error
    stack: dict[str, Any] = json.loads((directory / "stacks" / settings.environment / "cdk.tf.json").read_text())
    return stack
