"""The running emulator: a function has the rights of its role, and what it lacks is refused as AWS refuses it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import pytest

from lab.emulator.lambda_worker import find_databases
from lab.emulator.server import Emulator
from tests.support.tiny_functions import package

if TYPE_CHECKING:
    from collections.abc import Iterator

TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
LOGS = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
ATTACH = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::releases/allowed"}
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:lister:0"
CALL = """
import boto3
def handler(event, context):
    try:
        getattr(boto3.client(event["service"]), event["operation"])(**event["parameters"])
    except Exception as error:
        return [type(error).__name__, str(error)]
    return "done"
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("emulator"), region="us-east-1", database_password="secret") as running:
        running.client("s3").create_bucket(Bucket="releases")
        for key in ("allowed", "other"):
            running.client("s3").put_object(Bucket="releases", Key=key, Body=b"zip")
        create_function(running, "caller", LOGS, READ)
        yield running


def create_role(emulator: Emulator, name: str, *statements: dict[str, Any], trust: dict[str, Any] = TRUST) -> str:
    iam = emulator.client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
    return arn


def create_function(emulator: Emulator, name: str, *statements: dict[str, Any], **settings: Any) -> None:
    emulator.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=settings.pop("Role", None) or create_role(emulator, name, *statements),
        Handler="app.handler",
        Code={"ZipFile": package(CALL)},
        Timeout=60,
        **settings,
    )


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def call(emulator: Emulator, service: str, operation: str, *, function: str = "caller", **parameters: str) -> Any:
    return emulator.invoke(function, {"service": service, "operation": operation, "parameters": parameters})


def test_what_the_role_allows_is_done(emulator: Emulator) -> None:
    assert call(emulator, "s3", "get_object", Bucket="releases", Key="allowed") == "done"


def test_what_the_role_does_not_allow_is_refused_in_the_words_of_aws_and_recorded(emulator: Emulator) -> None:
    kind, text = call(emulator, "s3", "get_object", Bucket="releases", Key="other")
    reason = (
        "User: arn:aws:sts::123456789012:assumed-role/caller/caller is not authorized to perform: s3:GetObject on "
        "resource: arn:aws:s3:::releases/other because no identity-based policy allows the s3:GetObject action"
    )
    assert (kind, text) == (
        "ClientError",
        f"An error occurred (AccessDenied) when calling the GetObject operation: {reason}",
    )
    refused = [line for line in emulator.decisions() if line["refused"] == reason]
    assert [(line["by"], line["what"]) for line in refused] == [
        ("caller", "caller: s3:GetObject on arn:aws:s3:::releases/other")
    ]


def test_step_functions_refuses_in_its_own_form(emulator: Emulator) -> None:
    _, text = call(emulator, "stepfunctions", "describe_execution", executionArn=EXECUTION)
    assert text.startswith("An error occurred (AccessDeniedException) when calling the DescribeExecution operation")
    assert "not authorized to perform: states:DescribeExecution" in text


def test_a_bucket_policy_can_deny_what_the_role_allows(emulator: Emulator) -> None:
    s3 = emulator.client("s3")
    deny = {"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": READ["Resource"]}
    s3.put_bucket_policy(Bucket="releases", Policy=document(deny))
    try:
        _, text = call(emulator, "s3", "get_object", Bucket="releases", Key="allowed")
    finally:
        s3.delete_bucket_policy(Bucket="releases")
    assert text.endswith("with an explicit deny in a resource-based policy")


def test_a_call_that_is_not_known_is_refused_by_its_name(emulator: Emulator) -> None:
    _, text = call(emulator, "s3", "head_object", Bucket="releases", Key="allowed")
    assert "501" in text
    assert any("caller calls s3 HeadObject; add it to CALLS" in str(line["refused"]) for line in emulator.decisions())


def test_in_a_network_without_an_endpoint_the_connection_ends_at_once(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="isolated", Description="isolated", VpcId=vpc)["GroupId"]
    network = {"SubnetIds": [subnet], "SecurityGroupIds": [group]}
    create_function(emulator, "isolated", LOGS, ATTACH, READ, VpcConfig=network)
    started = time.monotonic()
    kind, _ = call(emulator, "s3", "get_object", function="isolated", Bucket="releases", Key="allowed")
    assert kind == "ConnectionClosedError"
    assert time.monotonic() - started < 30
    refused = {line["refused"] for line in emulator.decisions() if line["by"] == "isolated" and line["refused"]}
    assert refused == {f"{vpc} has no endpoint of s3, and its subnets have no default route"}


def test_a_function_in_a_network_needs_a_role_that_may_attach_it(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    (subnet, *_) = ec2.describe_subnets()["Subnets"]
    (group, *_) = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])[
        "SecurityGroups"
    ]
    network = {"SubnetIds": [subnet["SubnetId"]], "SecurityGroupIds": [group["GroupId"]]}
    with pytest.raises(botocore.exceptions.ClientError, match="permissions to call CreateNetworkInterface on EC2"):
        create_function(emulator, "detached", LOGS, VpcConfig=network)


def test_a_role_must_trust_lambda(emulator: Emulator) -> None:
    other = {**TRUST, "Principal": {"Service": "ec2.amazonaws.com"}}
    role = create_role(emulator, "distrustful", LOGS, trust=other)
    with pytest.raises(botocore.exceptions.ClientError, match="cannot be assumed by Lambda"):
        create_function(emulator, "distrusted", Role=role)


def test_a_log_group_needs_a_key_that_cloudwatch_logs_may_use(emulator: Emulator) -> None:
    key = emulator.client("kms").create_key()["KeyMetadata"]["Arn"]
    with pytest.raises(botocore.exceptions.ClientError, match="is not allowed to be used with Arn"):
        emulator.client("logs").create_log_group(logGroupName="secret", kmsKeyId=key)


def test_without_permission_to_write_logs_the_log_is_lost(emulator: Emulator) -> None:
    create_function(emulator, "silent", READ)
    assert call(emulator, "s3", "get_object", function="silent", Bucket="releases", Key="allowed") == "done"
    groups = emulator.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/silent")["logGroups"]
    assert groups == []


def test_variables_that_the_role_may_not_decrypt_fail_the_invocation(emulator: Emulator) -> None:
    key = emulator.client("kms").create_key()["KeyMetadata"]["Arn"]
    create_function(emulator, "encrypted", LOGS, KMSKeyArn=key, Environment={"Variables": {"NAME": "value"}})
    with pytest.raises(botocore.exceptions.ClientError, match=r"KMS access was denied.*because no identity-based"):
        call(emulator, "s3", "get_object", function="encrypted", Bucket="releases", Key="allowed")


def test_a_database_that_refuses_a_function_raises_the_client_library_s_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg2

    monkeypatch.setattr(psycopg2, "connect", lambda **arguments: arguments)
    find_databases({"closed": "timeout expired"}, {"restored": 6543})
    assert psycopg2.connect(host="open", port=5432) == {"host": "open", "port": 5432}
    assert psycopg2.connect(host="restored", port=5432) == {"host": "restored", "port": 6543}
    with pytest.raises(psycopg2.OperationalError, match="timeout expired"):
        psycopg2.connect(host="closed")
