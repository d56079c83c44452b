"""What must be there before a deploy: the bastion's image, the bucket of the state, service-linked roles."""

from collections.abc import Iterator

from scannerdb.checks.model import Answer, Check, Context, ok, refused, warning
from scannerdb.checks.run import code_of
from scannerdb.outputs import state_address

DEFAULT_REGION = "us-east-1"
# A service makes its role itself, if the deployer has iam:CreateServiceLinkedRole. RDS may fail while it does so:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAM.ServiceLinkedRoles.html
# https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html
SERVICE_LINKED_ROLES = {
    "rds.amazonaws.com": "AWSServiceRoleForRDS",
    "ops.apigateway.amazonaws.com": "AWSServiceRoleForAPIGateway",
}


def _image(context: Context) -> Iterator[Answer]:
    parameters = context.stack["data"]["aws_ssm_parameter"].values()
    ssm = context.aws("ssm")
    for name in (parameter["name"] for parameter in parameters):
        try:
            value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
        except ssm.exceptions.ParameterNotFound:
            yield refused(f"{context.settings.region} has no parameter {name}", next="choose another region")
        else:
            yield ok(f"{value} by {name.rpartition('/')[2]}")


def _state(context: Context) -> Iterator[Answer]:
    settings = context.settings
    if (bucket := settings.state.bucket) is None:
        yield ok(f"the file {state_address(settings)}; a team shares a bucket")
        return
    s3 = context.aws("s3")
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if code_of(error) == "404":
            make = f"aws s3 mb s3://{bucket} --region {settings.region}"
            yield refused(f"there is no bucket {bucket}", next=f"{make}, or name another one in state.bucket")
        elif code_of(error) == "403":
            yield refused(
                f"the bucket {bucket} is another account's, or s3:ListBucket on it is denied to {context.caller}",
                next="name a bucket of your own in state.bucket, or grant s3:ListBucket",
            )
        else:
            raise
        return
    region = s3.get_bucket_location(Bucket=bucket).get("LocationConstraint") or DEFAULT_REGION
    if region != settings.region:
        yield refused(
            f"the bucket {bucket} is in {region}, and Terraform will look for it in {settings.region}",
            next="name a bucket of this region in state.bucket",
        )
    elif s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        yield warning(
            f"the bucket {bucket} keeps no old versions: a damaged state is lost",
            next=f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled",
        )
    else:
        yield ok(f"the bucket {bucket} in {region}, versioned")


def _service_linked_roles(context: Context) -> Iterator[Answer]:
    iam = context.aws("iam")
    for service, role in SERVICE_LINKED_ROLES.items():
        try:
            iam.get_role(RoleName=role)
        except iam.exceptions.NoSuchEntityException:
            yield warning(
                f"{role} is missing; {service} makes it if the deployer has iam:CreateServiceLinkedRole",
                next=f"aws iam create-service-linked-role --aws-service-name {service}",
            )
        else:
            yield ok(f"{role} is there")


PREREQUISITES = (
    Check(name="image", asked="image of the bastion", ask=_image),
    Check(name="state", asked="Terraform state", ask=_state),
    Check(name="service-linked-roles", asked="service-linked roles", ask=_service_linked_roles),
)
