"""Security groups without rules, and rules that each allow one group to reach one port of another."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.security_group import SecurityGroup
from cdktf_cdktf_provider_aws.vpc_security_group_egress_rule import VpcSecurityGroupEgressRule
from cdktf_cdktf_provider_aws.vpc_security_group_ingress_rule import VpcSecurityGroupIngressRule
from constructs import Construct


@dataclass(frozen=True, kw_only=True)
class ExistingGroup:
    """A security group of another owner, as `target` of a rule.

    Args:
        id: of the group.
        name_input: names it in descriptions.
        printed: receives a command for each rule, in the place of the rule; `None`: the rules are made.

    """

    id: str
    name_input: str
    printed: list[str] | None = field(default=None, hash=False)


Target = SecurityGroup | ExistingGroup
Rule = VpcSecurityGroupEgressRule | VpcSecurityGroupIngressRule

HTTPS = 443


def security_group(
    scope: Construct, *, name: str, vpc_id: str, description: str, depends_on: Sequence[ITerraformDependable] = ()
) -> SecurityGroup:
    """Create a group without rules; Terraform also removes the outbound rule that AWS adds."""
    return SecurityGroup(
        scope,
        "security_group",
        name=name,
        vpc_id=vpc_id,
        description=description,
        depends_on=list(depends_on) or None,
    )


def allow(scope: Construct, id_: str, *, source: SecurityGroup, target: Target, port: int) -> list[Rule]:
    """Let `source` open TCP connections to `target`: one rule on each side, of a printed group on ours alone."""
    description = f"{source.name_input} to {target.name_input}"
    egress = VpcSecurityGroupEgressRule(
        scope,
        f"{id_}_out",
        security_group_id=source.id,
        referenced_security_group_id=target.id,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        description=description,
    )
    if isinstance(target, ExistingGroup) and target.printed is not None:
        target.printed.append(
            f"aws ec2 authorize-security-group-ingress --group-id {target.id} --protocol tcp --port {port} "
            f"--source-group {source.id}    # {description}"
        )
        return [egress]
    return [egress, _way_in(scope, f"{id_}_in", group_id=source.id, target=target, port=port, description=description)]


def allow_clients(scope: Construct, id_: str, *, group_id: str, target: SecurityGroup, port: int) -> Rule:
    """Let members of a group outside this stack open TCP connections to `target`.

    The outbound rule belongs to the owner of that group.
    """
    description = f"{group_id} to {target.name_input}"
    return _way_in(scope, id_, group_id=group_id, target=target, port=port, description=description)


def _way_in(
    scope: Construct, id_: str, *, group_id: str, target: Target, port: int, description: str
) -> VpcSecurityGroupIngressRule:
    return VpcSecurityGroupIngressRule(
        scope,
        id_,
        security_group_id=target.id,
        referenced_security_group_id=group_id,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        description=description,
    )


def allow_https(scope: Construct, id_: str, *, source: SecurityGroup) -> list[Rule]:
    """Let `source` call services at any address that the network leads to."""
    egress = VpcSecurityGroupEgressRule(
        scope,
        id_,
        security_group_id=source.id,
        cidr_ipv4="0.0.0.0/0",
        ip_protocol="tcp",
        from_port=HTTPS,
        to_port=HTTPS,
        description=f"{source.name_input} to AWS services",
    )
    return [egress]


def allow_prefix_list(
    scope: Construct, id_: str, *, source: SecurityGroup, prefix_list_id: str, service: str
) -> list[Rule]:
    """Let `source` reach a service's gateway endpoint, whose addresses AWS keeps in a prefix list."""
    egress = VpcSecurityGroupEgressRule(
        scope,
        id_,
        security_group_id=source.id,
        prefix_list_id=prefix_list_id,
        ip_protocol="tcp",
        from_port=HTTPS,
        to_port=HTTPS,
        description=f"{source.name_input} to {service}",
    )
    return [egress]
