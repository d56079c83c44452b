"""In a network that exists and has its own way to AWS: Terraform deploys, finds nothing left, and destroys."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from lab.deployment import changes
from scannerdb.review.allowed import load_allowed
from scannerdb.review.policy import check_policy
from tests.support.variant import Life, Variant, live

if TYPE_CHECKING:
    from scannerdb import terraform

pytestmark = pytest.mark.deployment

MEDIUM = Variant(name="medium", size="medium", in_existing_network=True)


@pytest.fixture(scope="module")
def life(provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory) -> Life:
    return live(MEDIUM, directory=tmp_path_factory.mktemp(MEDIUM.name), provider=provider)


def test_a_second_plan_changes_nothing(life: Life) -> None:
    assert changes(life.second_plan) == []
    assert life.resources > 140


def test_what_is_deployed_passes_the_policy_as_its_first_plan_did(life: Life) -> None:
    """A first plan does not know the policies of roles, among other things, so checkov passes over them."""
    policy = check_policy(life.second_plan)
    allowed = {entry.check for entry in load_allowed("dev", today=dt.datetime.now(dt.UTC).date()).policy}
    assert [finding for finding in policy.failed if finding.check not in allowed] == []
    assert not policy.is_blind


def test_the_instance_is_of_the_size(life: Life) -> None:
    (instance,) = life.made("DBInstances")
    deployed = ("DBInstanceClass", "AllocatedStorage", "MaxAllocatedStorage", "MultiAZ", "BackupRetentionPeriod")
    assert tuple(instance[name] for name in deployed) == ("db.m7g.large", 50, 500, True, 7)


def test_no_vpc_subnet_route_table_or_flow_log_is_made(life: Life) -> None:
    for kind, key in (("Vpcs", "VpcId"), ("Subnets", "SubnetId"), ("RouteTables", "RouteTableId")):
        assert {each[key] for each in life.deployed[kind]} == {each[key] for each in life.before[kind]}
    assert life.deployed["FlowLogs"] == []


def test_everything_lies_in_its_subnets(life: Life) -> None:
    subnets = set(life.network["subnet_ids"])
    (group,) = life.made("DBSubnetGroups")
    assert {each["SubnetIdentifier"] for each in group["Subnets"]} == subnets
    (proxy,) = life.made("DBProxies")
    assert set(proxy["VpcSubnetIds"]) == subnets
    assert {subnet for each in life.made("Functions") for subnet in each["VpcConfig"]["SubnetIds"]} == subnets
    assert {each["SubnetId"] for each in life.made("NetworkInterfaces")} <= subnets
    for kind in ("SecurityGroups", "Instances"):
        assert {each["VpcId"] for each in life.made(kind)} == {life.network["vpc_id"]}
    assert life.made("VpcEndpoints") == []


def test_nothing_was_denied(life: Life) -> None:
    assert life.refused == []


def test_destroy_leaves_the_account_and_its_networks_as_they_were(life: Life) -> None:
    assert {kind: held for kind, held in life.destroyed.items() if held != life.before[kind]} == {}
    assert life.made("DBInstances")
    assert life.made("Functions")
