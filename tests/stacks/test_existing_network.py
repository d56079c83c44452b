"""A deployment into subnets that exist already makes no network, and everything else as ever."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from local import terraform
from stacks.settings import SettingsError, load_settings
from tests.stacks.conftest import Synthesised, synthesise_file
from tests.stacks.test_settings import COMPLETE

if TYPE_CHECKING:
    from pathlib import Path

OWN = """vpc_cidr = "10.42.0.0/22"
subnet_cidrs = ["10.42.0.0/24", "10.42.1.0/24"]
availability_zones = ["eu-central-1a", "eu-central-1b"]
"""
EXISTING = """vpc_id = "vpc-0123456789abcdef0"
subnet_ids = ["subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb"]
route_table_ids = ["rtb-0cccccccccccccccc"]
"""
SUBNETS = ["subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb"]


def write(folder: Path, network: str) -> Path:
    assert OWN in COMPLETE
    file = folder / "shared.toml"
    # A provider older than 6.25 knows no authentication by IAM from end to end.
    file.write_text(
        COMPLETE.replace(OWN, network) + '\n[proxy]\nauth_mode = "secrets"\n[aws]\nprovider_version = ">= 5"\n'
    )
    return file


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    folder = tmp_path_factory.mktemp("shared")
    return synthesise_file(write(folder, EXISTING), folder / "cdktf.out")


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
    assert shared.every("aws_security_group").keys() == stacks["dev"].every("aws_security_group").keys()


def test_the_endpoints_are_ours_all_the_same(shared: Synthesised) -> None:
    endpoints = shared.every("aws_vpc_endpoint")
    assert endpoints["endpoints_s3"]["route_table_ids"] == ["rtb-0cccccccccccccccc"]
    interfaces = [each for each in endpoints.values() if each["vpc_endpoint_type"] == "Interface"]
    assert len(interfaces) == 4
    assert all(each["subnet_ids"] == SUBNETS for each in interfaces)


def test_the_provider_s_schema_accepts_it(shared: Synthesised, terraform_environment: dict[str, str]) -> None:
    backend = {"terraform": {"backend": {"local": {"path": "terraform.tfstate"}}}}
    (shared.folder / "override.tf.json").write_text(json.dumps(backend))
    terraform.init(shared.folder, terraform_environment, backend=False)
    terraform.validate(shared.folder, terraform_environment)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("", "it has none of them"),
        (OWN + EXISTING, "it has vpc_cidr, subnet_cidrs, availability_zones, vpc_id, subnet_ids, route_table_ids"),
        (EXISTING.replace("route_table_ids", "# "), "it has vpc_id, subnet_ids"),
        (EXISTING.replace("0bbbbbbbbbbbbbbbb", "0aaaaaaaaaaaaaaaa"), "must have two different subnets or more"),
        (EXISTING.replace("vpc-0123456789abcdef0", "my-network"), "network.vpc_id = 'my-network' is not allowed"),
    ],
)
def test_half_a_network_and_two_networks_are_refused(tmp_path: Path, network: str, expected: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(write(tmp_path, network), {})
    assert expected in str(refused.value)
