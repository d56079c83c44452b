"""How many addresses the smallest subnet must have for what lies in it."""

import ipaddress

from handlers.contract.names import FUNCTIONS
from stacks.settings.base import MisfitError
from stacks.settings.database import DatabaseSettings
from stacks.settings.network import NetworkSettings

# The first four and the last: https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
RESERVED_BY_AWS = 5
# One address in each subnet: secretsmanager, states, ssm and ssmmessages.
ENDPOINTS = 4
# The instance or its standby, and a spare one for maintenance, failover and a new size; each reader of a cluster comes
# on top, as all may lie in one zone:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html
DATABASE = 2
BASTION = 1
# What RDS Proxy recommends to leave free, by the virtual CPUs of the database. It never uses more than 215 in a VPC.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-network-prereqs.html#rds-proxy-network-prereqs.plan-ip-address
PROXY = {4: 10, 8: 15, 16: 25, 32: 45, 48: 60, 64: 75, 96: 110}
MOST_OF_PROXY = 215


def used_addresses(network: NetworkSettings, database: DatabaseSettings) -> int:
    """Return the most addresses of one subnet that a deployment uses."""
    endpoints = ENDPOINTS if network.has_endpoints else 0
    vcpus = database.size.vcpus
    proxy = next((addresses for most, addresses in PROXY.items() if vcpus <= most), MOST_OF_PROXY)
    # Lambda shares an interface among the executions with the same subnet and security group, and each function has a
    # group of its own: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-enis
    instances = 0 if database.existing_identifier else DATABASE + database.readers
    return endpoints + instances + BASTION + len(FUNCTIONS) + proxy


def check_subnet_sizes(network: NetworkSettings, database: DatabaseSettings) -> None:
    """Refuse subnets of our own that are too small; those that exist are not described in the settings.

    Raises:
        MisfitError: with the longest prefix that is enough.

    """
    needed = RESERVED_BY_AWS + used_addresses(network, database)
    longest = ipaddress.IPV4LENGTH - (needed - 1).bit_length()
    for cidr in network.subnet_cidrs:
        if ipaddress.IPv4Network(cidr).prefixlen > longest:
            raise MisfitError(
                ("network", "subnet_cidrs"),
                cidr,
                f"with {database.instance_class} each subnet needs {needed} addresses, for the proxy, functions, "
                f"endpoints, bastion and database: make it /{longest} or larger",
            )
