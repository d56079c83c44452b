"""The settings of the network: one of its own, or subnets of one that exists."""

import ipaddress
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from stacks.settings.base import Model, on_change

# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
LARGEST_VPC_PREFIX, SMALLEST_VPC_PREFIX = 16, 28

Cidr = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+\.\d+/\d+$")]


class NetworkSettings(Model):
    """An isolated network of our own, one private subnet in each zone; or subnets of a network that exists."""

    vpc_cidr: Cidr | None = Field(
        None,
        description="an IPv4 range from /16 to /28, such as 10.42.0.0/22",
        json_schema_extra=on_change(
            "**replaces** the network; RDS does not move a subnet group to another VPC, so the deploy fails"
        ),
    )
    subnet_cidrs: tuple[Cidr, ...] = Field(
        (),
        description=(
            "two or more IPv4 ranges inside vpc_cidr, none overlapping; each a /27 or larger, from a 4xlarge on "
            "larger still"
        ),
        json_schema_extra=on_change("**replaces** the subnet and the proxy, whose address changes"),
    )
    availability_zones: tuple[str, ...] = Field(
        (),
        description="as many zones of the region as subnet_cidrs, such as eu-central-1a, all different",
        json_schema_extra=on_change("**replaces** the subnet and the proxy, whose address changes"),
    )
    vpc_id: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]+$")] | None = Field(
        None,
        description="an existing VPC such as vpc-0123456789abcdef0, with DNS host names",
        json_schema_extra=on_change(
            "RDS does not move a subnet group to another VPC, so the deploy fails; add an environment instead"
        ),
    )
    subnet_ids: tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")], ...] = Field(
        (),
        description="two or more of its subnets, in different zones",
        json_schema_extra=on_change("**replaces** the proxy, whose address changes"),
    )
    route_table_ids: tuple[Annotated[str, Field(pattern=r"^rtb-[0-9a-f]+$")], ...] = Field(
        (),
        description="the route tables of these subnets, for endpoints of ours; none: the network leads to AWS services",
        json_schema_extra=on_change("adds or removes the endpoints"),
    )
    client_security_group_ids: tuple[Annotated[str, Field(pattern=r"^sg-[0-9a-f]+$")], ...] = Field(
        (), description="security groups such as sg-0123456789abcdef0, whose members may connect to the proxy"
    )

    @field_validator("vpc_cidr", "subnet_cidrs")
    @classmethod
    def _is_a_network(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for cidr in [value] if isinstance(value, str) else value or ():
            ipaddress.IPv4Network(cidr)  # its ValueError says what is wrong
        return value

    @field_validator("vpc_cidr")
    @classmethod
    def _has_a_size_of_a_vpc(cls, value: str | None) -> str | None:
        if value and not LARGEST_VPC_PREFIX <= ipaddress.IPv4Network(value).prefixlen <= SMALLEST_VPC_PREFIX:
            raise ValueError("a VPC has neither more than 65536 addresses nor fewer than 16")
        return value

    @field_validator("subnet_ids", "route_table_ids", "client_security_group_ids")
    @classmethod
    def _is_named_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({name for name in value if value.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is there more than once")
        return value

    @property
    def exists(self) -> bool:
        """Whether the network exists already and belongs to another owner."""
        return self.vpc_id is not None

    @property
    def has_endpoints(self) -> bool:
        """Whether this stack creates the endpoints; else an existing network brings its own, or a NAT."""
        return not self.exists or bool(self.route_table_ids)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        own = ("vpc_cidr", "subnet_cidrs", "availability_zones")
        existing = ("vpc_id", "subnet_ids")
        given = tuple(name for name in (*own, *existing, "route_table_ids") if getattr(self, name))
        if given not in {own, existing, (*existing, "route_table_ids")}:
            raise ValueError(
                f"must have either {', '.join(own)} for a network of its own, or {' and '.join(existing)} of one that "
                f"exists, with or without route_table_ids; it has {', '.join(given) or 'none of them'}"
            )
        subnets = self.subnet_ids if self.exists else self.subnet_cidrs
        if len(set(subnets)) < 2:  # noqa: PLR2004 - a database and a proxy each span two zones
            raise ValueError(f"must have two different subnets or more; {', '.join(subnets)} is not enough")
        return self if self.exists else self._ranges_fit_together()

    def _ranges_fit_together(self) -> Self:
        vpc = ipaddress.IPv4Network(str(self.vpc_cidr))
        subnets = [ipaddress.IPv4Network(cidr) for cidr in self.subnet_cidrs]
        for number, subnet in enumerate(subnets):
            if not subnet.subnet_of(vpc):
                raise ValueError(f"must have subnet_cidrs inside vpc_cidr {vpc}; {subnet} is not")
            if overlapping := [other for other in subnets[:number] if other.overlaps(subnet)]:
                raise ValueError(f"must have subnet_cidrs that do not overlap; {subnet} overlaps {overlapping[0]}")
        if len(set(self.availability_zones)) != len(subnets):
            zones = ", ".join(self.availability_zones)
            raise ValueError(f"must have as many different availability_zones as subnet_cidrs; {zones} are not")
        return self
