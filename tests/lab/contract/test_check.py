"""What breaks a contract never reaches the emulator, and the SDK reads the answer as an error of the service."""

from __future__ import annotations

from typing import Any

import botocore.exceptions
import pytest
from werkzeug.wrappers import Response

from lab.emulator.contract.check import REFUSED, ContractCheck
from tests.support.aws_requests import answered_client


class Emulator:
    """Counts what reaches it."""

    def __init__(self) -> None:
        self.reached = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.reached += 1
        return Response("{}", 200, content_type="application/x-amz-json-1.1")(environ, start_response)


ON = {"Bucket": "b", "VersioningConfiguration": {"Status": "On"}}


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "error"),
    [
        ("rds", "delete_db_instance", {}, "ValidationError: Value null at 'dBInstanceIdentifier'"),
        ("cloudwatch", "delete_alarms", {}, "ValidationError: Value null at 'alarmNames'"),
        ("ec2", "create_security_group", {"GroupName": "g"}, "MissingParameter: Value null at 'description'"),
        (
            "ec2",
            "create_vpc",
            {"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "any"},
            "InvalidParameterValue: Value 'any' at 'instanceTenancy'",
        ),
        ("kms", "describe_key", {"KeyId": ""}, "ValidationException: Value '' at 'keyId'"),
        (
            "logs",
            "create_log_group",
            {"logGroupName": "a b"},
            "InvalidParameterException: Value 'a b' at 'logGroupName'",
        ),
        ("scheduler", "get_schedule", {"Name": "a b"}, "ValidationException: Value 'a b' at 'name'"),
        ("apigatewayv2", "create_api", {"Name": "a"}, "BadRequestException: Value null at 'protocolType'"),
        ("s3", "put_bucket_versioning", ON, "InvalidArgument: Value 'On' at 'versioningConfiguration.status'"),
    ],
)
def test_the_sdk_reads_a_refusal_as_an_error_of_the_service(
    service: str, operation: str, parameters: dict[str, Any], error: str
) -> None:
    emulator = Emulator()
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        getattr(answered_client(service, ContractCheck(emulator)), operation)(**parameters)
    said = refused.value.response["Error"]
    code, _, value = error.partition(": ")
    assert said["Code"] == code
    beginning = f"1 validation error detected: {value} failed to satisfy constraint: Member must "
    assert said["Message"].startswith(beginning)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert emulator.reached == 0


def test_the_sdk_reads_that_a_service_is_not_mapped() -> None:
    with pytest.raises(botocore.exceptions.ClientError, match=r"UnmappedService.*'dynamodb'"):
        answered_client("dynamodb", ContractCheck(Emulator())).list_tables()


def test_a_refusal_is_counted_and_a_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    check = ContractCheck(Emulator())
    with pytest.raises(botocore.exceptions.ClientError):
        answered_client("logs", check).create_log_group(logGroupName="a b")
    assert (check.checked, check.refused) == (1, 1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{REFUSED}: logs CreateLogGroup: 1 validation error detected: Value 'a b'")


def test_what_holds_reaches_the_emulator_and_nothing_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    emulator = Emulator()
    check = ContractCheck(emulator)
    answered_client("logs", check).put_retention_policy(logGroupName="/aws/a", retentionInDays=30)
    assert (emulator.reached, check.checked, check.refused) == (1, 1, 0)
    assert capsys.readouterr().err == ""
