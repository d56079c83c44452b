"""Whether the account's quotas leave room for what the deploy will create."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from handlers.contract.names import function_name
from scannerdb.checks.model import Answer, Check, Context, ok, refused

# Lambda keeps 100 executions for functions that reserve none, and all of them in an account that has fewer:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
LEFT_UNRESERVED = 100
# Two virtual CPUs of a t4g.nano.
BASTION_VCPUS = 2
# The families of the quota of standard instances: A, C, D, H, I, M, R, T, Z.
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
STANDARD_FAMILIES = frozenset({"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"})


@dataclass(frozen=True, kw_only=True)
class Quota:
    """One quota of Service Quotas.

    Attributes:
        name: of the check.
        asked: in words.
        service: the service's code.
        code: the quota's code, as the console shows it.
        needed: how many the deploy will create.
        used: how many there are.

    """

    name: str
    asked: str
    service: str
    code: str
    needed: Callable[[Context], int]
    used: Callable[[Context], int]

    def ask(self, context: Context) -> Iterator[Answer]:
        """Compare."""
        needed = self.needed(context)
        if not needed:
            yield ok("nothing of it will be created")
            return
        used = self.used(context)
        raise_it = (
            f"aws service-quotas request-service-quota-increase --region {context.settings.region} "
            f"--service-code {self.service} --quota-code {self.code} --desired-value {used + needed}"
        )
        yield _compare(used, self._limit(context), needed, raise_it=raise_it)

    def _limit(self, context: Context) -> int:
        quotas = context.aws("service-quotas")
        which = {"ServiceCode": self.service, "QuotaCode": self.code}
        try:
            answer = quotas.get_service_quota(**which)
        except quotas.exceptions.NoSuchResourceException:
            # Some quotas have a default and no applied value:
            # https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
            answer = quotas.get_aws_default_service_quota(**which)
        return int(answer["Quota"]["Value"])


def _compare(used: int, limit: int, needed: int, *, raise_it: str, what: str = "") -> Answer:
    """Return whether a quota leaves room, or how to raise it."""
    seen = f"{what}{used} of {limit} in use, {needed} more needed"
    return refused(seen, next=raise_it) if used + needed > limit else ok(seen)


def _count(context: Context, service: str, operation: str, key: str, **arguments: Any) -> int:
    pages = context.aws(service).get_paginator(operation).paginate(**arguments)
    return sum(len(page[key]) for page in pages)


def _new(context: Context, kind: str, **having: str) -> int:
    """Return how many resources of a type the stack plans beyond those in the state."""

    def number(bodies: list[dict[str, Any]]) -> int:
        return sum(all(body.get(name) == value for name, value in having.items()) for body in bodies)

    return max(number(context.planned(kind)) - number(context.managed(kind)), 0)


def _standard_vcpus(context: Context) -> int:
    """Return the virtual CPUs of the instances that run and count against this quota."""
    filters = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    pages = context.aws("ec2").get_paginator("describe_instances").paginate(Filters=filters)
    instances = [each for page in pages for group in page["Reservations"] for each in group["Instances"]]
    cores = [
        each["CpuOptions"]["CoreCount"] * each["CpuOptions"]["ThreadsPerCore"]
        for each in instances
        if _letters(each["InstanceType"]) in STANDARD_FAMILIES
    ]
    return sum(cores)


def _letters(instance_type: str) -> str:
    """Return the letters that a type begins with: `t` of `t4g.nano`, `inf` of `inf2.xlarge`."""
    return "".join(itertools.takewhile(str.isalpha, instance_type))


def _interface_endpoints(context: Context) -> int:
    if (vpc_id := context.settings.network.vpc_id) is None:
        return 0
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "vpc-endpoint-type", "Values": ["Interface"]}]
    return _count(context, "ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=filters)


# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html, and for RDS and EC2
# https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html
QUOTAS_OF_SERVICES = (
    Quota(
        name="quota-vpcs",
        asked="quota: VPCs",
        service="vpc",
        code="L-F678F1CE",
        needed=lambda context: _new(context, "aws_vpc"),
        used=lambda context: _count(context, "ec2", "describe_vpcs", "Vpcs"),
    ),
    Quota(
        name="quota-gateway-endpoints",
        asked="quota: gateway endpoints",
        service="vpc",
        code="L-1B52E74A",
        needed=lambda context: _new(context, "aws_vpc_endpoint", vpc_endpoint_type="Gateway"),
        used=lambda context: _count(
            context,
            "ec2",
            "describe_vpc_endpoints",
            "VpcEndpoints",
            Filters=[{"Name": "vpc-endpoint-type", "Values": ["Gateway"]}],
        ),
    ),
    Quota(
        name="quota-interface-endpoints",
        asked="quota: endpoints of a VPC",
        service="vpc",
        code="L-29B6F2EB",
        needed=lambda context: _new(context, "aws_vpc_endpoint", vpc_endpoint_type="Interface"),
        used=_interface_endpoints,
    ),
    Quota(
        name="quota-proxies",
        asked="quota: RDS proxies",
        service="rds",
        code="L-D94C7EA3",
        needed=lambda context: _new(context, "aws_db_proxy"),
        used=lambda context: _count(context, "rds", "describe_db_proxies", "DBProxies"),
    ),
    Quota(
        # Some new accounts may run no instance at all.
        name="quota-vcpus",
        asked="quota: vCPUs on demand",
        service="ec2",
        code="L-1216C47A",
        needed=lambda context: BASTION_VCPUS * _new(context, "aws_instance"),
        used=_standard_vcpus,
    ),
)


# Names of DescribeAccountAttributes: what the deploy adds to each.
def _of_rds(context: Context) -> Mapping[str, int]:
    database = context.settings.database
    instances = _new(context, "aws_db_instance")
    return {
        "DBInstances": instances + _new(context, "aws_rds_cluster_instance"),
        "DBClusters": _new(context, "aws_rds_cluster"),
        "DBClusterParameterGroups": _new(context, "aws_rds_cluster_parameter_group"),
        "AllocatedStorage": database.allocated_storage_gib * instances,
        "DBSubnetGroups": _new(context, "aws_db_subnet_group"),
        "DBParameterGroups": _new(context, "aws_db_parameter_group"),
    }


def _rds(context: Context) -> Iterator[Answer]:
    found = context.aws("rds").describe_account_attributes()["AccountQuotas"]
    quotas = {each["AccountQuotaName"]: each for each in found}
    for name, needed in _of_rds(context).items():
        if (quota := quotas.get(name)) is None:
            continue
        raise_it = "raise it in the console of Service Quotas, Amazon RDS"
        yield _compare(quota["Used"], quota["Max"], needed, raise_it=raise_it, what=f"{name}: ")


def _concurrency(context: Context) -> Iterator[Answer]:
    limits = context.aws("lambda").get_account_settings()["AccountLimit"]
    limit, unreserved = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]
    reserved = context.settings.functions.reserved_concurrency
    if reserved is None:
        yield ok(f"{unreserved} of {limit} executions unreserved, none to be reserved")
        return
    ours = sum(_reserved_now(context, name) for name in type(reserved).model_fields)
    needed, least = sum(reserved.model_dump().values()), min(LEFT_UNRESERVED, limit)
    seen = f"{unreserved + ours} of {limit} executions to share, {needed} to be reserved, {least} must stay"
    if unreserved + ours - needed < least:
        yield refused(
            seen,
            next="leave [functions.reserved_concurrency] out of the settings, or raise the quota L-B99A9384 of lambda",
        )
    else:
        yield ok(seen)


def _reserved_now(context: Context, function: str) -> int:
    """Return what a function of an earlier deploy reserves: this deploy replaces it."""
    lambda_ = context.aws("lambda")
    try:
        answer = lambda_.get_function_concurrency(FunctionName=function_name(context.settings.prefix, function))
    except lambda_.exceptions.ResourceNotFoundException:
        return 0
    return int(answer.get("ReservedConcurrentExecutions", 0))


QUOTAS = (
    Check(name="quota-concurrency", asked="quota: function concurrency", ask=_concurrency),
    *(Check(name=quota.name, asked=quota.asked, ask=quota.ask) for quota in QUOTAS_OF_SERVICES),
    Check(name="quota-rds", asked="quota: RDS", ask=_rds),
)
