"""What concerns the stack as a whole: bastion, bucket, key, state, tags, outputs, addresses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scannerdb.terraform import OLDEST_TERRAFORM

if TYPE_CHECKING:
    from tests.support.synthesis import Synthesised


def test_the_bastion_is_reached_by_session_manager_only(stack: Synthesised) -> None:
    bastion = stack.one("aws_instance")
    assert {"key_name", "user_data"} & bastion.keys() == set()
    assert bastion["associate_public_ip_address"] is False
    assert bastion["metadata_options"] == {
        "http_endpoint": "enabled",
        "http_tokens": "required",
        "http_put_response_hop_limit": 1,
    }
    ingress = stack.every("aws_vpc_security_group_ingress_rule").values()
    assert [rule for rule in ingress if "bastion" in rule["security_group_id"]] == []


def test_the_bastion_s_credentials_work_inside_the_network_only(stack: Synthesised) -> None:
    policy = json.loads(stack.one("aws_iam_role_policy", "bastion_role_policy")["policy"])
    (statement,) = policy["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceVpc": "${aws_vpc.network_vpc.id}"}}


def test_the_bastion_s_disk_is_encrypted(stack: Synthesised) -> None:
    disk = stack.one("aws_instance")["root_block_device"]
    assert (disk["encrypted"], disk["kms_key_id"]) == (True, "${aws_kms_key.encryption_key.arn}")


def test_the_bastion_runs_the_newest_arm64_image_and_is_not_replaced_for_it(stack: Synthesised) -> None:
    image = stack.json["data"]["aws_ssm_parameter"]["bastion_image"]["name"]
    assert image == "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    bastion = stack.one("aws_instance")
    assert (bastion["instance_type"], bastion["lifecycle"]) == ("t4g.nano", {"ignore_changes": ["ami"]})


def test_the_bucket_is_private_versioned_encrypted_and_refuses_plain_http(stack: Synthesised) -> None:
    block = stack.one("aws_s3_bucket_public_access_block")
    assert [value for name, value in block.items() if name.startswith(("block_", "ignore_", "restrict_"))] == [True] * 4
    assert stack.one("aws_s3_bucket_versioning")["versioning_configuration"]["status"] == "Enabled"
    (rule,) = stack.one("aws_s3_bucket_server_side_encryption_configuration")["rule"]
    assert rule["apply_server_side_encryption_by_default"]["sse_algorithm"] == "aws:kms"
    (statement,) = json.loads(stack.one("aws_s3_bucket_policy")["policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_the_bucket_of_a_protected_deployment_is_not_emptied_by_a_destroy(stacks: dict[str, Synthesised]) -> None:
    assert stacks["prod"].one("aws_s3_bucket")["force_destroy"] is False
    assert stacks["dev"].one("aws_s3_bucket")["force_destroy"] is True


def test_the_key_rotates_and_lets_only_logs_alarms_and_notices_use_it(prod: Synthesised) -> None:
    key = prod.one("aws_kms_key")
    assert key["enable_key_rotation"] is True
    statements = json.loads(key["policy"])["Statement"]
    services = {statement["Principal"].get("Service"): statement.get("Condition") for statement in statements}
    assert services.keys() == {
        None,
        "logs.eu-central-1.amazonaws.com",
        "cloudwatch.amazonaws.com",
        "events.amazonaws.com",
    }
    assert all(condition for service, condition in services.items() if service)


def test_the_key_asks_eventbridge_for_the_topic_and_never_for_its_account(prod: Synthesised) -> None:
    """A condition on the source fails the delivery without a word, as the guide of SNS says."""
    statements = json.loads(prod.one("aws_kms_key")["policy"])["Statement"]
    (notices,) = [each for each in statements if each["Principal"].get("Service") == "events.amazonaws.com"]
    account = "${data.aws_caller_identity.account.account_id}"
    topic = f"arn:${{data.aws_partition.partition.partition}}:sns:eu-central-1:{account}:scanner-database-prod-ticket"
    assert notices["Condition"] == {"ArnEquals": {"kms:EncryptionContext:aws:sns:topicArn": topic}}
    assert notices["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]


def test_production_keeps_its_state_in_a_bucket_with_a_lock_file(prod: Synthesised) -> None:
    assert prod.json["terraform"]["backend"] == {
        "s3": {
            "bucket": "example-terraform-state",
            "key": "scanner-database-prod.tfstate",
            "region": "eu-central-1",
            "encrypt": True,
            "use_lockfile": True,
        }
    }


def test_the_stack_demands_the_terraform_that_is_looked_for_on_this_machine(stack: Synthesised) -> None:
    oldest = ".".join(map(str, OLDEST_TERRAFORM))
    assert stack.json["terraform"]["required_version"] == f">= {oldest}"


def test_every_resource_is_tagged_by_the_provider(prod: Synthesised) -> None:
    (provider,) = prod.json["provider"]["aws"]
    assert provider["default_tags"] == [
        {"tags": {"application": "scanner-database", "environment": "prod", "owner": "platform-team"}}
    ]


def test_only_an_emulator_gets_endpoints_and_made_up_credentials(stacks: dict[str, Synthesised]) -> None:
    for environment in ("dev", "prod"):
        (provider,) = stacks[environment].json["provider"]["aws"]
        assert provider.keys() == {"region", "default_tags"}
    (provider,) = stacks["local"].json["provider"]["aws"]
    (endpoints,) = provider["endpoints"]
    assert set(endpoints.values()) == {"http://127.0.0.1:5000"}
    assert provider["access_key"] == "test"


def test_every_service_in_use_has_the_emulator_s_endpoint(stacks: dict[str, Synthesised]) -> None:
    (endpoints,) = stacks["local"].json["provider"]["aws"][0]["endpoints"]
    prefixes = {
        "apigatewayv2": "apigatewayv2",
        "cloudwatch_composite": "cloudwatch",
        "cloudwatch_dashboard": "cloudwatch",
        "cloudwatch_event": "events",
        "cloudwatch_log": "logs",
        "cloudwatch_metric": "cloudwatch",
        "cloudwatch_query": "logs",
        "db": "rds",
        "iam": "iam",
        "kms": "kms",
        "lambda": "lambda",
        "s3": "s3",
        "scheduler": "scheduler",
        "sns": "sns",
        **dict.fromkeys(["default", "flow", "instance", "route", "security", "subnet", "vpc"], "ec2"),
    }
    for kind in stacks["local"].json["resource"].keys() - {"terraform_data"}:  # of Terraform itself
        name = kind.removeprefix("aws_")
        assert [service for prefix, service in prefixes.items() if name.startswith(prefix) and service in endpoints], (
            kind
        )


def test_the_outputs_are_what_people_and_commands_ask_for(stack: Synthesised) -> None:
    assert set(stack.json["output"]) == {
        "api_url",
        "application_user_arn",
        "bastion_instance_id",
        "dashboard_url",
        "database_endpoint",
        "database_port",
        "doctor_function_name",
        "migrate_function_name",
        "page_topic_arn",
        "proxy_endpoint",
        "proxy_port",
        "proxy_security_group_id",
        "refresh_function_name",
        "release_sha256",
        "route_table_ids",
        "status_function_name",
        "ticket_topic_arn",
        "tunnel_command",
        "vpc_id",
    }


def test_addresses_are_paths_that_people_can_type(stack: Synthesised) -> None:
    addresses = [address for address, _ in stack.resources()]
    assert {"aws_db_instance.database_instance", "aws_instance.bastion_instance"} <= set(addresses)
    assert [address for address in addresses if address.lower() != address or " " in address] == []
