"""A request of any protocol is read as the call that the SDK was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import xform_name
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from lab.emulator.contract.requests import (
    UnknownOperationError,
    UnmappedServiceError,
    UnreadableRequestError,
    UnsignedRequestError,
    parse,
)
from tests.support.aws_requests import ACCESS_KEY, REGION, request_of

TAGS = [{"Key": "team", "Value": "scanner"}, {"Key": "cost", "Value": ""}]


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "protocol"),
    [
        ("rds", "CreateDBInstance", {"DBInstanceIdentifier": "db", "MultiAZ": False, "Tags": TAGS}, "query"),
        ("rds", "ModifyDBInstance", {"DBInstanceIdentifier": "db", "AllocatedStorage": 30}, "query"),
        ("sns", "CreateTopic", {"Name": "page", "Attributes": {"DisplayName": "Page"}, "Tags": TAGS}, "query"),
        ("cloudwatch", "PutMetricData", {"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1.5}]}, "query"),
        ("ec2", "CreateTags", {"Resources": ["vpc-1", "vpc-2"], "Tags": TAGS}, "ec2"),
        ("logs", "PutRetentionPolicy", {"logGroupName": "/aws/a", "retentionInDays": 30}, "json"),
        ("kms", "Encrypt", {"KeyId": "k", "Plaintext": b"\0\1"}, "json"),
        ("stepfunctions", "DescribeExecution", {"executionArn": "arn:aws:states:::execution:a:b"}, "json"),
        ("lambda", "Invoke", {"FunctionName": "status", "InvocationType": "Event", "Payload": b"{}"}, "rest-json"),
        ("lambda", "UntagResource", {"Resource": "arn:aws:lambda:::f", "TagKeys": ["a", "b"]}, "rest-json"),
        ("apigatewayv2", "UpdateStage", {"ApiId": "a1", "StageName": "$default", "AutoDeploy": True}, "rest-json"),
        ("scheduler", "GetSchedule", {"Name": "refresh", "GroupName": "default"}, "rest-json"),
        ("s3", "PutBucketTagging", {"Bucket": "b", "Tagging": {"TagSet": TAGS}}, "rest-xml"),
        ("s3", "PutObject", {"Bucket": "b", "Key": "a/b c", "Body": b"zip", "Tagging": "a=b"}, "rest-xml"),
        ("s3control", "ListTagsForResource", {"AccountId": "1", "ResourceArn": "arn:aws:s3:::b"}, "rest-xml"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_parameters_of_the_sdk_are_read_back(
    service: str, operation: str, parameters: dict[str, Any], protocol: str
) -> None:
    call = parse(request_of(service, xform_name(operation), parameters))
    assert (call.service, call.name, call.protocol) == (service, operation, protocol)
    # boto3 itself adds checksums to some.
    assert {name: value for name, value in call.parameters.items() if name in parameters} == parameters
    assert call.unread == ()


def test_the_caller_is_who_signed() -> None:
    caller = parse(request_of("cloudwatch", "describe_alarms", {})).caller
    assert (caller.access_key, caller.region, caller.signing_name) == (ACCESS_KEY, REGION, "monitoring")


def test_a_presigned_request_is_read_by_the_signature_in_its_query() -> None:
    query = "X-Amz-Credential=AKIAOTHER%2F20261127%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Signature=0"
    call = parse(EnvironBuilder(path="/bucket/key", query_string=query).get_environ())
    assert (call.name, call.caller.access_key, call.unread) == ("GetObject", "AKIAOTHER", ())


def test_the_body_can_be_read_again() -> None:
    environ = request_of("logs", "put_retention_policy", {"logGroupName": "/aws/a", "retentionInDays": 30})
    parse(environ)
    assert Request(environ).get_json(force=True) == {"logGroupName": "/aws/a", "retentionInDays": 30}


def test_a_service_that_is_not_mapped_is_named_with_the_place_that_maps() -> None:
    with pytest.raises(UnmappedServiceError) as error:
        parse(request_of("dynamodb", "list_tables", {}))
    assert "'dynamodb'" in str(error.value)
    assert "lab/emulator/contract/services.py" in str(error.value)


def test_a_request_without_a_signature_is_refused() -> None:
    environ = request_of("logs", "describe_log_groups", {}, change=lambda each: each.headers.pop("Authorization"))
    with pytest.raises(UnsignedRequestError, match="DescribeLogGroups"):
        parse(environ)


def test_an_operation_that_the_model_lacks_is_named() -> None:
    environ = request_of("logs", "describe_log_groups", {}) | {"HTTP_X_AMZ_TARGET": "Logs_20140328.DescribeLogGroop"}
    with pytest.raises(UnknownOperationError, match="DescribeLogGroop"):
        parse(environ)


@pytest.mark.parametrize(
    ("service", "operation", "body"),
    [
        ("logs", "describe_log_groups", b"{"),
        ("s3", "put_bucket_tagging", b"<Tagging>"),
        ("rds", "modify_db_instance", b"Action=ModifyDBInstance&Version=2014-10-31&AllocatedStorage=many"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(service: str, operation: str, body: bytes) -> None:
    def replace_body(request: Any) -> None:
        request.body = body
        request.headers["Content-Length"] = str(len(body))

    parameters = {"Bucket": "b", "Tagging": {"TagSet": []}} if service == "s3" else {}
    with pytest.raises(UnreadableRequestError, match="cannot be read"):
        parse(request_of(service, operation, parameters, change=replace_body))
