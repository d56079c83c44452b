"""A Lambda function in the isolated network, with its own role, security group and log group."""

import platform
import sys
from collections.abc import Mapping, Sequence

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.lambda_function import (
    LambdaFunction,
    LambdaFunctionEnvironment,
    LambdaFunctionLoggingConfig,
    LambdaFunctionTracingConfig,
    LambdaFunctionVpcConfig,
)
from cdktf_cdktf_provider_aws.s3_object import S3Object
from constructs import Construct

from handlers.contract import metrics, names
from handlers.contract.variables import (
    POWERTOOLS_LOG_LEVEL,
    POWERTOOLS_METRICS_NAMESPACE,
    POWERTOOLS_SERVICE_NAME,
)
from stacks.assets.package import Package
from stacks.foundation import iam
from stacks.foundation.context import Context
from stacks.foundation.iam import EVERY_RESOURCE, PolicyStatement
from stacks.foundation.log_groups import log_group
from stacks.network import security_groups
from stacks.network.network import Network

NEWEST_RUNTIME_MINOR = 13

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
ATTACH_ACTIONS = (
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
FIND_NETWORK_ACTIONS = ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets")


class Function(Construct):
    """One of the four functions; they share one package and differ in handler, variables and permissions."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        context: Context,
        network: Network,
        key_arn: str,
        package: Package,
        stored_package: S3Object,
        timeout_s: int,
        variables: Mapping[str, str],
        statements: Mapping[str, PolicyStatement],
        depends_on: Sequence[ITerraformDependable] = (),
    ) -> None:
        super().__init__(scope, id_)
        settings = context.settings.functions
        self.function_name = names.function_name(context.settings.prefix, id_)
        # Known before the function exists, so that its own role can name it.
        self.function_arn = context.arn("lambda", f"function:{self.function_name}")
        logs = log_group(
            self,
            "log_group",
            context=context,
            name=names.function_log_group(context.settings.prefix, id_),
            key_arn=key_arn,
        )
        role, self.policy = iam.service_role(
            self,
            "role",
            name=self.function_name,
            service="lambda.amazonaws.com",
            statements={**_runtime_statements(context, self.function_arn, logs.arn, key_arn), **statements},
        )
        # A destroy deletes in the reverse order. Lambda deletes its network interfaces with the function's role, within
        # up to 20 minutes, and Terraform waits for that where it deletes the group: so the policy must outlive it.
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-enis
        self.security_group = security_groups.security_group(
            self,
            name=self.function_name,
            vpc_id=network.vpc_id,
            description=f"Lambda function {id_}",
            depends_on=[self.policy],
        )
        runtime, architecture = _runtime(context)
        reserved = settings.reserved_concurrency
        self.function = LambdaFunction(
            self,
            "function",
            function_name=self.function_name,
            description=f"{id_} of {context.settings.prefix}",
            role=role.arn,
            # Code
            s3_bucket=stored_package.bucket,
            s3_key=stored_package.key,
            source_code_hash=package.sha256_base64,
            handler=f"handlers.{id_}.handler",
            runtime=runtime,
            architectures=[architecture],
            # Size
            memory_size=settings.memory_mib,
            timeout=timeout_s,
            reserved_concurrent_executions=getattr(reserved, id_, None),
            # Network
            vpc_config=LambdaFunctionVpcConfig(
                subnet_ids=network.subnet_ids, security_group_ids=[self.security_group.id]
            ),
            # Configuration
            environment=LambdaFunctionEnvironment(
                variables={
                    **variables,
                    POWERTOOLS_SERVICE_NAME: self.function_name,
                    POWERTOOLS_METRICS_NAMESPACE: metrics.NAMESPACE,
                    POWERTOOLS_LOG_LEVEL: settings.log_level,
                }
            ),
            kms_key_arn=key_arn,
            # Observation. JSON makes the platform's own lines and uncaught errors queryable. What Python prints stays
            # as it is printed, so metrics in EMF still arrive
            # (https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html#python-logging-output).
            logging_config=LambdaFunctionLoggingConfig(log_format="JSON", log_group=logs.name),
            tracing_config=LambdaFunctionTracingConfig(mode="Active"),
            depends_on=[self.policy, *depends_on],
        )


def _runtime(context: Context) -> tuple[str, str]:
    """Return Lambda's runtime and architecture, which are this machine's where an emulator runs the package."""
    if context.settings.functions.platform == "lambda":
        return f"python3.{NEWEST_RUNTIME_MINOR}", "arm64"
    minor = min(sys.version_info.minor, NEWEST_RUNTIME_MINOR)
    return f"python3.{minor}", "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"


def _attached(context: Context) -> list[str]:
    """Return what Lambda attaches a function to: a network that exists may be shared by another account.

    AWS's pages disagree on a wildcard in the place of the resource type: Lambda's example has one, IAM's grammar has
    none. With the types by name too, the statement is right under both readings.
    """
    ours = [context.arn("ec2", f"{kind}/*") for kind in ("*", "network-interface", "subnet", "security-group")]
    if not context.settings.network.exists:
        return ours
    return [*ours, f"arn:{context.partition}:ec2:{context.settings.region}:*:subnet/*"]


def _runtime_statements(
    context: Context, function_arn: str, log_group_arn: str, key_arn: str
) -> dict[str, PolicyStatement]:
    """Return what any function in a VPC needs; narrower than AWSLambdaVPCAccessExecutionRole."""
    return {
        "WriteLogs": iam.statement(
            *("logs:CreateLogStream", "logs:PutLogEvents"), resources=[f"{log_group_arn}:log-stream:*"]
        ),
        "DecryptVariables": iam.statement("kms:Decrypt", resources=[key_arn]),
        # Lambda checks these before the interfaces exist, so they name all of this account and region.
        "AttachToNetwork": iam.statement(*ATTACH_ACTIONS, resources=_attached(context)),
        # These know no resource: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
        "FindNetwork": iam.statement(*FIND_NETWORK_ACTIONS, resources=[EVERY_RESOURCE]),
        # All of these are for Lambda itself; the function's own code may not use them.
        "OnlyLambdaAttaches": iam.statement(
            *(*ATTACH_ACTIONS, *FIND_NETWORK_ACTIONS),
            effect="Deny",
            resources=[EVERY_RESOURCE],
            conditions={"ArnEquals": {"lambda:SourceFunctionArn": [function_arn]}},
        ),
        # X-Ray knows no resource for these: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
        # Lambda's own daemon sends the traces, from outside of the VPC, so no endpoint is needed.
        "Trace": iam.statement(*("xray:PutTraceSegments", "xray:PutTelemetryRecords"), resources=[EVERY_RESOURCE]),
    }
