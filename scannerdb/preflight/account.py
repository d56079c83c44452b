"""Whose account it is, and whether its zones and subnets are there."""

from collections.abc import Iterator
from typing import Any

from scannerdb.checks.model import Answer, Check, Context, ok, refused, warning

# RDS Proxy's recommended minimum of free addresses, by the size of the instance; a smaller instance needs 10:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-network-prereqs.html
PROXY_ADDRESSES = {
    "2xlarge": 15,
    "4xlarge": 25,
    "8xlarge": 45,
    "12xlarge": 60,
    "16xlarge": 75,
    "24xlarge": 110,
    "48xlarge": 110,
}
FEWEST_PROXY_ADDRESSES = 10
# The instance and the standby or its replacement, and the bastion.
OTHER_ADDRESSES = 3


def _identity(context: Context) -> Iterator[Answer]:
    seen = f"{context.account_id} in {context.settings.region}, as {context.caller}"
    if context.caller.endswith(":root"):
        yield warning(f"{seen}: the root user", next="deploy as a role or a user of this account")
    else:
        yield ok(seen)


def _zones(context: Context) -> Iterator[Answer]:
    wanted = zones(context)
    found = context.aws("ec2").describe_availability_zones()["AvailabilityZones"]
    known = {zone["ZoneName"]: zone["State"] for zone in found}
    if missing := [zone for zone in wanted if known.get(zone) != "available"]:
        yield refused(
            f"{', '.join(missing)} not available to this account; it has {', '.join(sorted(known))}",
            next="choose network.availability_zones among these",
        )
    else:
        yield ok(f"{', '.join(wanted)} available")


def _addresses(context: Context) -> Iterator[Answer]:
    """Compare the free addresses of subnets that exist with what this stack places in each; ours are empty."""
    network = context.settings.network
    if not network.exists:
        yield ok("a network of its own")
        return
    needed = _needed_addresses(context)
    for subnet in _subnets(context):
        free, name = subnet["AvailableIpAddressCount"], subnet["SubnetId"]
        seen = f"{name} in {subnet['AvailabilityZone']} has {free} free, {needed} needed"
        if subnet["VpcId"] != network.vpc_id:
            yield refused(
                f"{name} belongs to {subnet['VpcId']}, not to {network.vpc_id}", next="correct network.subnet_ids"
            )
        elif free < needed and not context.managed("aws_db_proxy"):
            yield refused(seen, next="choose larger subnets in network.subnet_ids, or free addresses in this one")
        else:
            yield ok(seen)


def _needed_addresses(context: Context) -> int:
    """Return the most addresses of one subnet that a deploy may use.

    A function uses one in each subnet, because Lambda shares a network interface between functions only where subnet
    and security groups are the same: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """
    size = context.settings.database.instance_class.rpartition(".")[2]
    endpoints = [each for each in context.planned("aws_vpc_endpoint") if each["vpc_endpoint_type"] == "Interface"]
    proxy = PROXY_ADDRESSES.get(size, FEWEST_PROXY_ADDRESSES)
    return len(endpoints) + len(context.planned("aws_lambda_function")) + proxy + OTHER_ADDRESSES


def zones(context: Context) -> list[str]:
    """Return the zones of the settings, or those of the subnets that they name."""
    network = context.settings.network
    if not network.exists:
        return list(network.availability_zones)
    return sorted({subnet["AvailabilityZone"] for subnet in _subnets(context)})


def _subnets(context: Context) -> list[dict[str, Any]]:
    found = context.aws("ec2").describe_subnets(SubnetIds=list(context.settings.network.subnet_ids))
    subnets: list[dict[str, Any]] = found["Subnets"]
    return subnets


ACCOUNT = (
    Check(name="identity", asked="account and caller", ask=_identity),
    Check(name="zones", asked="availability zones", ask=_zones),
    Check(name="addresses", asked="free addresses in subnets", ask=_addresses),
)
