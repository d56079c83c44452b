"""`scannerdb preflight` asks of an instance that exists what Terraform's data source does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scannerdb.checks.run import run
from scannerdb.preflight.command import context_of
from scannerdb.preflight.database import DATABASE
from scannerdb.preflight.existing import EXISTING
from stacks.settings import load_settings
from tests.support.existing_instance import IDENTIFIER, around_existing
from tests.support.scripted_aws import ACCOUNT, Refusal, ScriptedAws
from tests.support.well_account import WELL

if TYPE_CHECKING:
    from pathlib import Path

    from scannerdb.checks.model import Answer

WELL_INSTANCE: dict[str, Any] = {
    "DBInstanceIdentifier": IDENTIFIER,
    "DBInstanceStatus": "available",
    "EngineVersion": "16.4",
    "DBSubnetGroup": {"VpcId": "vpc-0123456789abcdef0"},
    "PubliclyAccessible": False,
    "IAMDatabaseAuthenticationEnabled": True,
    "PerformanceInsightsEnabled": True,
    "DeletionProtection": True,
    "BackupRetentionPeriod": 7,
    "AllocatedStorage": 20,
    "MaxAllocatedStorage": 100,
    "DBParameterGroups": [{"DBParameterGroupName": "scans", "ParameterApplyStatus": "in-sync"}],
}
MODIFY = f"aws rds modify-db-instance --db-instance-identifier {IDENTIFIER}"


def answers(folder: Path, *lines: str, instance: Any) -> list[Answer]:
    file = folder / "shared.toml"
    file.write_text(around_existing(*lines))
    settings = load_settings(file, {})
    aws = ScriptedAws(WELL | {"rds.describe_db_instances": instance}).clients(settings)
    context = context_of(settings, aws, {}, account_id=ACCOUNT, caller="ann")
    return list(run((*DATABASE, *EXISTING), context))


def test_of_a_well_instance_each_answer_says_what_was_seen(tmp_path: Path) -> None:
    found = answers(tmp_path, instance={"DBInstances": [WELL_INSTANCE]})
    assert {answer.state for answer in found} == {"ok"}
    assert f"that of {IDENTIFIER}" in {answer.seen for answer in found}
    assert len(found) == 10


@pytest.mark.parametrize(
    ("changed", "state", "seen", "way_out"),
    [
        ({"IAMDatabaseAuthenticationEnabled": False}, "refused", "IAM authentication is off", "--enable-iam-database"),
        ({"DBInstanceStatus": "modifying"}, "refused", "is modifying, 16.4", "deploy when it is available"),
        (
            {"DBSubnetGroup": {"VpcId": "vpc-0f"}},
            "refused",
            "it lies in vpc-0f, and network.vpc_id is vpc-0123456789abcdef0",
            "network.vpc_id = vpc-0f",
        ),
        ({"PubliclyAccessible": True}, "warning", "a public address", f"{MODIFY} --apply-immediately --no-publicly"),
        ({"DeletionProtection": False}, "warning", "deletion protection is off", "--deletion-protection"),
        ({"PerformanceInsightsEnabled": False}, "warning", "database-load would never ring", "--enable-performance-"),
        ({"BackupRetentionPeriod": 0}, "warning", "no automated backups", "--backup-retention-period 7"),
        ({"MaxAllocatedStorage": 200}, "warning", "may grow to 200 GiB", "max_allocated_storage_gib = 200"),
        (
            {"DBParameterGroups": [{"DBParameterGroupName": "default.postgres16", "ParameterApplyStatus": "in-sync"}]},
            "warning",
            "default.postgres16, in-sync: no parameter of it can be changed",
            "docs/adopt.md",
        ),
        (
            {"DBParameterGroups": [{"DBParameterGroupName": "scans", "ParameterApplyStatus": "pending-reboot"}]},
            "warning",
            "scans, pending-reboot",
            "aws rds reboot-db-instance",
        ),
        (
            {"PendingModifiedValues": {"DBInstanceClass": "db.m7g.large"}},
            "warning",
            "DBInstanceClass",
            "let them apply",
        ),
    ],
)
def test_what_differs_is_told_with_the_way_out(
    tmp_path: Path, changed: dict[str, Any], state: str, seen: str, way_out: str
) -> None:
    found = answers(tmp_path, instance={"DBInstances": [WELL_INSTANCE | changed]})
    (fault,) = [answer for answer in found if answer.state != "ok"]
    assert fault.state == state
    assert seen in fault.seen
    assert way_out in fault.next


def test_a_missing_instance_is_refused_with_account_and_region(tmp_path: Path) -> None:
    *_, answer = answers(tmp_path, instance=Refusal("DBInstanceNotFound", status=404))
    assert (answer.state, answer.check) == ("refused", "existing-instance")
    assert answer.seen == f"there is no instance {IDENTIFIER} in eu-central-1 of account {ACCOUNT}"


def test_without_performance_insights_on_both_sides_the_missing_alarm_is_said(tmp_path: Path) -> None:
    instance = {"DBInstances": [WELL_INSTANCE | {"PerformanceInsightsEnabled": False}]}
    found = answers(tmp_path, "performance_insights = false", instance=instance)
    assert "Performance Insights is off; the alarm database-load is left out" in {answer.seen for answer in found}
