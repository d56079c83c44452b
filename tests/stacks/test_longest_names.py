"""What is made of the longest settings is still as short as AWS demands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from stacks.settings.alarms import LONGEST_RUNBOOK_URL
from stacks.settings.environment_name import LONGEST_ENVIRONMENT_NAME
from tests.support.settings_file import CLUSTER, COMPLETE
from tests.support.synthesis import Synthesised, synthesise_file

if TYPE_CHECKING:
    from collections.abc import Iterator

# The longest name of each kind, by the API references of the services.
LIMITS = {
    "aws_apigatewayv2_api.name": 128,
    "aws_cloudwatch_composite_alarm.alarm_name": 255,
    "aws_cloudwatch_dashboard.dashboard_name": 255,
    "aws_cloudwatch_event_rule.name": 64,
    "aws_cloudwatch_log_group.name": 512,
    "aws_cloudwatch_log_metric_filter.name": 512,
    "aws_cloudwatch_metric_alarm.alarm_name": 255,
    "aws_cloudwatch_query_definition.name": 255,
    "aws_db_instance.final_snapshot_identifier": 255,
    "aws_db_instance.identifier": 63,
    "aws_db_parameter_group.name": 255,
    "aws_db_proxy.name": 63,
    "aws_db_proxy_endpoint.db_proxy_endpoint_name": 63,
    "aws_db_subnet_group.name": 255,
    "aws_iam_instance_profile.name": 128,
    "aws_iam_role.name": 64,
    "aws_iam_role_policy.name": 128,
    "aws_kms_alias.name": 256,
    "aws_lambda_function.function_name": 64,
    "aws_rds_cluster.cluster_identifier": 63,
    "aws_rds_cluster.final_snapshot_identifier": 255,
    "aws_rds_cluster_instance.identifier": 63,
    "aws_rds_cluster_parameter_group.name": 255,
    "aws_s3_bucket.bucket": 63,
    "aws_scheduler_schedule.name": 64,
    "aws_scheduler_schedule_group.name": 64,
    "aws_security_group.name": 255,
    "aws_sns_topic.name": 256,
}
ALARM_DESCRIPTION, RULE_DESCRIPTION, INPUT_TEMPLATE = 1024, 512, 8192
ENVIRONMENT = "n" * LONGEST_ENVIRONMENT_NAME
NAMING = re.compile(r"(?:\w+_)?(?:name|identifier)|bucket")


@pytest.fixture(scope="module", params=[COMPLETE, CLUSTER], ids=["instance", "cluster"])
def longest(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Synthesised:
    """The stack of the longest environment's name and the longest address of the runbook."""
    folder = tmp_path_factory.mktemp("longest")
    url = "https://a.example/".ljust(LONGEST_RUNBOOK_URL, "r")
    file = folder / f"{ENVIRONMENT}.toml"
    text = request.param.replace("deletion_protection = false", "deletion_protection = false\nfinal_snapshot = true")
    file.write_text(f'{text}\n[alarms]\nrunbook_url = "{url}"\nemails = ["a@example.com"]\n')
    return synthesise_file(file, folder / "cdktf.out")


def names(stack: Synthesised) -> Iterator[tuple[str, str]]:
    """Yield `type.argument` and value of each name that contains the environment's."""
    for kind, named in stack.json["resource"].items():
        for body in named.values():
            for argument, value in body.items():
                if NAMING.fullmatch(argument) and isinstance(value, str) and ENVIRONMENT in value:
                    yield f"{kind}.{argument}", re.sub(r"\$\{data\.\w+\.account\.account_id\}", "0" * 12, value)


def test_no_name_made_of_the_longest_environment_s_is_longer_than_aws_allows(longest: Synthesised) -> None:
    # An object's bucket is a reference by name; its own limit is that of the bucket.
    made = [(what, name) for what, name in names(longest) if what != "aws_s3_object.bucket"]
    assert {what for what, _ in made} - LIMITS.keys() == set(), "look up the longest name that AWS allows"
    assert [(what, name) for what, name in made if len(name) > LIMITS[what]] == []


def test_a_longer_name_would_not_fit(longest: Synthesised) -> None:
    assert min(LIMITS[what] - len(name) for what, name in names(longest) if what in LIMITS) == 0


def test_descriptions_with_the_longest_runbook_address_fit(longest: Synthesised) -> None:
    def lengths(kind: str, argument: str) -> list[int]:
        return [len(body[argument]) for body in longest.every(kind).values()]

    assert max(lengths("aws_cloudwatch_metric_alarm", "alarm_description")) <= ALARM_DESCRIPTION
    assert max(lengths("aws_cloudwatch_composite_alarm", "alarm_description")) <= ALARM_DESCRIPTION
    assert max(lengths("aws_cloudwatch_event_rule", "description")) <= RULE_DESCRIPTION
    targets: list[dict[str, Any]] = list(longest.every("aws_cloudwatch_event_target").values())
    assert max(len(target["input_transformer"]["input_template"]) for target in targets) <= INPUT_TEMPLATE
