"""The life of one variant: `dev` in another size, or in a network that exists, in an emulator of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab.deployment import Deployment
from scannerdb import terraform
from stacks import ROOT
from tests.support.existing_instance import OWN_NETWORK
from tests.support.inventory import Inventory, inventory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What differs on one machine, as environments/local.toml has it.
EMULATED = {
    "SCANNER__AWS__PROVIDER_VERSION": ">= 5.100.0, < 7",
    "SCANNER__PROXY__AUTH_MODE": "secrets",
    "SCANNER__FUNCTIONS__PLATFORM": "host",
}
# Lines of environments/dev.toml that a variant replaces.
SIZE = 'size = "small"'
# Setting it is a second change of the instance, for which the provider waits another 80 seconds.
CERTIFICATE = 'ca_certificate = "rds-ca-rsa2048-g1"\n'
# No real network: variables name it, once there is one. Without route tables no endpoints are made.
EXISTING_NETWORK = """vpc_id = "vpc-0"
subnet_ids = ["subnet-0", "subnet-1"]
"""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What is deployed."""

    name: str
    size: str
    in_existing_network: bool = False


@dataclass
class Life:
    """What was seen of a variant from its beginning to its end; the inventories are of the whole emulated account."""

    variant: Variant
    network: dict[str, Any] = field(default_factory=dict)
    before: Inventory = field(default_factory=dict)
    deployed: Inventory = field(default_factory=dict)
    destroyed: Inventory = field(default_factory=dict)
    second_plan: dict[str, Any] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    resources: int = 0

    def made(self, kind: str) -> list[Any]:
        """Return what the deployment added to the account."""
        return [each for each in self.deployed[kind] if each not in self.before[kind]]


def live(
    variant: Variant,
    *,
    directory: Path,
    provider: terraform.Provider,
    while_deployed: Callable[[Deployment], None] = lambda _: None,
) -> Life:
    """Apply, which validates first, plan again and destroy; a network that must exist is made first.

    Args:
        variant: what is deployed.
        directory: holds all state.
        provider: of Terraform.
        while_deployed: called before the second plan.

    Raises:
        DeploymentError, TerraformError: a step failed; the message is what it printed.

    """
    life, file = Life(variant), directory / f"{variant.name}.toml"
    file.write_text(settings_of(variant))
    with Deployment(directory / "deployment", settings_file=file, report=lambda _: None) as deployment:
        deployment.overrides.update(EMULATED)
        if variant.in_existing_network:
            ec2 = deployment.emulator.client("ec2")
            life.network = make_network(ec2)
            _make_nat(ec2, life.network["subnet_ids"][0], *life.network.pop("route_table_ids"))
            for key, ids in life.network.items():
                deployment.overrides[f"SCANNER__NETWORK__{key.upper()}"] = str(ids)
        life.before = inventory(deployment.emulator)
        deployment.synthesise()
        stack, environment = deployment.stack_directory, deployment.environment(provider)
        terraform.init(stack, environment)
        agree = ("-no-color", "-auto-approve")
        applied = terraform.run(stack, environment, "apply", *agree)
        life.resources = int(re.findall(r"Resources: (\d+) added", applied)[0])
        while_deployed(deployment)
        life.second_plan = deployment.plan(provider)
        life.deployed = inventory(deployment.emulator)
        deployment.emulator.check_services()
        # The second plan has just asked what there is.
        terraform.run(stack, environment, "destroy", *agree, "-refresh=false")
        life.destroyed = inventory(deployment.emulator)
        life.refused = [f"{each['what']}: {each['refused']}" for each in deployment.emulator.refusals()]
    return life


def settings_of(variant: Variant) -> str:
    """Return the settings file of a variant."""
    text = (ROOT / "environments" / "dev.toml").read_text()
    network = EXISTING_NETWORK if variant.in_existing_network else OWN_NETWORK
    for part, instead in ((SIZE, f'size = "{variant.size}"'), (CERTIFICATE, ""), (OWN_NETWORK, network)):
        assert part in text, f"environments/dev.toml has no {part} any more"
        text = text.replace(part, instead)
    return text


def make_network(ec2: Any) -> dict[str, Any]:
    """Make what the owner of a network has, a subnet in each of two zones; return the settings that name it."""
    vpc_id = ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": True})
    route_table_id = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
    subnet_ids = []
    for number, zone in enumerate(("eu-central-1a", "eu-central-1b")):
        subnet = ec2.create_subnet(VpcId=vpc_id, CidrBlock=f"10.80.{number}.0/24", AvailabilityZone=zone)["Subnet"]
        ec2.associate_route_table(RouteTableId=route_table_id, SubnetId=subnet["SubnetId"])
        subnet_ids.append(subnet["SubnetId"])
    return {"vpc_id": vpc_id, "subnet_ids": subnet_ids, "route_table_ids": [route_table_id]}


def _make_nat(ec2: Any, subnet_id: str, route_table_id: str) -> None:
    """Give a network its own way to AWS services."""
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=subnet_id, AllocationId=address)["NatGateway"]["NatGatewayId"]
    ec2.create_route(RouteTableId=route_table_id, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
