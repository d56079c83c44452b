"""Whether the network lets a connection through: security groups, VPC endpoints, route tables, private DNS."""

from collections.abc import Collection, Mapping

from lab.emulator.access.account import Account, Endpoint, Place, Rule

HTTPS = 443
ANYWHERE = "0.0.0.0/0"


class NoRouteError(Exception):
    """Packets do not arrive; the caller waits until its timeout. The message names what is missing."""


class UnknownNetworkError(NotImplementedError):
    """A security group has a rule that is not known here; extend `network` before it is used."""


def check_path(account: Account, *, source: Collection[str], target: Collection[str], port: int) -> None:
    """Check that one rule lets a source's security groups out to a target's, and one lets them in.

    Raises:
        NoRouteError: a rule is missing.

    """
    _check_way_out(account, source, {*target, ANYWHERE}, port)
    if not any(_admits(rule, {*source, ANYWHERE}, port) for rule in _rules(account, target, is_egress=False)):
        raise NoRouteError(f"no rule lets {_named(source)} into {_named(target)} on port {port}")


def reach_service(account: Account, place: Place, service: str) -> Endpoint | None:
    """Return the endpoint by which a service of AWS is reached, or `None` where a default route leads to it.

    Raises:
        NoRouteError: nothing leads there.

    """
    subnets = [account.subnets[each] for each in place.subnet_ids]
    vpc_id = subnets[0].vpc_id
    endpoint = next((each for each in account.endpoints if (each.vpc_id, each.service) == (vpc_id, service)), None)
    if endpoint is None:
        # A function runs in any of its subnets.
        if not all(subnet.has_default_route for subnet in subnets):
            raise NoRouteError(f"{vpc_id} has no endpoint of {service}, and its subnets have no default route")
        _check_way_out(account, place.group_ids, {ANYWHERE, account.prefix_lists.get(service, ANYWHERE)}, HTTPS)
        return None
    if endpoint.prefix_list_id is not None:
        if not all(subnet.route_table_id in endpoint.route_table_ids for subnet in subnets):
            raise NoRouteError(f"no route table of {_named(place.subnet_ids)} leads to the endpoint of {service}")
        _check_way_out(account, place.group_ids, {endpoint.prefix_list_id, ANYWHERE}, HTTPS)
        return endpoint
    if not endpoint.has_private_dns or vpc_id not in account.vpcs_with_dns:
        raise NoRouteError(f"the name of {service} does not lead to its endpoint in {vpc_id}: no private DNS")
    check_path(account, source=place.group_ids, target=endpoint.group_ids, port=HTTPS)
    return endpoint


def _check_way_out(account: Account, source: Collection[str], peers: Collection[str], port: int) -> None:
    if not any(_admits(rule, peers, port) for rule in _rules(account, source, is_egress=True)):
        raise NoRouteError(f"no rule lets {_named(source)} out to {_named(peers)} on port {port}")


def _rules(account: Account, groups: Collection[str], *, is_egress: bool) -> list[Rule]:
    return [rule for rule in account.rules if rule.group_id in groups and rule.is_egress is is_egress]


def _admits(rule: Rule, peers: Collection[str], port: int) -> bool:
    if "/" in rule.peer and rule.peer != ANYWHERE:
        raise UnknownNetworkError(
            f"{rule.name} names {rule.peer}; {__name__} knows groups, prefix lists and {ANYWHERE}"
        )
    return rule.peer in peers and (rule.ports is None or rule.ports[0] <= port <= rule.ports[1])


def _named(ids: Collection[str]) -> str:
    return ", ".join(sorted(ids))


def source_context(account: Account, place: Place, endpoint: Endpoint | None) -> Mapping[str, str]:
    """Return the condition keys that tell where a request came from; behind a NAT they are unknown."""
    if endpoint is None:
        return {}
    return {"aws:SourceVpc": account.subnets[place.subnet_ids[0]].vpc_id}
