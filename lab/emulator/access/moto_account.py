"""Reads the account from the running emulator. moto changes while it is read, so each collection is copied first."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from moto.apigatewayv2.models import apigatewayv2_backends
from moto.awslambda.models import lambda_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.logs.models import logs_backends
from moto.rds.models import rds_backends
from moto.s3.models import s3_backends
from moto.scheduler.models import scheduler_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends

from lab.emulator.access.account import (
    Account,
    Endpoint,
    Function,
    Instance,
    Machine,
    Place,
    Proxy,
    Rule,
    Subnet,
)
from lab.emulator.patch_clusters import endpoints_of

ACCOUNT_ID = DEFAULT_ACCOUNT_ID
ANYWHERE = "0.0.0.0/0"


def read_account(region: str) -> Account:
    """Return the account as it is now in one region."""
    iam = iam_backends[ACCOUNT_ID]["aws"]
    ec2 = ec2_backends[ACCOUNT_ID][region]
    roles = list(iam.roles.values())
    functions = [function_of(each.get_configuration(), region=region) for each in _functions(region)]
    return Account(
        id=ACCOUNT_ID,
        region=region,
        policies=dict(_policies(region)),
        role_policies={
            role.arn: {**role.policies, **{each.name: _document(each) for each in list(role.managed_policies.values())}}
            for role in roles
        },
        keys=dict(_keys(region)),
        subnets={subnet.id: _subnet(ec2, subnet) for subnet in _subnets(ec2)},
        vpcs_with_dns=frozenset(
            vpc.id
            for vpc in list(ec2.vpcs.values())
            if _is_true(vpc.enable_dns_support) and _is_true(vpc.enable_dns_hostnames)
        ),
        prefix_lists={
            str(each.prefix_list_name).rpartition(".")[2]: each.id for each in list(ec2.managed_prefix_lists.values())
        },
        rules=tuple(_rules(ec2)),
        endpoints=tuple(_endpoints(ec2)),
        functions=tuple(functions),
        instances=(*_instances(region), *_clusters(region)),
        proxies=tuple(_proxies(region)),
        machines=tuple(_machines(ec2)),
        alarms={
            alarm.alarm_arn: tuple(dict.fromkeys((*alarm.alarm_actions, *alarm.ok_actions)))
            for alarm in list(cloudwatch_backends[ACCOUNT_ID][region].alarms.values())
        },
        event_rules=dict(_event_rules(region)),
        schedules={
            schedule.arn: (schedule.target["RoleArn"], schedule.target["Arn"])
            for group in list(scheduler_backends[ACCOUNT_ID][region].schedule_groups.values())
            for schedule in list(group.schedules.values())
        },
        api_routes=dict(_api_routes(region)),
        log_groups=tuple(group.arn for group in list(logs_backends[ACCOUNT_ID][region].groups.values())),
        flow_logs={each.deliver_logs_permission_arn: each.log_destination for each in list(ec2.flow_logs.values())},
    )


def function_of(configuration: Mapping[str, Any], *, region: str) -> Function:
    """Return a function from its configuration in the form of Lambda's API."""
    network = configuration.get("VpcConfig") or {}
    name = configuration["FunctionName"]
    log_group = configuration.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}")
    return Function(
        name=name,
        arn=f"arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{name}",
        role=configuration["Role"],
        place=_place(network["SubnetIds"], network["SecurityGroupIds"]) if network.get("SubnetIds") else None,
        variables=configuration.get("Environment", {}).get("Variables", {}),
        log_group_arn=f"arn:aws:logs:{region}:{ACCOUNT_ID}:log-group:{log_group}",
        is_traced=configuration.get("TracingConfig", {}).get("Mode") == "Active",
    )


def _document(policy: Any) -> str:
    """Return the version of a managed policy that is in force."""
    return next(str(each.document) for each in policy.versions if each.is_default)


def _functions(region: str) -> list[Any]:
    return list(lambda_backends[ACCOUNT_ID][region].list_functions())


def _policies(region: str) -> Iterator[tuple[str, str]]:
    for role in list(iam_backends[ACCOUNT_ID]["aws"].roles.values()):
        yield role.arn, role.assume_role_policy_document
    for key in list(kms_backends[ACCOUNT_ID][region].keys.values()):
        yield key.arn, key.policy
    for bucket in list(s3_backends[ACCOUNT_ID]["aws"].buckets.values()):
        if bucket.policy is not None:
            yield bucket.arn, bucket.policy.decode()
    for topic in list(sns_backends[ACCOUNT_ID][region].topics.values()):
        yield topic.arn, topic.policy
    for function in _functions(region):
        if function.policy.statements:
            yield function.function_arn, json.dumps({"Statement": function.policy.statements})


def _keys(region: str) -> Iterator[tuple[str, str]]:
    for bucket in list(s3_backends[ACCOUNT_ID]["aws"].buckets.values()):
        rule = (bucket.encryption or {}).get("Rule", {}).get("ApplyServerSideEncryptionByDefault", {})
        if "KMSMasterKeyID" in rule:
            yield bucket.arn, rule["KMSMasterKeyID"]
    secrets: list[Any] = list(secretsmanager_backends[ACCOUNT_ID][region].secrets.values())
    named = [
        *((each.arn, each.kms_key_id) for each in secrets),
        *((each.arn, each.kms_master_key_id) for each in list(sns_backends[ACCOUNT_ID][region].topics.values())),
        *((each.arn, each.kms_key_id) for each in list(logs_backends[ACCOUNT_ID][region].groups.values())),
        *((each.function_arn, each.kms_key_arn) for each in _functions(region)),
    ]
    yield from ((arn, _key_arn(region, key)) for arn, key in named if key)


def _key_arn(region: str, key: str) -> str:
    """Return the ARN of a key, by which policies name it; a resource may name it by its id or alias."""
    try:
        return str(kms_backends[ACCOUNT_ID][region].describe_key(key).arn)
    except KeyError:  # another region's, or none
        return key


def _subnets(ec2: Any) -> list[Any]:
    return [subnet for zones in list(ec2.subnets.values()) for subnet in list(zones.values())]


def _subnet(ec2: Any, subnet: Any) -> Subnet:
    tables = [table for table in list(ec2.route_tables.values()) if table.vpc_id == subnet.vpc_id]
    # The property `associations` iterates without a copy.
    own = [table for table in tables if subnet.id in list(table._associations.values())]  # noqa: SLF001
    (table,) = own or [table for table in tables if table.main_association_id is not None]
    # An internet gateway serves public addresses only, and a function has none.
    targets = [str(route.gateway_id) for route in table.routes if route.destination_cidr_block == ANYWHERE]
    has_default_route = any(not target.startswith("igw-") for target in targets)
    return Subnet(vpc_id=subnet.vpc_id, route_table_id=table.id, has_default_route=has_default_route)


def _is_true(value: bool | str) -> bool:  # noqa: FBT001 - moto keeps what was sent
    return str(value).lower() == "true"


def _rules(ec2: Any) -> Iterator[Rule]:
    for group in [group for groups in list(ec2.groups.values()) for group in list(groups.values())]:
        for rule in [*group.ingress_rules, *group.egress_rules]:
            if rule.ip_protocol not in {"tcp", "-1"}:
                continue
            peer = rule.source_group.get("GroupId") or rule.prefix_list_id or rule.cidr_ipv4
            yield Rule(
                name=rule.id,
                group_id=group.id,
                is_egress=rule.is_egress,
                ports=None if rule.ip_protocol == "-1" else (rule.from_port, rule.to_port),
                peer=peer or rule.cidr_ipv6,
            )


def _endpoints(ec2: Any) -> Iterator[Endpoint]:
    for each in list(ec2.vpc_end_points.values()):
        if each.state == "deleted":
            continue
        yield Endpoint(
            id=each.id,
            vpc_id=each.vpc_id,
            service=each.service_name.rpartition(".")[2],
            policy=each.policy_document,
            route_table_ids=tuple(each.route_table_ids or ()),
            prefix_list_id=each.destination_prefix_list_id if each.vpc_endpoint_type == "Gateway" else None,
            group_ids=tuple(each.security_group_ids),
            has_private_dns=bool(each.private_dns_enabled),
        )


def _instances(region: str) -> Iterator[Instance]:
    for each in list(rds_backends[ACCOUNT_ID][region].databases.values()):
        yield Instance(
            host=each.address,
            port=int(each.port or 0),
            resource_id=each.dbi_resource_id,
            group_ids=tuple(each.vpc_security_group_ids),
            monitoring_role=each.monitoring_role_arn,
        )


def _clusters(region: str) -> Iterator[Instance]:
    """Yield the endpoint of each cluster, by which its writer is reached."""
    for each in list(rds_backends[ACCOUNT_ID][region].clusters.values()):
        yield Instance(
            host=each.endpoint,
            port=int(each.port or 0),
            resource_id=each.db_cluster_resource_id,
            group_ids=tuple(each.vpc_security_group_ids),
            monitoring_role=None,
        )


def _proxies(region: str) -> Iterator[Proxy]:
    rds = rds_backends[ACCOUNT_ID][region]
    for each in list(rds.db_proxies.values()):
        targets = [_address(rds, target.rds_resource_id) for target in each.proxy_target_groups["default"].targets]
        proxy = Proxy(
            name=each.db_proxy_name,
            host=each.endpoint,
            resource_id=each.unique_id,
            group_ids=tuple(each.vpc_security_group_ids),
            role=each.role_arn,
            secret_arns=tuple(auth["SecretArn"] for auth in each.auth or ()),
            target_host=targets[0] if targets else None,
        )
        yield proxy
        for endpoint in endpoints_of(rds, each.db_proxy_name):
            yield replace(proxy, host=endpoint.endpoint, group_ids=tuple(endpoint.vpc_security_group_ids))


def _address(rds: Any, identifier: str) -> str | None:
    """Return the host name of a target of a proxy: of a cluster's writer, or of an instance."""
    if identifier in rds.clusters:
        return str(rds.clusters[identifier].endpoint)
    return str(rds.databases[identifier].address) if identifier in rds.databases else None


def _machines(ec2: Any) -> Iterator[Machine]:
    attached = list(ec2.iam_instance_profile_associations.values())
    by_instance = {each.instance.id: each.iam_instance_profile for each in attached}
    for instance in [each for group in list(ec2.reservations.values()) for each in group.instances]:
        profile = by_instance.get(instance.id)
        if instance.state == "terminated" or profile is None:
            continue
        yield Machine(
            name=instance.id,
            role=profile.roles[0].arn,
            place=_place([instance.subnet_id], [group.id for group in instance.security_groups]),
        )


def _event_rules(region: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for bus in list(events_backends[ACCOUNT_ID][region].event_buses.values()):
        for rule in list(bus.rules.values()):
            yield rule.arn, tuple(target["Arn"] for target in rule.targets)


def _api_routes(region: str) -> Iterator[tuple[str, str]]:
    for api in list(apigatewayv2_backends[ACCOUNT_ID][region].apis.values()):
        for route in list(api.routes.values()):
            integration = api.integrations.get(str(route.target).removeprefix("integrations/"))
            if integration is None:
                continue
            uri = integration.integration_uri
            function = uri.partition("/functions/")[2].removesuffix("/invocations") or uri
            method, _, path = route.route_key.partition(" ")
            yield f"arn:aws:execute-api:{region}:{ACCOUNT_ID}:{api.api_id}/$default/{method}{path}", function


def _place(subnet_ids: list[str], group_ids: list[str]) -> Place:
    return Place(subnet_ids=tuple(subnet_ids), group_ids=tuple(group_ids))
