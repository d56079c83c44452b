"""The bastion: a small instance that only Session Manager reaches, for port forwarding to the database."""

from cdktf_cdktf_provider_aws.data_aws_ssm_parameter import DataAwsSsmParameter
from cdktf_cdktf_provider_aws.iam_instance_profile import IamInstanceProfile
from cdktf_cdktf_provider_aws.instance import Instance, InstanceMetadataOptions, InstanceRootBlockDevice
from constructs import Construct

from stacks.access.proxy import Proxy
from stacks.database.database import Database
from stacks.foundation import iam
from stacks.foundation.context import Context
from stacks.foundation.iam import EVERY_RESOURCE
from stacks.network import security_groups
from stacks.network.endpoints import Endpoints
from stacks.network.network import Network

IMAGE_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
INSTANCE_TYPE = "t4g.nano"
ROOT_VOLUME_GIB = 8  # what the image needs


class Bastion(Construct):
    """No key pair, no inbound rule, nothing to install, and no public address even in a subnet that assigns them."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        context: Context,
        network: Network,
        endpoints: Endpoints,
        database: Database,
        proxy: Proxy,
        key_arn: str,
    ) -> None:
        super().__init__(scope, id_)
        name = context.name("bastion")
        group = security_groups.security_group(
            self, name=name, vpc_id=network.vpc_id, description="Bastion, reached by Session Manager only"
        )
        endpoints.allow_from(self, group)
        for target_id, target in (("to_database", database), ("to_proxy", proxy)):
            security_groups.allow(self, target_id, source=group, target=target.security_group, port=target.port)
        role, policy = iam.service_role(
            self,
            "role",
            name=name,
            service="ec2.amazonaws.com",
            statements={
                # The least that Session Manager needs; the channels know no resource:
                # https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
                # The condition makes the credentials useless outside of this network. Behind a NAT the source
                # VPC of a request is unknown; there the condition names the VPC that the credentials were issued in:
                # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
                "SessionManager": iam.statement(
                    "ssm:UpdateInstanceInformation",
                    *("ssmmessages:CreateControlChannel", "ssmmessages:OpenControlChannel"),
                    *("ssmmessages:CreateDataChannel", "ssmmessages:OpenDataChannel"),
                    resources=[EVERY_RESOURCE],
                    conditions={"StringEquals": {_network_key(context): network.vpc_id}},
                )
            },
        )
        profile = IamInstanceProfile(self, "profile", name=name, role=role.name)
        image = DataAwsSsmParameter(self, "image", name=IMAGE_PARAMETER)
        self.instance = Instance(
            self,
            "instance",
            ami=image.insecure_value,
            instance_type=INSTANCE_TYPE,
            subnet_id=network.subnet_ids[0],
            associate_public_ip_address=False,
            vpc_security_group_ids=[group.id],
            iam_instance_profile=profile.name,
            ebs_optimized=True,
            metadata_options=InstanceMetadataOptions(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            root_block_device=InstanceRootBlockDevice(
                encrypted=True,
                kms_key_id=key_arn,
                volume_type="gp3",
                volume_size=ROOT_VOLUME_GIB,
                delete_on_termination=True,
            ),
            tags={"Name": name},
            # A newer image alone does not replace the bastion in an unrelated deploy. To renew it:
            # terraform -chdir=cdktf.out/stacks/<environment> apply -replace=aws_instance.bastion_instance
            lifecycle={"ignore_changes": ["ami"]},
            depends_on=[policy, *endpoints.ready],
        )


def _network_key(context: Context) -> str:
    return "aws:SourceVpc" if context.settings.network.has_endpoints else "aws:Ec2InstanceSourceVpc"
