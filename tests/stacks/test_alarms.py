"""The first alarms, fact by fact, and that each is complete."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from stacks.alarm_resources import SLOW_STATEMENTS
from stacks.alarms import catalogue
from stacks.settings import load_settings
from tests.stacks.conftest import ENVIRONMENTS, ROOT

if TYPE_CHECKING:
    from tests.stacks.conftest import Synthesised

FACTS = {
    "slow_queries": {
        "namespace": "ScannerDatabase/prod",
        "metric_name": "SlowQueryDuration",
        "statistic": "SampleCount",
        "period": 300,
        "evaluation_periods": 1,
        "comparison_operator": "GreaterThanOrEqualToThreshold",
        "threshold": 10,
        "treat_missing_data": "notBreaching",
        "tags": {"severity": "ticket"},
    },
    "refresh_failing": {
        "namespace": "AWS/Lambda",
        "metric_name": "Errors",
        "dimensions": {"FunctionName": "scanner-database-prod-refresh"},
        "statistic": "Sum",
        "period": 60,
        "evaluation_periods": 3,
        "comparison_operator": "GreaterThanOrEqualToThreshold",
        "threshold": 1,
        "treat_missing_data": "notBreaching",
        "tags": {"severity": "ticket"},
    },
    "progress_stale": {
        "namespace": "ScannerDatabase",
        "metric_name": "RefreshSucceeded",
        "dimensions": {"service": "scanner-database-prod-refresh"},
        "statistic": "Sum",
        "period": 180,
        "evaluation_periods": 1,
        "comparison_operator": "LessThanThreshold",
        "threshold": 1,
        "treat_missing_data": "breaching",
        "tags": {"severity": "page"},
    },
    "progress_drift": {
        "namespace": "ScannerDatabase",
        "metric_name": "DriftedJobs",
        "dimensions": {"service": "scanner-database-prod-refresh"},
        "statistic": "Maximum",
        "period": 3600,
        "evaluation_periods": 1,
        "comparison_operator": "GreaterThanOrEqualToThreshold",
        "threshold": 1,
        "treat_missing_data": "ignore",
        "tags": {"severity": "ticket"},
    },
    "api_errors": {
        "namespace": "AWS/ApiGateway",
        "metric_name": "5xx",
        "dimensions": {"ApiId": "${aws_apigatewayv2_api.status_api_api.id}"},
        "statistic": "Sum",
        "period": 300,
        "evaluation_periods": 1,
        "comparison_operator": "GreaterThanOrEqualToThreshold",
        "threshold": 5,
        "treat_missing_data": "notBreaching",
        "tags": {"severity": "page"},
    },
    "migration_failed": {
        "namespace": "AWS/Lambda",
        "metric_name": "Errors",
        "dimensions": {"FunctionName": "scanner-database-prod-migrate"},
        "statistic": "Sum",
        "period": 300,
        "evaluation_periods": 1,
        "comparison_operator": "GreaterThanOrEqualToThreshold",
        "threshold": 1,
        "treat_missing_data": "notBreaching",
        "tags": {"severity": "ticket"},
    },
}


@pytest.mark.parametrize(
    ("alarm", "argument", "value"),
    [(alarm, argument, value) for alarm, facts in FACTS.items() for argument, value in facts.items()],
)
def test_the_production_alarms(prod: Synthesised, alarm: str, argument: str, value: Any) -> None:
    assert prod.one("aws_cloudwatch_metric_alarm", f"alarms_{alarm}")[argument] == value


def test_every_alarm_has_its_facts_here(stack: Synthesised) -> None:
    assert stack.every("aws_cloudwatch_metric_alarm").keys() == {f"alarms_{alarm}" for alarm in FACTS}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_alarm_has_a_section_in_the_runbook_and_every_section_an_alarm(environment: str) -> None:
    settings = load_settings(ROOT / "environments" / f"{environment}.toml", {})
    alarms = catalogue(settings, api_id="a1")
    sections = re.findall(r"^## (\S+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(alarm.runbook_section for alarm in alarms)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_periods_are_what_cloudwatch_accepts(environment: str) -> None:
    settings = load_settings(ROOT / "environments" / f"{environment}.toml", {})
    for alarm in catalogue(settings, api_id="a1"):
        assert alarm.period_s % 60 == 0
        assert alarm.period_s * alarm.evaluation_periods <= 24 * 60 * 60


def test_an_alarm_tells_both_its_begin_and_its_end_and_links_the_runbook(stack: Synthesised) -> None:
    for name, body in stack.every("aws_cloudwatch_metric_alarm").items():
        assert body["alarm_actions"] == body["ok_actions"] == ["${aws_sns_topic.alarms_topic.arn}"]
        section = name.removeprefix("alarms_").replace("_", "-")
        assert body["alarm_description"].endswith(f"Runbook: docs/runbook.md#{section}")


def test_the_alarms_come_after_the_schedule_that_they_watch(stack: Synthesised) -> None:
    stale = stack.one("aws_cloudwatch_metric_alarm", "alarms_progress_stale")
    assert stale["depends_on"] == ["aws_scheduler_schedule.schedule_refresh"]


@pytest.mark.parametrize("name", ["slow_statements", "slow_logged_statements"])
def test_slow_statements_are_measured_from_the_database_s_log(prod: Synthesised, name: str) -> None:
    measured = prod.one("aws_cloudwatch_log_metric_filter", f"alarms_{name}")
    assert measured["log_group_name"] == "${aws_cloudwatch_log_group.database_postgresql_log_group.name}"
    assert measured["pattern"] == SLOW_STATEMENTS[name]
    assert measured["metric_transformation"] == {
        "name": "SlowQueryDuration",
        "namespace": "ScannerDatabase/prod",
        "unit": "Milliseconds",
        "value": "$milliseconds",
    }


def test_cloudwatch_may_publish_to_the_encrypted_topic(prod: Synthesised) -> None:
    assert prod.one("aws_sns_topic")["kms_master_key_id"] == "${aws_kms_key.encryption_key.arn}"
    policy = prod.one("aws_sns_topic_policy")["policy"]
    assert '"cloudwatch.amazonaws.com"' in policy
    assert "aws:SourceAccount" in policy


def test_each_address_of_the_settings_is_subscribed(stacks: dict[str, Synthesised]) -> None:
    subscribed = [body["endpoint"] for body in stacks["prod"].every("aws_sns_topic_subscription").values()]
    assert subscribed == ["scanner-oncall@example.com"]
    assert stacks["dev"].every("aws_sns_topic_subscription") == {}
