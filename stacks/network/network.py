"""An isolated network: private subnets, no internet gateway, no NAT; AWS services are reached by endpoints only.

Or subnets of a network that exists: then routes, flow logs and the default security group are its owner's.
"""

from cdktf_cdktf_provider_aws.default_security_group import DefaultSecurityGroup
from cdktf_cdktf_provider_aws.flow_log import FlowLog
from cdktf_cdktf_provider_aws.route_table import RouteTable
from cdktf_cdktf_provider_aws.route_table_association import RouteTableAssociation
from cdktf_cdktf_provider_aws.subnet import Subnet
from cdktf_cdktf_provider_aws.vpc import Vpc
from constructs import Construct

from stacks.foundation import iam
from stacks.foundation.context import Context
from stacks.foundation.log_groups import log_group


class Network(Construct):
    """The VPC and its private subnets, two at least."""

    def __init__(self, scope: Construct, id_: str, *, context: Context, key_arn: str) -> None:
        super().__init__(scope, id_)
        settings = context.settings.network
        if settings.vpc_id is not None:
            self.vpc_id = settings.vpc_id
            self.subnet_ids = list(settings.subnet_ids)
            self.route_table_ids = list(settings.route_table_ids)
            return
        vpc = Vpc(
            self,
            "vpc",
            cidr_block=settings.vpc_cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,  # needed by the endpoints' private DNS names
            tags={"Name": context.settings.prefix},
        )
        # Every VPC has a default group that allows all traffic between its members; managing it removes its rules.
        DefaultSecurityGroup(self, "default_security_group", vpc_id=vpc.id)
        # Only the local route, and the one to S3 that its endpoint adds.
        route_table = RouteTable(self, "route_table", vpc_id=vpc.id, tags={"Name": context.name("private")})
        self.vpc_id = vpc.id
        self.route_table_ids = [route_table.id]
        self.subnet_ids = []
        for cidr, zone in zip(settings.subnet_cidrs, settings.availability_zones, strict=True):
            subnet = Subnet(
                self,
                f"subnet_{zone[-1]}",
                vpc_id=vpc.id,
                cidr_block=cidr,
                availability_zone=zone,
                map_public_ip_on_launch=False,
                tags={"Name": context.name(f"private-{zone}")},
            )
            RouteTableAssociation(self, f"subnet_{zone[-1]}_routes", subnet_id=subnet.id, route_table_id=route_table.id)
            self.subnet_ids.append(subnet.id)
        self._record_traffic(context=context, key_arn=key_arn)

    def _record_traffic(self, *, context: Context, key_arn: str) -> None:
        logs = log_group(
            self,
            "flow_log_group",
            context=context,
            name=f"/aws/vpc/{context.settings.prefix}/flow-logs",
            key_arn=key_arn,
        )
        role, policy = iam.service_role(
            self,
            "flow_log_role",
            name=context.name("flow-logs"),
            service="vpc-flow-logs.amazonaws.com",
            source_account=context.account_id,
            statements={
                "WriteFlowLogs": iam.statement(
                    *("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"),
                    resources=[f"{logs.arn}:*"],
                )
            },
        )
        FlowLog(
            self,
            "flow_log",
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=logs.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=600,
            depends_on=[policy],
        )
