"""What an RDS instance class gives: virtual CPUs, memory, and whether its CPU runs on credits.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html
"""

from dataclasses import dataclass

from stacks.settings.rds_offers import POSTGRES, rds_offers

# Size -> virtual CPUs, and GiB of memory for each of them in the three kinds of family.
SIZES_VCPUS = {
    "large": 2,
    "xlarge": 4,
    "2xlarge": 8,
    "4xlarge": 16,
    "8xlarge": 32,
    "12xlarge": 48,
    "16xlarge": 64,
    "24xlarge": 96,
    "32xlarge": 128,
    "48xlarge": 192,
}
GIB_PER_VCPU = {"m": 4, "r": 8}
# The burstable sizes follow no rule.
BURSTABLE = {
    "micro": (2, 1),
    "small": (2, 2),
    "medium": (2, 4),
    "large": (2, 8),
    "xlarge": (4, 16),
    "2xlarge": (8, 32),
}
FAMILIES = ("t3", "t4g", "m5", "m6g", "m6i", "m7g", "m7i", "m8g", "r5", "r6g", "r6i", "r7g", "r7i", "r8g")
# PostgreSQL's own formula on RDS gives about 100 connections a GiB, and 5000 at most.
CONNECTIONS_PER_GIB = 100
MOST_CONNECTIONS = 5000
# Of the database's connections, those that RDS Proxy may open. The rest is for `migrate`, `doctor`, the bastion and RDS
# itself, which connect directly.
PROXY_CONNECTIONS_PERCENT = 80
# The class of Aurora Serverless v2: its size is a range of capacity.
SERVERLESS = "db.serverless"


@dataclass(frozen=True, kw_only=True)
class InstanceClass:
    """The size of an instance."""

    vcpus: int
    memory_gib: int
    is_burstable: bool
    most_connections: int = MOST_CONNECTIONS

    @property
    def max_connections(self) -> int:
        """How many sessions the database takes; we set it, so that alarms know it exactly."""
        return min(CONNECTIONS_PER_GIB * self.memory_gib, self.most_connections)


def instance_class(name: str, engine: str = POSTGRES) -> InstanceClass:
    """Return the size of a class such as `db.m7g.large`.

    Raises:
        ValueError: the family is not known here, or RDS has no such size of it for the engine in any region.

    """
    _, family, size = name.split(".")
    offers = rds_offers(engine)
    if family not in offers.sizes:
        raise ValueError(f"has no known family; known: {', '.join(offers.sizes)}")
    if size not in offers.sizes[family]:
        raise ValueError(f"exists in no region; sizes of {family}: {', '.join(offers.sizes[family])}; {offers.as_of}")
    if family.startswith("t"):
        vcpus, memory_gib = BURSTABLE[size]
    else:
        vcpus = SIZES_VCPUS[size]
        memory_gib = vcpus * GIB_PER_VCPU[family[0]]
    return InstanceClass(vcpus=vcpus, memory_gib=memory_gib, is_burstable=family.startswith("t"))
