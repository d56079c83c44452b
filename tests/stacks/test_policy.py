"""Policy: checkov on Terraform's real plan of production, with every suppression explained."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest

from scannerdb.review.policy import CONFIGURATION, Policy, check_policy
from tests.support.planned import planned_once

if TYPE_CHECKING:
    from scannerdb import terraform

pytestmark = pytest.mark.slow

# A policy check that checks nothing passes too: production's 170 resources pass some 360 checks.
FEWEST_PASSED = 340


def failed(policy: Policy) -> set[tuple[str, str]]:
    return {(finding.check, finding.resource) for finding in policy.failed}


@pytest.fixture(scope="module")
def plan(provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Production's plan, against an emulator that has nothing yet."""
    return planned_once(tmp_path_factory, "prod").json


def test_the_plan_creates_everything_and_destroys_nothing(plan: dict[str, Any]) -> None:
    actions = [change["change"]["actions"] for change in plan["resource_changes"] if change["mode"] == "managed"]
    assert len(actions) > 150
    assert all(action == ["create"] for action in actions)


def test_the_plan_holds_no_password(plan: dict[str, Any]) -> None:
    (instance,) = [change for change in plan["resource_changes"] if change["type"] == "aws_db_instance"]
    planned = instance["change"]["after"]
    assert planned["manage_master_user_password"] is True
    assert planned["password"] is planned["password_wo"] is None


def test_the_plan_passes_every_check_and_there_are_hundreds(plan: dict[str, Any]) -> None:
    policy = check_policy(plan)
    assert failed(policy) == set()
    print(f"checkov passed {policy.passed} checks of production's plan")
    assert policy.passed >= FEWEST_PASSED
    assert not policy.is_blind


def test_a_plan_with_unencrypted_storage_and_an_open_metadata_service_fails(plan: dict[str, Any]) -> None:
    broken = copy.deepcopy(plan)

    def break_modules(module: dict[str, Any]) -> None:
        for resource in module["resources"]:
            if resource["type"] == "aws_db_instance":
                resource["values"]["storage_encrypted"] = False
            if resource["type"] == "aws_instance":
                resource["values"]["metadata_options"][0]["http_tokens"] = "optional"

    break_modules(broken["planned_values"]["root_module"])
    assert failed(check_policy(broken)) == {
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


def test_every_suppressed_check_would_fail_without_its_suppression(plan: dict[str, Any]) -> None:
    identifiers = re.findall(r"^  - (CKV2?_AWS_\d+)$", CONFIGURATION.read_text(), re.MULTILINE)
    options = ("--framework", "terraform_plan", "--skip-download", "--check", ",".join(identifiers))
    found = failed(check_policy(with_cluster(plan), options))
    assert {identifier for identifier, _ in found} == set(identifiers)


def with_cluster(plan: dict[str, Any]) -> dict[str, Any]:
    """Return a plan with a cluster beside the instance: one check is about clusters, and production has none."""
    both = copy.deepcopy(plan)
    resources = both["planned_values"]["root_module"]["resources"]
    (instance,) = (each for each in resources if each["type"] == "aws_db_instance")
    cluster = {"address": "aws_rds_cluster.cluster", "type": "aws_rds_cluster", "name": "cluster"}
    resources.append(instance | cluster | {"values": {"engine": "aurora-postgresql"}})
    return both
