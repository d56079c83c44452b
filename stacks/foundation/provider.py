"""The AWS provider of a stack, pointed at AWS or at an emulator."""

from cdktf import TerraformStack
from cdktf_cdktf_provider_aws.provider import AwsProvider, AwsProviderDefaultTags, AwsProviderEndpoints

from stacks.settings import Settings
from stacks.settings.tags import all_tags

# As the provider calls them; an emulator needs every service that the stack uses.
SERVICES = (
    *("apigatewayv2", "cloudwatch", "ec2", "events", "iam", "kms", "lambda_", "logs"),
    *("rds", "s3", "scheduler", "secretsmanager", "sns", "ssm", "sts"),
)


def aws_provider(stack: TerraformStack, settings: Settings) -> None:
    """Add the provider, its version constraint, and the tags that every resource gets."""
    tags = AwsProviderDefaultTags(tags=all_tags(settings.tags, environment=settings.environment))
    endpoint = settings.aws.endpoint
    if endpoint is None:
        AwsProvider(stack, "aws", region=settings.region, default_tags=[tags])
    else:
        AwsProvider(
            stack,
            "aws",
            region=settings.region,
            default_tags=[tags],
            endpoints=[AwsProviderEndpoints(**dict.fromkeys(SERVICES, endpoint))],
            s3_use_path_style=True,
            # The emulator needs no account; real credentials from the environment must not reach it.
            access_key="test",
            secret_key="test",  # noqa: S106 - no secret
            skip_credentials_validation=True,
            skip_metadata_api_check="true",
        )
    # The bindings ask for the very version that they were made from.
    stack.add_override("terraform.required_providers.aws.source", "hashicorp/aws")
    stack.add_override("terraform.required_providers.aws.version", settings.aws.provider_version)
