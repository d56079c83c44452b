"""The emulator as its users meet it: over HTTP, from another process."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lab.emulator.access.control import UNCHECKED_PATH
from lab.emulator.server import Emulator, EmulatorError
from tests.support.processes import is_running, wait_until
from tests.support.tiny_functions import package

# Not checked: these tests are about what else the emulator does.
ROLE = f"arn:aws:iam::123456789012:role{UNCHECKED_PATH}functions"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
STATUS = """
import json, os
def handler(event, context):
    if event.get("pathParameters", {}).get("job_id") == "boom":
        raise RuntimeError("boom")
    return {"statusCode": 201, "headers": {"Content-Type": "application/json", "Retry-After": 2},
            "body": json.dumps({"event": event, "pid": os.getpid()})}
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("emulator"), region="us-east-1", database_password="the-real-one") as running:
        running.client("iam").create_role(
            RoleName="functions", Path=UNCHECKED_PATH, AssumeRolePolicyDocument=json.dumps(TRUST)
        )
        yield running


def create_function(emulator: Emulator, name: str, source: str, **settings: Any) -> str:
    arn: str = emulator.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": package(source)},
        **settings,
    )["FunctionArn"]
    return arn


@pytest.fixture(scope="module")
def api(emulator: Emulator) -> str:
    """An HTTP API as Terraform creates it; returns its id."""
    arn = create_function(emulator, "front", STATUS)
    gateway = emulator.client("apigatewayv2")
    api_id: str = gateway.create_api(Name="status", ProtocolType="HTTP")["ApiId"]
    integration = gateway.create_integration(
        ApiId=api_id, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    unpermitted = gateway.create_integration(
        ApiId=api_id,
        IntegrationType="AWS_PROXY",
        IntegrationUri=create_function(emulator, "unpermitted", STATUS),
        PayloadFormatVersion="2.0",
    )["IntegrationId"]
    for key, target, kind in [
        ("GET /jobs/{job_id}", integration, "AWS_IAM"),
        ("GET /jobs", integration, "AWS_IAM"),
        ("GET /open/{proxy+}", integration, "NONE"),
        ("GET /unpermitted", unpermitted, "NONE"),
    ]:
        gateway.create_route(ApiId=api_id, RouteKey=key, Target=f"integrations/{target}", AuthorizationType=kind)
    emulator.client("lambda").add_permission(
        FunctionName="front",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:123456789012:{api_id}/*/*",
    )
    return api_id


def get(url: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=30) as answer:
            return answer.status, dict(answer.headers), json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), json.load(error)


def signed(
    url: str, *, key: str = "test", secret: str = "test", service: str = "execute-api", region: str = "us-east-1"
) -> dict[str, str]:
    request = AWSRequest(method="GET", url=url)
    SigV4Auth(Credentials(key, secret), service, region).add_auth(request)
    return dict(request.headers)


def test_an_invocation_runs_the_uploaded_package_with_the_functions_variables(emulator: Emulator) -> None:
    source = (
        "import os\n"
        "def handler(event, context):\n"
        "    return [event['n'] + 1, os.environ['LEVEL'], context.function_name]\n"
    )
    create_function(emulator, "adder", source, Environment={"Variables": {"LEVEL": "INFO"}})
    assert emulator.invoke("adder", {"n": 41}) == [42, "INFO", "adder"]


def test_a_new_package_replaces_the_warm_process(emulator: Emulator) -> None:
    create_function(emulator, "changing", "def handler(event, context): return 'old'")
    assert emulator.invoke("changing", {}) == "old"
    code = package("def handler(event, context): return 'new'")
    emulator.client("lambda").update_function_code(FunctionName="changing", ZipFile=code)
    assert emulator.invoke("changing", {}) == "new"


def test_a_raised_exception_comes_back_as_a_function_error(emulator: Emulator) -> None:
    create_function(emulator, "failing", "def handler(event, context): raise LookupError('no such row')")
    answer = emulator.client("lambda").invoke(FunctionName="failing", LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    error = json.loads(answer["Payload"].read())
    assert (error["errorType"], error["errorMessage"]) == ("LookupError", "no such row")
    assert "LogResult" in answer
    with pytest.raises(EmulatorError, match="failing: LookupError: no such row"):
        emulator.invoke("failing", {})


def test_an_event_invocation_returns_at_once_and_runs_later(emulator: Emulator, tmp_path: Path) -> None:
    note = tmp_path / "note"
    source = (
        "import pathlib, time\n"
        "def handler(event, context):\n"
        "    time.sleep(1)\n"
        "    pathlib.Path(event).write_text('done')\n"
    )
    create_function(emulator, "later", source)
    started = time.monotonic()
    answer = emulator.client("lambda").invoke(
        FunctionName="later", InvocationType="Event", Payload=json.dumps(str(note)).encode()
    )
    assert answer["StatusCode"] == 202
    assert time.monotonic() - started < 1
    wait_until(note.exists)


def test_what_a_function_prints_is_found_in_cloudwatch_logs(emulator: Emulator) -> None:
    create_function(emulator, "chatty", "def handler(event, context): print('{\"_aws\": {}}')")
    emulator.invoke("chatty", {})
    events = emulator.client("logs").filter_log_events(logGroupName="/aws/lambda/chatty")["events"]
    assert '{"_aws": {}}' in [event["message"] for event in events]


def test_the_managed_secret_of_an_instance_holds_the_databases_password(emulator: Emulator) -> None:
    instance = emulator.client("rds").create_db_instance(
        DBInstanceIdentifier="scanner-database-local",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="scanner_admin",
        ManageMasterUserPassword=True,
    )["DBInstance"]
    secret = emulator.client("secretsmanager").get_secret_value(SecretId=instance["MasterUserSecret"]["SecretArn"])
    assert json.loads(secret["SecretString"]) == {"username": "scanner_admin", "password": "the-real-one"}
    assert instance["Endpoint"]["Address"] == "scanner-database-local.aaaaaaaaaaaa.us-east-1.rds.amazonaws.com"


def test_a_signed_request_reaches_the_function_as_payload_2_0(emulator: Emulator, api: str) -> None:
    url = f"{emulator.api_url}/jobs/8c5a?real_time=true"
    status, headers, body = get(url, signed(url))
    assert (status, headers["Retry-After"], headers["Content-Type"]) == (201, "2", "application/json")
    event = body["event"]
    assert event["version"] == "2.0"
    assert event["routeKey"] == event["requestContext"]["routeKey"] == "GET /jobs/{job_id}"
    assert event["pathParameters"] == {"job_id": "8c5a"}
    assert event["queryStringParameters"] == {"real_time": "true"}
    assert event["requestContext"]["http"]["method"] == "GET"
    assert event["requestContext"]["apiId"] == api


@pytest.mark.usefixtures("api")
def test_curl_signs_a_request_that_is_let_in(emulator: Emulator) -> None:
    url = f"{emulator.api_url}/jobs/8c5a"
    command = ["curl", "-sS", "--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", "test:test", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["event"]["pathParameters"] == {"job_id": "8c5a"}


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    "wrong", [{}, {"key": "stranger"}, {"secret": "guessed"}, {"service": "lambda"}, {"region": "eu-west-1"}], ids=str
)
def test_an_unsigned_or_wrongly_signed_request_is_forbidden(emulator: Emulator, wrong: dict[str, str]) -> None:
    url = f"{emulator.api_url}/jobs/8c5a"
    status, _, body = get(url, signed(url, **wrong) if wrong else None)
    assert (status, body) == (403, {"message": "Forbidden"})


@pytest.mark.usefixtures("api")
def test_a_signature_for_another_url_is_forbidden(emulator: Emulator) -> None:
    status, _, body = get(f"{emulator.api_url}/jobs/other", signed(f"{emulator.api_url}/jobs/8c5a"))
    assert (status, body) == (403, {"message": "Forbidden"})


@pytest.mark.usefixtures("api")
def test_an_unknown_route_is_not_found_and_an_exception_is_an_internal_error(emulator: Emulator) -> None:
    assert get(f"{emulator.api_url}/nothing/here")[::2] == (404, {"message": "Not Found"})
    url = f"{emulator.api_url}/jobs/boom"
    assert get(url, signed(url))[::2] == (500, {"message": "Internal Server Error"})


@pytest.mark.usefixtures("api")
def test_an_open_route_needs_no_signature_but_its_function_needs_a_permission(
    emulator: Emulator,
) -> None:
    status, _, body = get(f"{emulator.api_url}/open/a/b")
    assert (status, body["event"]["pathParameters"]) == (201, {"proxy": "a/b"})
    assert get(f"{emulator.api_url}/unpermitted")[::2] == (500, {"message": "Internal Server Error"})


def test_an_unknown_function_is_an_error_of_the_caller(emulator: Emulator) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="ResourceNotFoundException"):
        emulator.invoke("unknown", {})


START_EMULATOR = """
import pathlib, sys, time
from lab.emulator.server import Emulator
emulator = Emulator(pathlib.Path(sys.argv[1]), region="us-east-1", database_password="x")
emulator.start()
print(emulator._process.pid, flush=True)
time.sleep(60)
"""


def test_the_emulator_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", START_EMULATOR, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    emulator = int(starter.stdout.readline())
    assert is_running(emulator)
    os.kill(starter.pid, 9)
    starter.wait()
    starter.stdout.close()
    wait_until(lambda: not is_running(emulator))


def test_a_request_of_a_function_is_held_against_the_models_of_aws(emulator: Emulator) -> None:
    source = """
import boto3, botocore.exceptions
def handler(event, context):
    try:
        boto3.client("logs").create_log_group(logGroupName="two words")
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
"""
    create_function(emulator, "careless", source)
    assert emulator.invoke("careless", {}) == "InvalidParameterException"
