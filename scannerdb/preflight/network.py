"""Whether the zones and subnets of the settings are there, with room for and offers of what will lie in them."""

from collections.abc import Iterator
from typing import Any

from scannerdb.checks.model import Answer, Check, Context, ok, refused
from stacks.settings.subnet_addresses import used_addresses


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
    needed = used_addresses(network, context.settings.database)
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


def _endpoint_services(context: Context) -> Iterator[Answer]:
    """Look whether each service has an endpoint in each zone; a service may lack one in a zone of its region."""
    names = [each["service_name"] for each in context.planned("aws_vpc_endpoint")]
    if not names:
        yield ok("no endpoint of its own")
        return
    found = context.aws("ec2").describe_vpc_endpoint_services(ServiceNames=names)["ServiceDetails"]
    offered = {(each["ServiceName"], zone) for each in found for zone in each["AvailabilityZones"]}
    wanted = zones(context)
    lacking = [f"{name} in {zone}" for name in names for zone in wanted if (name, zone) not in offered]
    if lacking:
        yield refused(f"not offered: {', '.join(lacking)}", next="choose other zones in network.availability_zones")
    else:
        yield ok(f"{len(names)} offered in {', '.join(wanted)}")


def _bastion_type(context: Context) -> Iterator[Answer]:
    """Look whether the bastion's instance type is offered in the zone of the first subnet, where it will be."""
    types = [each["instance_type"] for each in context.planned("aws_instance")]
    first, *_ = zones(context)
    found = context.aws("ec2").describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": types}, {"Name": "location", "Values": [first]}],
    )["InstanceTypeOfferings"]
    if missing := set(types) - {each["InstanceType"] for each in found}:
        yield refused(f"{', '.join(missing)} not offered in {first}", next="name another subnet first")
    else:
        yield ok(f"{', '.join(types)} offered in {first}")


def zones(context: Context) -> list[str]:
    """Return the zones of the settings, or those of the subnets that they name, in the order of the subnets."""
    network = context.settings.network
    if not network.exists:
        return list(network.availability_zones)
    zone_of = {subnet["SubnetId"]: str(subnet["AvailabilityZone"]) for subnet in _subnets(context)}
    return [zone_of[subnet_id] for subnet_id in network.subnet_ids]


def _subnets(context: Context) -> list[dict[str, Any]]:
    found = context.aws("ec2").describe_subnets(SubnetIds=list(context.settings.network.subnet_ids))
    subnets: list[dict[str, Any]] = found["Subnets"]
    return subnets


NETWORK = (
    Check(name="zones", asked="availability zones", ask=_zones),
    Check(name="addresses", asked="free addresses in subnets", ask=_addresses),
    Check(name="endpoint-services", asked="endpoints in the zones", ask=_endpoint_services),
    Check(name="bastion-type", asked="bastion in its zone", ask=_bastion_type),
)
