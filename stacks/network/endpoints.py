"""Endpoints of the isolated network: one for each AWS service that is called from inside.

In a network that exists, with its own endpoints or a NAT, no endpoint is created: ours would take over S3 in its route
tables and the private DNS names of the services for every other user of that network.
"""

from cdktf_cdktf_provider_aws.data_aws_prefix_list import DataAwsPrefixList
from cdktf_cdktf_provider_aws.security_group import SecurityGroup
from cdktf_cdktf_provider_aws.vpc_endpoint import VpcEndpoint
from constructs import Construct

from stacks.foundation import iam
from stacks.foundation.context import Context
from stacks.foundation.iam import PolicyStatement
from stacks.network import security_groups
from stacks.network.network import Network
from stacks.network.security_groups import Rule


class Endpoints(Construct):
    """S3 through the route table, the other services through addresses inside the subnets.

    Each endpoint's policy allows only the calls that are made here, and only by this account: credentials of another
    account cannot carry data out.
    """

    def __init__(self, scope: Construct, id_: str, *, context: Context, network: Network, release_bucket: str) -> None:
        super().__init__(scope, id_)
        self._context, self._network = context, network
        self._group: SecurityGroup | None = None
        self.ready: list[VpcEndpoint] = []
        if not context.settings.network.has_endpoints:
            self._s3_prefix_list_id = DataAwsPrefixList(self, "s3", name=self._service("s3")).id
            return
        self._group = security_groups.security_group(
            self, name=context.name("endpoints"), vpc_id=network.vpc_id, description="Endpoints of AWS services"
        )
        releases = f"arn:{context.partition}:s3:::{release_bucket}/*"
        s3 = VpcEndpoint(
            self,
            "s3",
            vpc_id=network.vpc_id,
            service_name=self._service("s3"),
            vpc_endpoint_type="Gateway",
            route_table_ids=network.route_table_ids,
            policy=iam.document([self._statement("s3:GetObject", resource=releases)]),
            tags={"Name": context.name("s3")},
        )
        self._s3_prefix_list_id = s3.prefix_list_id
        self.ready = [
            s3,
            self._interface("secretsmanager", "secretsmanager:GetSecretValue", group=self._group),
            self._interface("states", "states:DescribeExecution", group=self._group),
            self._interface("ssm", "ssm:*", group=self._group),
            self._interface("ssmmessages", "ssmmessages:*", group=self._group),
        ]

    def allow_from(self, scope: Construct, source: SecurityGroup) -> list[Rule]:
        """Let a security group call the services by their endpoints, or by the ways of a network that exists."""
        if self._group is None:
            return security_groups.allow_https(scope, "to_services", source=source)
        return security_groups.allow(
            scope, "to_endpoints", source=source, target=self._group, port=security_groups.HTTPS
        )

    def allow_s3_from(self, scope: Construct, source: SecurityGroup) -> list[Rule]:
        """Let a security group read releases."""
        return security_groups.allow_prefix_list(
            scope, "to_s3", source=source, prefix_list_id=self._s3_prefix_list_id, service="S3"
        )

    def _interface(self, service: str, action: str, *, group: SecurityGroup) -> VpcEndpoint:
        return VpcEndpoint(
            self,
            service,
            vpc_id=self._network.vpc_id,
            service_name=self._service(service),
            vpc_endpoint_type="Interface",
            subnet_ids=self._network.subnet_ids,
            security_group_ids=[group.id],
            private_dns_enabled=True,
            policy=iam.document([self._statement(action)]),
            tags={"Name": self._context.name(service)},
        )

    def _service(self, service: str) -> str:
        return f"com.amazonaws.{self._context.settings.region}.{service}"

    def _statement(self, action: str, *, resource: str = "*") -> PolicyStatement:
        return iam.statement(
            action,
            principals={"AWS": "*"},
            resources=[resource],
            conditions={"StringEquals": {"aws:PrincipalAccount": self._context.account_id}},
        )
