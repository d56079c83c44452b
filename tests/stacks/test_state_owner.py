"""Two environments never share one state."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from stacks.settings import SettingsError, load_settings, refuse_shared_states
from tests.support.settings_file import COMPLETE
from tests.support.synthesis import run_main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.synthesis import Synthesised


def state_of(deployment: str) -> str:
    return json.dumps({"version": 4, "outputs": {"migrate_function_name": {"value": f"{deployment}-migrate"}}})


def test_a_copy_of_an_environment_with_its_state_is_refused(tmp_path: Path) -> None:
    for name in ("dev", "stage"):
        (tmp_path / f"{name}.toml").write_text(COMPLETE)
    with pytest.raises(SettingsError) as refused:
        load_settings(tmp_path / "stage.toml", {})
    assert str(refused.value) == (
        f"{tmp_path}/stage.toml: state.path = 'terraform.dev.tfstate' is the state of dev too, as {tmp_path}/dev.toml "
        "says; in one state a deploy of either renames or replaces what the other deployed: give each a state of its "
        "own, such as terraform.stage.tfstate"
    )


@pytest.mark.parametrize("spelled", ["./terraform.dev.tfstate", "build/../terraform.dev.tfstate"])
def test_the_same_state_spelled_otherwise_is_refused(tmp_path: Path, spelled: str) -> None:
    (tmp_path / "dev.toml").write_text(COMPLETE)
    (tmp_path / "stage.toml").write_text(COMPLETE.replace("terraform.dev.tfstate", spelled))
    with pytest.raises(SettingsError, match="is the state of dev too"):
        load_settings(tmp_path / "stage.toml", {})


def test_a_state_of_its_own_or_a_bucket_is_enough(tmp_path: Path) -> None:
    (tmp_path / "dev.toml").write_text(COMPLETE)
    (tmp_path / "stage.toml").write_text(COMPLETE.replace("terraform.dev", "terraform.stage"))
    (tmp_path / "test.toml").write_text(COMPLETE.replace('path = "terraform.dev.tfstate"', 'bucket = "states"'))
    (tmp_path / "prod.toml").write_text(COMPLETE.replace('path = "terraform.dev.tfstate"', 'bucket = "states"'))
    (tmp_path / "broken.toml").write_text("[state")
    names = ("dev", "stage", "test", "prod")
    refuse_shared_states([load_settings(tmp_path / f"{name}.toml", {}) for name in names])


def test_a_variable_gives_two_environments_no_common_state(tmp_path: Path) -> None:
    with pytest.raises(
        RuntimeError, match=r"local and dev have one state, .*/common.tfstate; in one state a deploy of"
    ):
        run_main("dev", "local", outdir=tmp_path, variables={"SCANNER__STATE__PATH": str(tmp_path / "common.tfstate")})


def test_a_state_file_that_holds_another_environment_is_refused_before_a_plan(tmp_path: Path) -> None:
    state = tmp_path / "terraform.tfstate"
    state.write_text(state_of("scanner-database-stage"))
    with pytest.raises(RuntimeError, match="holds scanner-database-stage, not scanner-database-dev; in one state"):
        run_main("dev", outdir=tmp_path / "out", variables={"SCANNER__STATE__PATH": str(state)})


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version": 4}', '{"outputs": {}}', '{"outputs": []}', state_of("scanner-database-dev")]
)
def test_a_state_that_is_empty_or_its_own_is_no_obstacle(tmp_path: Path, text: str) -> None:
    state = tmp_path / "terraform.tfstate"
    state.write_text(text)
    (tmp_path / "dev.toml").write_text(COMPLETE)
    refuse_shared_states([load_settings(tmp_path / "dev.toml", {"SCANNER__STATE__PATH": str(state)})])


def test_terraform_refuses_to_plan_with_the_state_of_another_environment(
    stacks: dict[str, Synthesised], tmp_path: Path
) -> None:
    """Wherever the state is: the resource keeps in it the name of the first that was applied."""

    def terraform(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(shutil.which("terraform")), f"-chdir={tmp_path}", *arguments, "-no-color"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def owner_of(environment: str) -> dict[str, Any]:
        return {"resource": {"terraform_data": stacks[environment].every("terraform_data")}}

    stack = tmp_path / "main.tf.json"
    stack.write_text(json.dumps(owner_of("local")))
    assert terraform("init").returncode == 0
    assert terraform("apply", "-auto-approve").returncode == 0
    assert terraform("plan", "-detailed-exitcode").returncode == 0
    stack.write_text(json.dumps(owner_of("dev")))
    refused = terraform("plan")
    assert refused.returncode == 1
    assert "The state holds scanner-database-local, and this plan is of scanner-database-dev" in " ".join(
        refused.stderr.split()
    )
    stack.write_text(json.dumps(owner_of("local")))
    assert terraform("apply", "-destroy", "-auto-approve").returncode == 0
