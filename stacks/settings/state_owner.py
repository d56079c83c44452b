"""Each environment has a state of its own.

In the state of another, Terraform would rename or replace what that one deployed, its database too. A state in a bucket
has the environment's name in its key; Terraform itself compares what a state holds (`stacks/foundation/state.py`). For
a file, this module does so before anything is synthesised.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handlers.contract.names import MIGRATE, function_name
from stacks import ROOT
from stacks.settings.model import Settings
from stacks.settings.source import SettingsError, Source, environment_files, read_toml

# An output that every deployment has, and that contains its name.
NAMING_OUTPUT = "migrate_function_name"


def state_file(path: str) -> Path:
    """Return the file of `state.path`: beside main.py, wherever it is started from."""
    return (ROOT / path).resolve()


def holds_another(outputs: dict[str, Any], settings: Settings) -> str | None:
    """Return why these outputs are not those of this environment; none when they are, or name no deployment.

    Args:
        outputs: name -> value.
        settings: of the environment that reads them.

    """
    named = outputs.get(NAMING_OUTPUT)
    if named in {None, function_name(settings.prefix, MIGRATE)}:
        return None
    other = str(named).removesuffix(function_name("", MIGRATE))
    return f"holds {other}, not {settings.prefix}"


def refuse_path_of_another(source: Source, settings: Settings) -> None:
    """Refuse the path of another file beside this one.

    Raises:
        SettingsError: with that file.

    """
    if settings.state.path is None:
        return
    for name, file in environment_files(source.path.parent).items():
        if name != settings.environment and _state_in(file) == state_file(settings.state.path):
            raise SettingsError(
                f"{source.origin(('state', 'path'))}: state.path = {settings.state.path!r} is the state of {name} too, "
                f"as {file} says; {_way_out(settings)}"
            )


def refuse_shared_states(environments: Sequence[Settings]) -> None:
    """Refuse environments of which two have one state, where a variable sets it, and a file that holds another.

    Raises:
        SettingsError: with both environments.

    """
    owners: dict[Path, str] = {}
    for settings in environments:
        if settings.state.path is None:
            continue
        file = state_file(settings.state.path)
        if (other := owners.setdefault(file, settings.environment)) != settings.environment:
            raise SettingsError(f"{settings.environment} and {other} have one state, {file}; {_way_out(settings)}")
        if (reason := holds_another(_outputs(file), settings)) is not None:
            raise SettingsError(f"the state of {settings.environment}, {file}, {reason}; {_way_out(settings)}")


def _way_out(settings: Settings) -> str:
    return (
        "in one state a deploy of either renames or replaces what the other deployed: give each a state of its own, "
        f"such as terraform.{settings.environment}.tfstate"
    )


def _state_in(file: Path) -> Path | None:
    """Return the state that a settings file names, if any. What is wrong with that file is told when it is loaded."""
    try:
        state = read_toml(file).get("state")
    except SettingsError:
        return None
    path = state.get("path") if isinstance(state, dict) else None
    return state_file(path) if isinstance(path, str) else None


def _outputs(state: Path) -> dict[str, Any]:
    """Return the values of a state's outputs. What is wrong with the state is for Terraform to tell."""
    try:
        outputs = json.loads(state.read_text())["outputs"]
        return {name: output["value"] for name, output in outputs.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
