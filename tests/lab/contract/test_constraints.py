"""What AWS's models forbid is found, at the member and by the constraint; what they allow passes."""

from __future__ import annotations

from typing import Any

import pytest
import regex

from lab.emulator.contract.constraints import find_violations
from lab.emulator.contract.patterns import compile_pattern
from lab.emulator.contract.requests import parse
from lab.emulator.contract.services import MODELS, SERVICES, SHARED, service_model
from stacks import ROOT
from tests.support.aws_requests import request_of

FUNCTION = {
    "FunctionName": "refresh",
    "Role": "arn:aws:iam::123456789012:role/refresh",
    "Runtime": "python3.13",
    "Handler": "handlers.refresh.handler",
    "Code": {"ZipFile": b"zip"},
    "Timeout": 60,
}
TAG_VALUE = ("pattern", "tags.1.member.value")
VERSIONING = ("enum", "versioningConfiguration.status")
ALARM = {"AlarmName": "a", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1}


def violations(service: str, operation: str, parameters: dict[str, Any], **options: Any) -> list[tuple[str, str]]:
    call = parse(request_of(service, operation, parameters, **options))
    return [(each.kind, each.member) for each in find_violations(call)]


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("lambda", "create_function", FUNCTION),
        ("cloudwatch", "put_metric_alarm", ALARM),
        ("ec2", "create_security_group", {"GroupName": "g", "Description": "Of the database"}),
        ("s3", "put_bucket_versioning", {"Bucket": "b", "VersioningConfiguration": {"Status": "Enabled"}}),
    ],
)
def test_what_the_model_allows_passes(service: str, operation: str, parameters: dict[str, Any]) -> None:
    assert violations(service, operation, parameters) == []


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        ("lambda", "create_function", FUNCTION | {"Role": None}, ("required", "role")),
        ("lambda", "create_function", FUNCTION | {"Timeout": 0}, ("range", "timeout")),
        ("lambda", "create_function", FUNCTION | {"Runtime": "python4.0"}, ("enum", "runtime")),
        ("lambda", "create_function", FUNCTION | {"Handler": "a b"}, ("pattern", "handler")),
        ("lambda", "create_function", FUNCTION | {"Description": "x" * 257}, ("length", "description")),
        ("lambda", "tag_resource", {"Resource": "arn", "Tags": {"a": "b"}}, ("pattern", "resource")),
        ("iam", "create_role", {"RoleName": "r" * 65, "AssumeRolePolicyDocument": "{}"}, ("length", "roleName")),
        ("iam", "tag_role", {"RoleName": "r", "Tags": [{"Key": "k", "Value": "!"}]}, TAG_VALUE),
        ("cloudwatch", "put_metric_alarm", ALARM | {"EvaluationPeriods": 0}, ("range", "evaluationPeriods")),
        ("cloudwatch", "put_metric_alarm", ALARM | {"AlarmDescription": "x" * 1025}, ("length", "alarmDescription")),
        ("logs", "create_log_group", {"logGroupName": "/aws/two words"}, ("pattern", "logGroupName")),
        ("scheduler", "get_schedule", {"Name": "every:minute"}, ("pattern", "name")),
        ("ec2", "create_security_group", {"GroupName": "g"}, ("required", "description")),
        ("ec2", "modify_vpc_attribute", {"EnableDnsSupport": {"Value": True}}, ("required", "vpcId")),
        ("s3", "put_bucket_versioning", {"Bucket": "b", "VersioningConfiguration": {"Status": "On"}}, VERSIONING),
        ("secretsmanager", "get_secret_value", {"SecretId": ""}, ("length", "secretId")),
        ("ssm", "get_parameter", {"Name": ""}, ("length", "name")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_breaks_one_constraint_is_found_there(
    service: str, operation: str, parameters: dict[str, Any], expected: tuple[str, str]
) -> None:
    said = {name: value for name, value in parameters.items() if value is not None}
    assert violations(service, operation, said) == [expected]


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "add", "member"),
    [
        ("rds", "modify_db_instance", {"DBInstanceIdentifier": "db"}, (b"", b"&StorageGiB=30"), "StorageGiB"),
        ("ec2", "create_security_group", {"GroupName": "g", "Description": "d"}, (b"", b"&Tag.1.Key=a"), "Tag.1.Key"),
        ("logs", "create_log_group", {"logGroupName": "g"}, (b"}", b',"retentionInDays":1}'), "retentionInDays"),
        ("lambda", "create_function", FUNCTION, (b'"ZipFile"', b'"Zip":"","ZipFile"'), "Code.Zip"),
        (
            "s3",
            "put_bucket_versioning",
            {"Bucket": "b", "VersioningConfiguration": {"Status": "Enabled"}},
            (b"<Status>", b"<MFA>On</MFA><Status>"),
            "MFA",
        ),
    ],
    ids=["query", "ec2", "json", "rest-json", "rest-xml"],
)
def test_a_member_that_the_model_does_not_know_is_found_in_each_protocol(
    service: str, operation: str, parameters: dict[str, Any], add: tuple[bytes, bytes], member: str
) -> None:
    def change(request: Any) -> None:
        body = request.body.encode() if isinstance(request.body, str) else request.body
        request.body = body.replace(*add, 1) if add[0] else body + add[1]
        request.headers["Content-Length"] = str(len(request.body))

    assert violations(service, operation, parameters, change=change) == [("unknown", member)]


def test_a_parameter_of_the_address_that_the_model_does_not_know_is_found() -> None:
    def change(request: Any) -> None:
        request.url += "?Alias=live"

    assert violations("lambda", "get_function", {"FunctionName": "f"}, change=change) == [("unknown", "Alias")]


def test_a_union_without_a_member_is_found() -> None:
    integration = {"integrationName": "search", "integrationType": "OPENSEARCH", "resourceConfig": {}}
    assert violations("logs", "put_integration", integration) == [("union", "resourceConfig")]


def test_the_models_are_newer_than_the_shared_ones() -> None:
    """`DefaultAuthScheme` came after the botocore that checkov pins: the proxies of dev and prod set it."""
    shape = service_model("rds").operation_model("CreateDBProxy").input_shape
    assert shape is not None
    assert "DefaultAuthScheme" in shape.members


def test_a_secret_is_not_shown() -> None:
    secret = "geheim" * 12_000
    parameters = {"SecretId": "s", "SecretString": secret}
    (found,) = find_violations(parse(request_of("secretsmanager", "put_secret_value", parameters)))
    assert (found.kind, found.member) == ("length", "secretString")
    assert "geheim" not in str(found)


def test_every_pattern_of_the_mapped_services_is_compiled() -> None:
    failed = []
    for service in (*SERVICES.values(), *SHARED.values()):
        model = service_model(service)
        for name in model.shape_names:
            pattern = model.shape_for(name).metadata.get("pattern")
            try:
                compile_pattern(pattern or "")
            except regex.error as error:
                failed.append(f"{service} {name} {pattern}: {error}")
    assert failed == []


@pytest.mark.parametrize(
    ("pattern", "matches", "differs"),
    [
        (r"[\p{Alnum}]+", "a1", "a-1"),
        (r"\p{IsLatin}*", "é", "я"),
        (r"[\uD800\uDC00-\uDBFF\uDFFF]", "\N{SCROLL}", "a"),
        (r"[a-z]+", "abc", "abc1"),
    ],
)
def test_java_notation_is_understood_and_holds_for_the_whole_value(pattern: str, matches: str, differs: str) -> None:
    assert compile_pattern(pattern).fullmatch(matches)
    assert not compile_pattern(pattern).fullmatch(differs)


def test_the_models_that_are_installed_are_those_of_the_lock() -> None:
    locked = (ROOT / "lab" / "emulator" / "contract" / "models.lock").read_text().split()[0]
    name, _, version = locked.partition("==")
    assert (MODELS.parents[1] / f"{name}-{version}.dist-info").is_dir(), "run: make setup"
