"""The outputs of a deployment's stack, read from its Terraform state.

The state file is parsed directly: `terraform output` needs the synthesised stack and the 700 MB provider, which an
operator who never deployed does not have. Outputs have had this form since Terraform 0.12; any other version of the
state is refused.
"""

import json
from collections.abc import Mapping
from typing import Any

from scannerdb.aws import calling, client
from scannerdb.errors import OperatorError
from stacks import ROOT
from stacks.settings import Settings
from stacks.settings.state_owner import holds_another

STATE_VERSION = 4


def stack_outputs(settings: Settings) -> dict[str, str]:
    """Return the outputs of an environment's stack by name.

    Raises:
        OperatorError: it is not deployed, its state cannot be read, or holds another environment.

    """
    return outputs_of(read_state(settings), settings)


def read_state(settings: Settings, s3: Any = None) -> dict[str, Any] | None:
    """Return an environment's Terraform state as parsed JSON; `None` where there is none.

    Args:
        settings: of the environment.
        s3: the client that reads a bucket; `None`: one of its own.

    Raises:
        OperatorError: the state cannot be read.

    """
    where = state_address(settings)
    text = _from_bucket(settings, s3) if settings.state.bucket else _from_file(settings)
    try:
        state: dict[str, Any] | None = json.loads(text) if text is not None else None
    except ValueError as error:
        raise OperatorError(f"the Terraform state {where} is not JSON: {error}") from error
    return state


def outputs_of(state: Mapping[str, Any] | None, settings: Settings) -> dict[str, str]:
    """Return the outputs of a state by name.

    Raises:
        OperatorError: it has none, or another form.

    """
    where = state_address(settings)
    outputs = {name: str(output["value"]) for name, output in (state or {}).get("outputs", {}).items()}
    if not outputs:
        way_out = f"deploy it with `node_modules/.bin/cdktf deploy {settings.environment}`"
        if settings.aws.endpoint:
            way_out = "run `python -m lab.demo --keep`, or set SCANNER__STATE__PATH to the path of its state"
        reason = "does not exist" if state is None else "has no outputs"
        raise OperatorError(f"{settings.environment} is not deployed: its state {where} {reason}; {way_out}")
    if state is not None and state.get("version") != STATE_VERSION:
        raise OperatorError(f"the Terraform state {where} has version {state.get('version')}, not {STATE_VERSION}")
    if (mismatch := holds_another(outputs, settings)) is not None:
        raise OperatorError(
            f"the Terraform state {where} {mismatch}; name the environment that it belongs to, or set the state of "
            f"{settings.environment} in [state] of its file"
        )
    return outputs


def output(outputs: Mapping[str, str], name: str, settings: Settings) -> str:
    """Return one output.

    Raises:
        OperatorError: the deployment is older than this output.

    """
    if name not in outputs:
        raise OperatorError(
            f"{settings.environment} has no output {name}; what is deployed is older than this command: deploy it again"
        )
    return outputs[name]


def state_address(settings: Settings) -> str:
    """Return the state's path or S3 address, for messages."""
    if settings.state.bucket:
        return f"s3://{settings.state.bucket}/{settings.prefix}.tfstate"
    return str(ROOT / (settings.state.path or ""))


def _from_file(settings: Settings) -> str | None:
    try:
        return (ROOT / (settings.state.path or "")).read_text()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperatorError(
            f"the Terraform state {state_address(settings)} cannot be read: {error.strerror}"
        ) from error


def _from_bucket(settings: Settings, s3: Any) -> str | None:
    s3 = s3 or client(settings, "s3")
    with calling(settings, f"the Terraform state {state_address(settings)}"):
        try:
            answer = s3.get_object(Bucket=settings.state.bucket, Key=f"{settings.prefix}.tfstate")
        except s3.exceptions.NoSuchKey:
            return None
        return str(answer["Body"].read().decode())
