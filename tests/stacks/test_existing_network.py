"""A deployment into subnets that exist already makes no network, and everything else as ever."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from scannerdb import terraform
from stacks.settings import SettingsError, load_settings
from tests.support.settings_file import COMPLETE
from tests.support.synthesis import Synthesised, statements, synthesise_file

if TYPE_CHECKING:
    from pathlib import Path

OWN = """vpc_cidr = "10.42.0.0/22"
subnet_cidrs = ["10.42.0.0/24", "10.42.1.0/24"]
availability_zones = ["eu-central-1a", "eu-central-1b"]
"""
EXISTING = """vpc_id = "vpc-0123456789abcdef0"
subnet_ids = ["subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb"]
"""
ROUTE_TABLES = 'route_table_ids = ["rtb-0cccccccccccccccc"]\n'
SUBNETS = ["subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb"]


def write(folder: Path, network: str) -> Path:
    assert OWN in COMPLETE
    file = folder / "shared.toml"
    # A provider older than 6.25 knows no authentication by IAM from end to end.
    file.write_text(
        COMPLETE.replace(OWN, network) + '\n[proxy]\nauth_mode = "secrets"\n[aws]\nprovider_version = ">= 5"\n'
    )
    return file


def synthesise(tmp_path_factory: pytest.TempPathFactory, network: str) -> Synthesised:
    folder = tmp_path_factory.mktemp("shared")
    return synthesise_file(write(folder, network), folder / "cdktf.out")


@pytest.fixture(scope="module")
def with_endpoints(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesise(tmp_path_factory, EXISTING + ROUTE_TABLES)


@pytest.fixture(scope="module")
def without_endpoints(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesise(tmp_path_factory, EXISTING)


@pytest.fixture(params=["with_endpoints", "without_endpoints"])
def shared(request: pytest.FixtureRequest) -> Synthesised:
    """Return the stack for each way to AWS services: by endpoints of ours, and by whatever the network has."""
    synthesised: Synthesised = request.getfixturevalue(request.param)
    return synthesised


@pytest.mark.parametrize(
    "kind",
    [
        "aws_vpc",
        "aws_subnet",
        "aws_route_table",
        "aws_route_table_association",
        "aws_flow_log",
        "aws_default_security_group",
    ],
)
def test_nothing_of_the_network_is_made_or_managed(shared: Synthesised, kind: str) -> None:
    assert shared.every(kind) == {}


def test_everything_is_put_into_its_subnets(shared: Synthesised, stacks: dict[str, Synthesised]) -> None:
    assert shared.one("aws_db_subnet_group")["subnet_ids"] == SUBNETS
    assert shared.one("aws_db_proxy")["vpc_subnet_ids"] == SUBNETS
    assert shared.one("aws_instance")["subnet_id"] == SUBNETS[0]
    assert {str(each["vpc_config"]["subnet_ids"]) for each in shared.every("aws_lambda_function").values()} == {
        str(SUBNETS)
    }
    assert {group["vpc_id"] for group in shared.every("aws_security_group").values()} == {"vpc-0123456789abcdef0"}
    others = stacks["dev"].every("aws_security_group").keys() - shared.every("aws_security_group").keys()
    assert others <= {"endpoints_security_group"}


def rules(stack: Synthesised, direction: str, group: str) -> list[dict[str, object]]:
    reference = f"${{aws_security_group.{group}_security_group.id}}"
    every = stack.every(f"aws_vpc_security_group_{direction}_rule").values()
    return [rule for rule in every if rule["security_group_id"] == reference]


def session_manager(stack: Synthesised) -> dict[str, object]:
    (statement,) = json.loads(stack.one("aws_iam_role_policy", "bastion_role_policy")["policy"])["Statement"]
    return dict(statement)


def test_without_route_tables_no_endpoint_takes_services_away_from_others(without_endpoints: Synthesised) -> None:
    assert without_endpoints.every("aws_vpc_endpoint") == {}
    assert "endpoints_security_group" not in without_endpoints.every("aws_security_group")


@pytest.mark.parametrize("caller", ["migrate", "status", "bastion"])
def test_without_endpoints_services_are_called_wherever_the_network_leads(
    without_endpoints: Synthesised, caller: str
) -> None:
    (rule,) = [each for each in rules(without_endpoints, "egress", caller) if "cidr_ipv4" in each]
    assert (rule["cidr_ipv4"], rule["from_port"], rule["to_port"]) == ("0.0.0.0/0", 443, 443)


@pytest.mark.parametrize("caller", ["migrate", "doctor"])
def test_without_endpoints_s3_is_reached_at_its_own_addresses(without_endpoints: Synthesised, caller: str) -> None:
    (rule,) = [each for each in rules(without_endpoints, "egress", caller) if "prefix_list_id" in each]
    assert rule["prefix_list_id"] == "${data.aws_prefix_list.endpoints_s3.id}"
    assert without_endpoints.json["data"]["aws_prefix_list"]["endpoints_s3"]["name"] == "com.amazonaws.eu-central-1.s3"


def test_only_requests_through_endpoints_say_which_network_they_come_from(
    with_endpoints: Synthesised, without_endpoints: Synthesised
) -> None:
    network = "vpc-0123456789abcdef0"
    assert session_manager(with_endpoints)["Condition"] == {"StringEquals": {"aws:SourceVpc": network}}
    # An instance's own credentials say it whichever way they are used.
    assert session_manager(without_endpoints)["Condition"] == {"StringEquals": {"aws:Ec2InstanceSourceVpc": network}}


def test_functions_are_attached_to_subnets_that_another_account_shares(shared: Synthesised) -> None:
    resources = statements(shared, "status_role_policy")["AttachToNetwork"]["Resource"]
    assert [resource for resource in resources if re.fullmatch(r"arn:\S+:ec2:eu-central-1:\*:subnet/\*", resource)]


def test_with_route_tables_the_endpoints_are_ours(with_endpoints: Synthesised) -> None:
    endpoints = with_endpoints.every("aws_vpc_endpoint")
    assert endpoints["endpoints_s3"]["route_table_ids"] == ["rtb-0cccccccccccccccc"]
    interfaces = [each for each in endpoints.values() if each["vpc_endpoint_type"] == "Interface"]
    assert len(interfaces) == 4
    assert all(each["subnet_ids"] == SUBNETS for each in interfaces)


@pytest.mark.slow
def test_the_provider_s_schema_accepts_it(shared: Synthesised, terraform_environment: dict[str, str]) -> None:
    shared.keep_state_in_folder()
    terraform.init(shared.folder, terraform_environment, backend=False)
    terraform.validate(shared.folder, terraform_environment)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("", "it has none of them"),
        (OWN + EXISTING, "it has vpc_cidr, subnet_cidrs, availability_zones, vpc_id, subnet_ids"),
        (OWN + ROUTE_TABLES, "it has vpc_cidr, subnet_cidrs, availability_zones, route_table_ids"),
        (EXISTING.replace("subnet_ids", "# "), "it has vpc_id"),
        (
            EXISTING.replace("0bbbbbbbbbbbbbbbb", "0aaaaaaaaaaaaaaaa"),
            "subnet-0aaaaaaaaaaaaaaaa is there more than once",
        ),
        (EXISTING.replace("vpc-0123456789abcdef0", "my-network"), "network.vpc_id = 'my-network' is not allowed"),
    ],
)
def test_half_a_network_and_two_networks_are_refused(tmp_path: Path, network: str, expected: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(write(tmp_path, network), {})
    assert expected in str(refused.value)
