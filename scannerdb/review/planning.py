"""Synthesises one environment and plans it with Terraform, against the caller's account or an empty emulator."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scannerdb import terraform
from scannerdb.project import project_python
from scannerdb.review.stand_in import emulated_account
from scannerdb.review.terraform_errors import PlanningError, explain
from stacks import ROOT
from stacks.settings import Settings

DIRECTORY = ROOT / "build" / "plan"
# Settings that the oldest accepted provider understands (see stacks/access/proxy.py).
EMULATED = {"SCANNER__AWS__PROVIDER_VERSION": ">= 5.100.0, < 7", "SCANNER__PROXY__AUTH_MODE": "secrets"}
LOCAL_STATE = "review.tfstate"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan: its file, its JSON with secrets in clear text, and what it was made against."""

    plan_file: Path
    json: dict[str, Any]
    against: str
    is_aws: bool


def plan_environment(
    settings: Settings,
    *,
    emulator: bool = False,
    directory: Path = DIRECTORY,
    environ: Mapping[str, str] = os.environ,
) -> Planned:
    """Plan the environment of these settings.

    Args:
        settings: the environment's; `main.py` reads the same file.
        emulator: plan against an empty emulator, without an account and without the environment's state.
        directory: the stack and the plan are written here.
        environ: the caller's variables, including credentials.

    Raises:
        PlanningError: planning failed; the message ends with the next step.

    """
    if problem := terraform.terraform_problem():
        raise PlanningError(problem)
    emulated = emulator or settings.aws.endpoint is not None
    folder = directory / "stacks" / settings.environment
    # A plan and its JSON contain sensitive values in clear text.
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as stack:
        if emulated:
            shown, environment = stack.enter_context(_emulated(settings, directory, environ, empty=emulator))
            against = (
                f"the emulator at {shown}" if shown else f"an empty emulator: every resource is new{_but(settings)}"
            )
        else:
            environment = {**environ, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
            against = "the account of your credentials"
        synthesise(settings.environment, directory, environment)
        _choose_state(folder, settings, emulated=emulated, empty=emulator)
        plan_file = folder / "plan.tfplan"
        try:
            terraform.init(folder, environment)
            terraform.plan(folder, environment, plan_file)
            return Planned(
                plan_file=plan_file,
                json=terraform.show_json(folder, environment, plan_file),
                against=against,
                is_aws=not emulated,
            )
        except terraform.TerraformError as error:
            raise PlanningError(explain(str(error), settings.environment)) from error


def _but(settings: Settings) -> str:
    existing = settings.database.existing_identifier
    return f", and a stand-in has the place of {existing}" if existing else ""


@contextlib.contextmanager
def _emulated(
    settings: Settings, directory: Path, environ: Mapping[str, str], *, empty: bool
) -> Iterator[tuple[str | None, dict[str, str]]]:
    """Yield the emulator's address (`None` for our own) and an environment that reaches this emulator only."""
    provider = terraform.find_provider(environ)
    if isinstance(provider, terraform.NoProvider):
        raise PlanningError(provider.reason)
    environment = terraform.command_environment(provider, directory, environ)
    if not empty:
        yield settings.aws.endpoint, environment
        return
    with emulated_account(settings) as address:
        yield None, environment | EMULATED | {"SCANNER__AWS__ENDPOINT": address}


def synthesise(environment: str, directory: Path, variables: Mapping[str, str]) -> None:
    """Write the Terraform JSON of an environment to `directory`/stacks/, with `main.py`.

    Raises:
        PlanningError: it failed.

    """
    done = subprocess.run(
        [str(project_python()), "main.py"],
        cwd=ROOT,
        env={**variables, "SCANNER_ENVIRONMENTS": environment, "CDKTF_OUTDIR": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PlanningError(done.stderr.strip() or f"main.py ended with code {done.returncode}")


def _choose_state(folder: Path, settings: Settings, *, emulated: bool, empty: bool) -> None:
    """Keep an emulator's plan apart from the state of a real account.

    Terraform merges override files over the rest: https://developer.hashicorp.com/terraform/language/files/override
    """
    override = folder / "override.tf.json"
    override.unlink(missing_ok=True)
    if not emulated or not (empty or settings.state.bucket):
        return
    if empty:
        (folder / LOCAL_STATE).unlink(missing_ok=True)
    override.write_text(json.dumps({"terraform": {"backend": {"local": {"path": LOCAL_STATE}}}}))
