"""Each size, and a network that exists: Terraform makes it, finds nothing left to change, and takes it away."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from lab.deployment import changes
from scannerdb.review.allowed import load_allowed
from scannerdb.review.policy import check_policy
from tests.support.variant import Life, Variant, live

if TYPE_CHECKING:
    from collections.abc import Callable

    from scannerdb import terraform

pytestmark = pytest.mark.deployment

SMALL = Variant(name="small", size="small")
# Its way to AWS services is its owner's.
MEDIUM = Variant(name="medium", size="medium", in_existing_network=True, has_endpoints=False)
LARGE = Variant(name="large", size="large", in_existing_network=True)
VARIANTS = (SMALL, MEDIUM, LARGE)
IN_EXISTING_NETWORK = (MEDIUM, LARGE)

# What a size promises. The profiles are not read, so that a slip in them is seen.
SIZES: dict[str, dict[str, Any]] = {
    "small": {
        "database": ("db.t4g.small", 20, 100, False, 1),
        "refresh": "rate(15 minutes)",
        "log_retention_days": 30,
        "log_min_duration_ms": "1000",
        "alarms": {"api-errors": 5, "progress-backlog": 20_000, "slow-queries": 10},
    },
    "medium": {
        "database": ("db.m7g.large", 50, 500, True, 7),
        "refresh": "rate(5 minutes)",
        "log_retention_days": 90,
        "log_min_duration_ms": "1000",
        "alarms": {"api-errors": 5, "progress-backlog": 50_000, "slow-queries": 10},
    },
    "large": {
        "database": ("db.r7g.large", 100, 1000, True, 14),
        "refresh": "rate(1 minute)",
        "log_retention_days": 365,
        "log_min_duration_ms": "500",
        "alarms": {"api-errors": 10, "progress-backlog": 100_000, "slow-queries": 20},
    },
}


@pytest.fixture(scope="module")
def lives(provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Variant], Life]:
    """All at the same time: of its four minutes, a life waits two for the provider, which waits for RDS."""
    with ThreadPoolExecutor(len(VARIANTS)) as pool:
        running: dict[str, Future[Life]] = {
            each.name: pool.submit(live, each, directory=tmp_path_factory.mktemp(each.name), provider=provider)
            for each in VARIANTS
        }
    return lambda variant: running[variant.name].result()


@pytest.fixture(params=VARIANTS, ids=lambda variant: variant.name)
def life(request: pytest.FixtureRequest, lives: Callable[[Variant], Life]) -> Life:
    return lives(request.param)


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
    assert tuple(instance[name] for name in deployed) == SIZES[life.variant.size]["database"]


def test_progress_is_refreshed_as_often_as_the_size_says(life: Life) -> None:
    schedules = {each["Name"]: each for each in life.made("Schedules")}
    refresh = schedules[f"scanner-database-{life.variant.name}-refresh"]
    assert refresh["ScheduleExpression"] == SIZES[life.variant.size]["refresh"]
    assert json.loads(refresh["Target"]["Input"]) == {"source": "schedule"}


def test_every_log_is_kept_as_long_as_the_size_says(life: Life) -> None:
    groups = life.made("logGroups")
    assert len(groups) >= 8
    assert {each.get("retentionInDays") for each in groups} == {SIZES[life.variant.size]["log_retention_days"]}


def test_slow_statements_are_logged_from_the_length_of_the_size(life: Life) -> None:
    values = {each["ParameterName"]: each["ParameterValue"] for each in life.made("DBParameters")}
    assert values["log_min_duration_statement"] == SIZES[life.variant.size]["log_min_duration_ms"]


def test_alarms_ring_at_the_thresholds_of_the_size(life: Life) -> None:
    prefix = f"scanner-database-{life.variant.name}-"
    thresholds = {each["AlarmName"].removeprefix(prefix): each["Threshold"] for each in life.made("MetricAlarms")}
    expected = SIZES[life.variant.size]["alarms"]
    assert {name: thresholds.get(name) for name in expected} == expected


def test_a_network_of_its_own_has_one_vpc_and_two_subnets(lives: Callable[[Variant], Life]) -> None:
    life = lives(SMALL)
    (vpc,) = life.made("Vpcs")
    assert [each["VpcId"] for each in life.made("Subnets")] == [vpc["VpcId"]] * 2


@pytest.mark.parametrize("variant", IN_EXISTING_NETWORK, ids=lambda variant: variant.name)
def test_in_a_network_that_exists_no_vpc_subnet_route_table_or_flow_log_is_made(
    variant: Variant, lives: Callable[[Variant], Life]
) -> None:
    life = lives(variant)
    for kind, key in (("Vpcs", "VpcId"), ("Subnets", "SubnetId"), ("RouteTables", "RouteTableId")):
        assert {each[key] for each in life.deployed[kind]} == {each[key] for each in life.before[kind]}
    assert life.deployed["FlowLogs"] == []


@pytest.mark.parametrize("variant", IN_EXISTING_NETWORK, ids=lambda variant: variant.name)
def test_in_a_network_that_exists_everything_lies_in_its_subnets(
    variant: Variant, lives: Callable[[Variant], Life]
) -> None:
    life = lives(variant)
    subnets = set(life.network["subnet_ids"])
    (group,) = life.made("DBSubnetGroups")
    assert {each["SubnetIdentifier"] for each in group["Subnets"]} == subnets
    (proxy,) = life.made("DBProxies")
    assert set(proxy["VpcSubnetIds"]) == subnets
    assert {subnet for each in life.made("Functions") for subnet in each["VpcConfig"]["SubnetIds"]} == subnets
    assert {each["SubnetId"] for each in life.made("NetworkInterfaces")} <= subnets
    for kind in ("SecurityGroups", "Instances"):
        assert {each["VpcId"] for each in life.made(kind)} == {life.network["vpc_id"]}
    endpoints = [each["VpcId"] for each in life.made("VpcEndpoints")]
    assert endpoints == [life.network["vpc_id"]] * (5 if variant.has_endpoints else 0)


def test_nothing_was_denied(life: Life) -> None:
    assert life.refused == []


def test_destroy_leaves_the_account_and_its_networks_as_they_were(life: Life) -> None:
    assert {kind: held for kind, held in life.destroyed.items() if held != life.before[kind]} == {}
    assert life.made("DBInstances")
    assert life.made("Functions")
