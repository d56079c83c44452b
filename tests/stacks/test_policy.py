"""Policy: checkov on Terraform's real plan of production, with every suppression explained."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local import terraform
from tests.stacks.conftest import ROOT

if TYPE_CHECKING:
    from tests.stacks.conftest import Synthesised

CONFIGURATION = ROOT / ".checkov.yaml"
# A policy check that checks nothing passes too: production's 170 resources pass some 360 checks.
FEWEST_PASSED = 340


def check(plan: dict[str, Any], folder: Path) -> tuple[int, dict[str, Any]]:
    """Run checkov as `.checkov.yaml` says, and return its exit code and results."""
    file = folder / "plan.json"
    file.write_text(json.dumps(plan))
    command = [
        str(Path(sys.executable).with_name("checkov")),
        *("--config-file", str(CONFIGURATION), "--file", str(file), "--output", "json"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def failed(results: dict[str, Any]) -> set[tuple[str, str]]:
    return {(item["check_id"], item["resource"]) for item in results["results"]["failed_checks"]}


@pytest.fixture(scope="module")
def plan(
    plannable_stacks: dict[str, Synthesised],
    terraform_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """Production's plan, against an emulator that has nothing yet."""
    folder, saved = plannable_stacks["prod"].folder, tmp_path_factory.mktemp("plan") / "plan.out"
    terraform.init(folder, terraform_environment)
    terraform.plan(folder, terraform_environment, saved)
    return terraform.show_json(folder, terraform_environment, saved)


def test_the_plan_creates_everything_and_destroys_nothing(plan: dict[str, Any]) -> None:
    actions = [change["change"]["actions"] for change in plan["resource_changes"] if change["mode"] == "managed"]
    assert len(actions) > 150
    assert all(action == ["create"] for action in actions)


def test_the_plan_holds_no_password(plan: dict[str, Any]) -> None:
    (instance,) = [change for change in plan["resource_changes"] if change["type"] == "aws_db_instance"]
    planned = instance["change"]["after"]
    assert planned["manage_master_user_password"] is True
    assert planned["password"] is planned["password_wo"] is None


def test_the_plan_passes_every_check_and_there_are_hundreds(plan: dict[str, Any], tmp_path: Path) -> None:
    code, results = check(plan, tmp_path)
    assert failed(results) == set()
    assert code == 0
    passed = results["summary"]["passed"]
    print(f"checkov passed {passed} checks of production's plan")
    assert passed >= FEWEST_PASSED


def test_a_plan_with_unencrypted_storage_and_an_open_metadata_service_fails(
    plan: dict[str, Any], tmp_path: Path
) -> None:
    broken = copy.deepcopy(plan)

    def break_modules(module: dict[str, Any]) -> None:
        for resource in module["resources"]:
            if resource["type"] == "aws_db_instance":
                resource["values"]["storage_encrypted"] = False
            if resource["type"] == "aws_instance":
                resource["values"]["metadata_options"][0]["http_tokens"] = "optional"

    break_modules(broken["planned_values"]["root_module"])
    code, results = check(broken, tmp_path)
    assert code == 1
    assert failed(results) == {
        ("CKV_AWS_16", "aws_db_instance.database_instance"),
        ("CKV_AWS_79", "aws_instance.bastion_instance"),
    }


def test_every_suppressed_check_has_a_reason_above_it() -> None:
    lines = CONFIGURATION.read_text().partition("skip-check:\n")[2].splitlines()
    suppressed = [number for number, line in enumerate(lines) if re.fullmatch(r"  - CKV2?_AWS_\d+", line)]
    reasons = [number for number, line in enumerate(lines) if re.match(r"  # \S+", line)]
    assert len(suppressed) + len(reasons) == len(lines)
    for number in suppressed:
        assert number - 1 in reasons, f"{lines[number].strip()} has no reason in {CONFIGURATION.name}"


def test_every_suppressed_check_would_fail_without_its_suppression(plan: dict[str, Any], tmp_path: Path) -> None:
    identifiers = re.findall(r"^  - (CKV2?_AWS_\d+)$", CONFIGURATION.read_text(), re.MULTILINE)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    command = [
        str(Path(sys.executable).with_name("checkov")),
        *("--file", str(file), "--framework", "terraform_plan", "--skip-download", "--output", "json"),
        *("--check", ",".join(identifiers)),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert {identifier for identifier, _ in failed(json.loads(done.stdout))} == set(identifiers)
