"""The functions, their permissions, the release that comes before them, schedule and API."""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from handlers.contract.timeouts import PROXY_WAITS
from stacks import ROOT
from stacks.alarms.thresholds import doctor_thresholds
from stacks.settings import load_settings
from tests.support.openapi import DOCUMENT
from tests.support.synthesis import ENVIRONMENTS, read_stack, run_main, statements

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.synthesis import Synthesised

NAMES = ("migrate", "refresh", "status", "doctor")
ACCOUNT = "${data.aws_caller_identity.account.account_id}"
PARTITION = "${data.aws_partition.partition.partition}"
# Statements that may name every resource, and the table of the Service Authorization Reference that leaves no choice.
EVERY_RESOURCE = {
    "FindNetwork": "EC2: Describe* knows no resource",
    "OnlyLambdaAttaches": "a Deny",
    "Trace": "X-Ray: PutTraceSegments and PutTelemetryRecords know no resource",
    "SessionManager": "Systems Manager: the channels of ssmmessages know no resource",
}


def function(stack: Synthesised, name: str) -> dict[str, Any]:
    return stack.one("aws_lambda_function", f"{name}_function")


@pytest.mark.parametrize("name", NAMES)
def test_in_aws_the_functions_run_python_3_13_on_arm64(prod: Synthesised, name: str) -> None:
    body = function(prod, name)
    assert (body["runtime"], body["architectures"]) == ("python3.13", ["arm64"])


@pytest.mark.parametrize("name", NAMES)
def test_in_an_emulator_the_functions_are_for_this_machine(stacks: dict[str, Synthesised], name: str) -> None:
    architecture = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    assert function(stacks["local"], name)["architectures"] == [architecture]


@pytest.mark.parametrize(("name", "timeout_s"), [("migrate", 900), ("refresh", 300), ("status", 10), ("doctor", 60)])
def test_timeouts(prod: Synthesised, name: str, timeout_s: int) -> None:
    assert function(prod, name)["timeout"] == timeout_s


@pytest.mark.parametrize("name", NAMES)
def test_names_and_handlers(stack: Synthesised, name: str) -> None:
    body = function(stack, name)
    assert body["function_name"].endswith(f"-{name}")
    assert body["handler"] == f"handlers.{name}.handler"
    assert body["environment"]["variables"]["POWERTOOLS_SERVICE_NAME"] == body["function_name"]


def test_migrate_connects_directly_with_the_master_secret(prod: Synthesised) -> None:
    variables = function(prod, "migrate")["environment"]["variables"]
    assert variables["RDS_ENDPOINT"] == "${aws_db_instance.database_instance.address}"
    assert variables["MASTER_SECRET_ARN"] == "${aws_db_instance.database_instance.master_user_secret[0].secret_arn}"
    assert "RDS_PROXY_ENDPOINT" not in variables


@pytest.mark.parametrize(("name", "user"), [("refresh", "progress_refresher"), ("status", "progress_reader")])
def test_refresh_and_status_log_in_through_the_proxy_as_their_own_user(prod: Synthesised, name: str, user: str) -> None:
    variables = function(prod, name)["environment"]["variables"]
    assert variables["RDS_PROXY_ENDPOINT"] == "${aws_db_proxy.proxy_proxy.endpoint}"
    assert (variables["RDS_DBNAME"], variables["RDS_USERNAME"]) == ("scanner_db", user)
    assert "MASTER_SECRET_ARN" not in variables
    log_in = statements(prod, f"{name}_role_policy")["LogIn"]
    assert log_in["Action"] == ["rds-db:connect"]
    (resource,) = log_in["Resource"]
    assert resource.endswith(f":dbuser:${{local.proxy_resource_id}}/{user}")
    # The seventh part of an ARN such as arn:aws:rds:eu-central-1:123456789012:db-proxy:prx-0123.
    assert prod.json["locals"] == {"proxy_resource_id": '${element(split(":", aws_db_proxy.proxy_proxy.arn), 6)}'}


def test_doctor_connects_directly_and_probes_the_proxy_as_a_user_of_its_own(prod: Synthesised) -> None:
    variables = function(prod, "doctor")["environment"]["variables"]
    assert variables["RDS_ENDPOINT"] == "${aws_db_instance.database_instance.address}"
    assert variables["RDS_PROXY_ENDPOINT"] == "${aws_db_proxy.proxy_proxy.endpoint}:5432"
    assert variables["RDS_USERNAME"] == "scanner_doctor"
    named = statements(prod, "doctor_role_policy")
    logins = [resource for sid in ("LogIn", "LogInThroughProxy") for resource in named[sid]["Resource"]]
    assert [login.partition(":dbuser:")[2] for login in logins] == [
        "${aws_db_instance.database_instance.resource_id}/scanner_doctor",
        "${local.proxy_resource_id}/scanner_doctor",
    ]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_doctor_knows_its_deployment_the_alarms_thresholds_and_the_release(
    stacks: dict[str, Synthesised], environment: str
) -> None:
    stack, settings = stacks[environment], load_settings(ROOT / "environments" / f"{environment}.toml", {})
    variables = function(stack, "doctor")["environment"]["variables"]
    assert json.loads(variables["DOCTOR_LIMITS"]) == asdict(doctor_thresholds(settings))
    assert variables["DEPLOYMENT"] == f"scanner-database-{environment}"
    assert variables["RELEASE_BUCKET"] == "${aws_s3_object.artifacts_migrations.bucket}"
    assert variables["RELEASE_KEY"] == "${aws_s3_object.artifacts_migrations.key}"
    assert variables["RELEASE_SHA256"] == stack.json["output"]["release_sha256"]["value"]


def test_doctor_may_read_the_deployed_release_and_nothing_else_from_the_bucket(prod: Synthesised) -> None:
    read = statements(prod, "doctor_role_policy")["ReadRelease"]
    bucket, key = "${aws_s3_bucket.artifacts_bucket.arn}", "${aws_s3_object.artifacts_migrations.key}"
    assert (read["Action"], read["Resource"]) == (["s3:GetObject"], [f"{bucket}/{key}"])


def test_doctor_may_do_nothing_else(prod: Synthesised) -> None:
    own = statements(prod, "doctor_role_policy").keys() - statements(prod, "refresh_role_policy").keys()
    assert own == {"LogInThroughProxy", "ReadRelease"}


def test_only_migrate_may_read_the_master_secret(prod: Synthesised) -> None:
    readers = [
        name
        for name, body in prod.every("aws_iam_role_policy").items()
        if "secretsmanager:GetSecretValue" in body["policy"]
    ]
    assert readers == ["migrate_role_policy"]


def test_status_may_ask_for_executions_of_the_scanner_only(prod: Synthesised) -> None:
    (resource,) = statements(prod, "status_role_policy")["ReadExecutions"]["Resource"]
    assert resource.endswith(":execution:scanner-prod*:*")


def test_a_function_s_own_code_cannot_touch_network_interfaces(prod: Synthesised) -> None:
    for name in NAMES:
        named = statements(prod, f"{name}_role_policy")
        assert named["OnlyLambdaAttaches"]["Effect"] == "Deny"
        allowed = named["AttachToNetwork"]["Action"] + named["FindNetwork"]["Action"]
        assert named["OnlyLambdaAttaches"]["Action"] == allowed


def test_lambda_may_attach_under_both_readings_of_a_wildcard_in_the_resource_type(prod: Synthesised) -> None:
    for name in NAMES:
        resources = statements(prod, f"{name}_role_policy")["AttachToNetwork"]["Resource"]
        ours = f"arn:{PARTITION}:ec2:eu-central-1:{ACCOUNT}:"
        assert resources == [f"{ours}{kind}/*" for kind in ("*", "network-interface", "subnet", "security-group")]


def test_a_destroy_deletes_a_function_s_security_group_before_its_policy_and_that_before_its_role(
    stack: Synthesised,
) -> None:
    """Lambda deletes its network interfaces with the role; Terraform waits for that where it deletes the group."""
    for name in NAMES:
        group = f"aws_security_group.{name}_security_group"
        policy, role = f"aws_iam_role_policy.{name}_role_policy", f"aws_iam_role.{name}_role"
        assert function(stack, name)["vpc_config"]["security_group_ids"] == [f"${{{group}.id}}"]
        assert group in stack.needs(f"aws_lambda_function.{name}_function")
        assert {policy, role} <= stack.needs(group)
        assert role in stack.needs(policy)


def test_no_statement_names_every_resource_without_a_written_reason(stack: Synthesised) -> None:
    unexplained = [
        f"{policy}.{sid}"
        for policy in stack.every("aws_iam_role_policy")
        for sid, statement in statements(stack, policy).items()
        if "*" in statement["Resource"] and sid not in EVERY_RESOURCE
    ]
    assert unexplained == []


def test_no_statement_allows_every_action_of_a_service(stack: Synthesised) -> None:
    for policy in stack.every("aws_iam_role_policy"):
        for statement in statements(stack, policy).values():
            assert [action for action in statement["Action"] if action.endswith(":*")] == []


def test_no_role_is_given_a_policy_that_aws_manages(stack: Synthesised) -> None:
    assert stack.every("aws_iam_role_policy_attachment") == {}


def test_reserved_concurrency_is_set_where_the_settings_say_so(stacks: dict[str, Synthesised]) -> None:
    reserved = [function(stacks["prod"], name).get("reserved_concurrent_executions") for name in NAMES]
    assert reserved == [2, 2, 50, None]
    assert all("reserved_concurrent_executions" not in function(stacks["dev"], name) for name in NAMES)


def test_all_functions_run_the_same_package_named_by_its_hash(stack: Synthesised) -> None:
    assert {function(stack, name)["s3_key"] for name in NAMES} == {"${aws_s3_object.artifacts_functions.key}"}
    assert len({function(stack, name)["source_code_hash"] for name in NAMES}) == 1


def test_the_release_is_stored_and_invoked_by_its_hash(stack: Synthesised) -> None:
    stored = stack.one("aws_s3_object", "artifacts_migrations")
    invocation = stack.one("aws_lambda_invocation", "release_invocation")
    sha256 = invocation["triggers"]["release_sha256"]
    assert (len(sha256), stored["key"]) == (64, f"{sha256}.zip")
    assert json.loads(invocation["input"]) == {
        "release_bucket": "${aws_s3_object.artifacts_migrations.bucket}",
        "release_key": "${aws_s3_object.artifacts_migrations.key}",
        "release_sha256": sha256,
    }
    assert stack.json["output"]["release_sha256"]["value"] == sha256


def test_a_changed_migration_changes_the_release_and_what_triggers_it(prod: Synthesised, tmp_path: Path) -> None:
    migrations = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", migrations)
    with next(migrations.glob("001_*.down.sql")).open("a") as file:
        file.write("-- changed\n")
    run_main("prod", outdir=tmp_path / "out", variables={"SCANNER__RELEASE__MIGRATIONS": str(migrations)})
    changed = read_stack(tmp_path / "out", "prod")
    for name in ("release_invocation", "first_refresh_invocation"):
        before, after = (stack.one("aws_lambda_invocation", name)["triggers"] for stack in (prod, changed))
        assert before != after
    assert (
        changed.one("aws_s3_object", "artifacts_migrations")["key"]
        != (prod.one("aws_s3_object", "artifacts_migrations")["key"])
    )
    assert function(changed, "status") == function(prod, "status")


def test_a_new_package_or_release_is_stored_before_the_old_one_goes(stack: Synthesised) -> None:
    for body in stack.every("aws_s3_object").values():
        assert body["lifecycle"] == {"create_before_destroy": True}


def test_new_code_goes_live_after_the_migrations(stack: Synthesised) -> None:
    invocation = stack.one("aws_lambda_invocation", "release_invocation")
    assert invocation["function_name"] == "${aws_lambda_function.migrate_function.function_name}"
    for name in ("refresh", "status", "doctor"):
        assert "aws_lambda_invocation.release_invocation" in function(stack, name)["depends_on"]


def test_a_changed_release_ends_with_a_refresh_over_the_whole_way(stack: Synthesised) -> None:
    invocation = stack.one("aws_lambda_invocation", "first_refresh_invocation")
    assert invocation["function_name"] == "${aws_lambda_function.refresh_function.function_name}"
    assert json.loads(invocation["input"]) == {"source": "deploy", "action": "after_deploy"}
    assert invocation["triggers"] == {
        "release_sha256": stack.json["output"]["release_sha256"]["value"],
        "proxy_target": "${aws_db_proxy_target.proxy_target.id}",
    }
    assert invocation["depends_on"] == [f"aws_lambda_invocation.first_refresh_wait_{PROXY_WAITS}"]


def test_a_new_target_of_the_proxy_is_waited_for_in_several_invocations_one_after_the_other(stack: Synthesised) -> None:
    before = [
        "aws_vpc_security_group_egress_rule.refresh_to_proxy_out",
        "aws_vpc_security_group_ingress_rule.refresh_to_proxy_in",
    ]
    for number in range(1, PROXY_WAITS + 1):
        name = f"first_refresh_wait_{number}"
        wait = stack.one("aws_lambda_invocation", name)
        assert wait["function_name"] == "${aws_lambda_function.refresh_function.function_name}"
        assert json.loads(wait["input"]) == {"source": "deploy", "action": "await_proxy"}
        assert wait["triggers"] == {"proxy_target": "${aws_db_proxy_target.proxy_target.id}"}
        assert wait["depends_on"] == before
        before = [f"aws_lambda_invocation.{name}"]
    assert {name for name in stack.every("aws_lambda_invocation") if "_wait_" in name} == {
        f"first_refresh_wait_{number}" for number in range(1, PROXY_WAITS + 1)
    }


def test_the_schedule_begins_when_the_proxy_was_waited_for(stack: Synthesised) -> None:
    """Before, each refresh would fail, and the alarms would ring when they are made."""
    for body in stack.every("aws_scheduler_schedule").values():
        assert f"aws_lambda_invocation.first_refresh_wait_{PROXY_WAITS}" in body["depends_on"]


def test_migrations_wait_for_all_that_migrate_needs(stack: Synthesised) -> None:
    needed = set(stack.one("aws_lambda_invocation", "release_invocation")["depends_on"])
    assert {
        "aws_db_instance.database_instance",
        "aws_vpc_endpoint.endpoints_s3",
        "aws_vpc_endpoint.endpoints_secretsmanager",
        "aws_vpc_security_group_egress_rule.migrate_to_database_out",
        "aws_vpc_security_group_egress_rule.migrate_to_endpoints_out",
        "aws_vpc_security_group_egress_rule.migrate_to_s3",
        "aws_vpc_security_group_ingress_rule.migrate_to_database_in",
        "aws_vpc_security_group_ingress_rule.migrate_to_endpoints_in",
    } <= needed
    assert "aws_iam_role_policy.migrate_role_policy" in function(stack, "migrate")["depends_on"]


def test_every_log_group_is_encrypted_and_forgets_in_time(prod: Synthesised) -> None:
    groups = prod.every("aws_cloudwatch_log_group")
    assert len(groups) == 9
    for name, body in groups.items():
        assert body["kms_key_id"] == "${aws_kms_key.encryption_key.arn}", name
        assert body["retention_in_days"] == 365, name


@pytest.mark.parametrize("name", NAMES)
def test_a_function_logs_into_the_group_that_was_made_for_it(stack: Synthesised, name: str) -> None:
    body = function(stack, name)
    assert body["logging_config"]["log_group"] == f"${{aws_cloudwatch_log_group.{name}_log_group.name}}"
    group = stack.one("aws_cloudwatch_log_group", f"{name}_log_group")
    assert group["name"] == f"/aws/lambda/{body['function_name']}"


@pytest.mark.parametrize(("environment", "expression"), [("dev", "rate(15 minutes)"), ("prod", "rate(1 minute)")])
def test_the_schedule_invokes_refresh_at_the_interval_of_the_settings(
    stacks: dict[str, Synthesised], environment: str, expression: str
) -> None:
    schedule = stacks[environment].one("aws_scheduler_schedule", "schedule_refresh")
    assert schedule["schedule_expression"] == expression
    assert schedule["target"]["arn"] == "${aws_lambda_function.refresh_function.arn}"
    assert json.loads(schedule["target"]["input"]) == {"source": "schedule"}


def test_a_nightly_schedule_has_refresh_verify_what_is_known(stack: Synthesised) -> None:
    schedule = stack.one("aws_scheduler_schedule", "schedule_verify")
    assert schedule["schedule_expression"] == "cron(17 3 * * ? *)"
    assert schedule["target"]["arn"] == "${aws_lambda_function.refresh_function.arn}"
    assert json.loads(schedule["target"]["input"]) == {"source": "schedule", "action": "verify"}


def test_the_schedule_may_invoke_refresh_only(prod: Synthesised) -> None:
    (statement,) = statements(prod, "schedule_role_policy").values()
    (resource,) = statement["Resource"]
    assert resource.endswith(":function:scanner-database-prod-refresh")


def test_a_refresh_that_failed_is_left_to_the_next_one(prod: Synthesised) -> None:
    assert prod.one("aws_lambda_function_event_invoke_config")["maximum_retry_attempts"] == 0


def test_each_route_wants_iam_and_may_invoke_status(stack: Synthesised) -> None:
    routes = {body["route_key"]: body["authorization_type"] for body in stack.every("aws_apigatewayv2_route").values()}
    assert routes == dict.fromkeys(["GET /jobs/{job_id}", "GET /jobs", "GET /statistics"], "AWS_IAM")
    permitted = {body["source_arn"].partition("/")[2] for body in stack.every("aws_lambda_permission").values()}
    assert permitted == {"*/GET/jobs/{job_id}", "*/GET/jobs", "*/GET/statistics"}


def test_api_gateway_has_the_routes_that_the_definition_has(stack: Synthesised) -> None:
    routes = {body["route_key"] for body in stack.every("aws_apigatewayv2_route").values()}
    assert routes == {f"{method.upper()} {path}" for path, item in DOCUMENT["paths"].items() for method in item}
    (api,) = stack.every("aws_apigatewayv2_api").values()
    # The definition says that there is no CORS, so OPTIONS has no route.
    assert "cors_configuration" not in api


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_status_knows_how_often_refreshes_run(stacks: dict[str, Synthesised], environment: str) -> None:
    stack = stacks[environment]
    minutes = function(stack, "status")["environment"]["variables"]["REFRESH_MINUTES"]
    expression = stack.one("aws_scheduler_schedule", "schedule_refresh")["schedule_expression"]
    assert expression.split()[0] == f"rate({minutes}"


def test_the_api_logs_and_throttles(prod: Synthesised) -> None:
    stage = prod.one("aws_apigatewayv2_stage")
    logged = json.loads(stage["access_log_settings"]["format"])
    assert logged["caller"] == "$context.identity.userArn"
    # What `status` logs of a request, and what Lambda does.
    assert logged["request_id"] == "$context.requestId"
    assert logged["function_request_id"] == "$context.awsEndpointRequestId"
    assert stage["default_route_settings"]["throttling_rate_limit"] == 200
    integration = prod.one("aws_apigatewayv2_integration")
    assert integration["payload_format_version"] == "2.0"
