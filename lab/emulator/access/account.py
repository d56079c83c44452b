"""What a decision about access depends on: policies, network and databases of one account in one region.

Read from the running emulator (`moto_account`); tests read it from a synthesised stack.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something lies in a network: its subnets and its security groups."""

    subnet_ids: tuple[str, ...]
    group_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """One subnet, its route table, and whether that has a default route that serves private addresses."""

    vpc_id: str
    route_table_id: str
    has_default_route: bool


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of a security group for TCP; `peer` is a group, a CIDR or a prefix list. `None` ports: every port."""

    name: str
    group_id: str
    is_egress: bool
    ports: tuple[int, int] | None
    peer: str


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One VPC endpoint; a gateway has route tables and a prefix list, an interface has security groups."""

    id: str
    vpc_id: str
    service: str
    policy: str
    route_table_ids: tuple[str, ...] = ()
    prefix_list_id: str | None = None
    group_ids: tuple[str, ...] = ()
    has_private_dns: bool = False


@dataclass(frozen=True, kw_only=True)
class Function:
    """One Lambda function; without a place it lies in no network of the account."""

    name: str
    arn: str
    role: str
    place: Place | None
    variables: Mapping[str, str]
    log_group_arn: str
    is_traced: bool


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One database instance; `resource_id` is how `rds-db:connect` names it."""

    host: str
    port: int
    resource_id: str
    group_ids: tuple[str, ...]
    monitoring_role: str | None


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One RDS Proxy in front of an instance; without secrets it logs in with IAM as its client's user."""

    name: str
    host: str
    resource_id: str
    group_ids: tuple[str, ...]
    role: str
    secret_arns: tuple[str, ...]
    target_host: str | None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One EC2 instance, and the role of its profile."""

    name: str
    role: str
    place: Place


@dataclass(frozen=True, kw_only=True)
class Account:
    """One account.

    Attributes:
        id, region, partition: where it is.
        policies: ARN -> the policy of that resource; of a role, its trust policy.
        role_policies: ARN of a role -> name -> policy.
        keys: ARN of what is encrypted -> ARN of its key.
        subnets: by id.
        vpcs_with_dns: those that resolve private DNS names of endpoints.
        prefix_lists: name of a service -> the list that AWS keeps of its addresses.
        alarms, event_rules: ARN -> ARNs of what they notify.
        schedules: ARN -> the role in which the schedule invokes, and the ARN of what it invokes.
        api_routes: ARN of a route of an HTTP API, as a policy's `aws:SourceArn` has it -> ARN of its function.
        flow_logs: ARN of the role -> ARN of the log group.

    """

    id: str
    region: str
    partition: str = "aws"
    policies: Mapping[str, str] = field(default_factory=dict)
    role_policies: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    subnets: Mapping[str, Subnet] = field(default_factory=dict)
    vpcs_with_dns: frozenset[str] = frozenset()
    prefix_lists: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    functions: tuple[Function, ...] = ()
    instances: tuple[Instance, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    machines: tuple[Machine, ...] = ()
    alarms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    event_rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    schedules: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    api_routes: Mapping[str, str] = field(default_factory=dict)
    log_groups: tuple[str, ...] = ()
    flow_logs: Mapping[str, str] = field(default_factory=dict)

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.id}:{resource}"
