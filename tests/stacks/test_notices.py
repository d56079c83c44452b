"""Who is told: the two topics and who may publish to them, what AWS announces, and what is made of the log."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from handlers.contract.alarms.messages import NOTICES
from stacks.alarms.log_patterns import DENIED_STATEMENTS, SLOW_STATEMENTS

if TYPE_CHECKING:
    from tests.support.synthesis import Synthesised

ACCOUNT = "${data.aws_caller_identity.account.account_id}"
PARTITION = "${data.aws_partition.partition.partition}"
# As the guides of RDS and of AWS Health show them, shortened:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-cloudwatch-events.sample.html
FAILOVER = {
    "detail-type": "RDS DB Instance Event",
    "source": "aws.rds",
    "detail": {
        "EventCategories": ["failover"],
        "SourceType": "DB_INSTANCE",
        "Message": "A Multi-AZ failover has completed.",
        "SourceIdentifier": "scanner-database-prod",
        "EventID": "RDS-EVENT-0049",
    },
}
# https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html
CERTIFICATE = {
    "detail-type": "AWS Health Event",
    "source": "aws.health",
    "detail": {
        "service": "RDS",
        "eventTypeCode": "AWS_RDS_PLANNED_LIFECYCLE_EVENT",
        "eventTypeCategory": "scheduledChange",
        "eventDescription": [{"language": "en_US", "latestDescription": "Your certificate authority expires."}],
    },
}


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Return whether EventBridge would take an event: each field of the pattern has one of the event's values."""
    for name, wanted in pattern.items():
        value = event.get(name)
        if isinstance(wanted, dict):
            if not isinstance(value, dict) or not matches(wanted, value):
                return False
        elif not set(value if isinstance(value, list) else [value]) & set(wanted):
            return False
    return True


def taken(stack: Synthesised, event: dict[str, Any]) -> list[str]:
    rules = stack.every("aws_cloudwatch_event_rule").values()
    return [rule["name"] for rule in rules if matches(json.loads(rule["event_pattern"]), event)]


def changed(event: dict[str, Any], **detail: Any) -> dict[str, Any]:
    return {**event, "detail": {**event["detail"], **detail}}


def test_both_topics_are_encrypted_with_our_key(stack: Synthesised) -> None:
    topics = {body["name"]: body["kms_master_key_id"] for body in stack.every("aws_sns_topic").values()}
    prefix = stack.one("aws_db_instance")["identifier"]
    assert topics == dict.fromkeys([f"{prefix}-page", f"{prefix}-ticket"], "${aws_kms_key.encryption_key.arn}")


@pytest.mark.parametrize(
    ("topic", "events"), [("page", {}), ("ticket", {"events.amazonaws.com": None})], ids=["page", "ticket"]
)
def test_only_what_this_deployment_made_may_publish_as_far_as_a_policy_can_say_so(
    prod: Synthesised, topic: str, events: dict[str, None]
) -> None:
    """A condition would keep EventBridge out: "Amazon SNS permissions" in the EventBridge user guide."""
    body = prod.one("aws_sns_topic_policy", f"topics_{topic}_policy")
    assert body["arn"] == f"${{aws_sns_topic.topics_{topic}.arn}}"
    found = {}
    for statement in json.loads(body["policy"])["Statement"]:
        assert (statement["Action"], statement["Resource"]) == (["sns:Publish"], [body["arn"]])
        found[statement["Principal"]["Service"]] = statement.get("Condition")
    ours = f"arn:{PARTITION}:cloudwatch:eu-central-1:{ACCOUNT}:alarm:scanner-database-prod-*"
    assert found == {"cloudwatch.amazonaws.com": {"ArnLike": {"aws:SourceArn": ours}}, **events}


def test_each_address_of_the_settings_is_subscribed_to_both(stacks: dict[str, Synthesised]) -> None:
    subscribed = sorted(
        (body["topic_arn"], body["protocol"], body["endpoint"])
        for body in stacks["prod"].every("aws_sns_topic_subscription").values()
    )
    assert subscribed == [
        (f"${{aws_sns_topic.topics_{topic}.arn}}", "email", "scanner-oncall@example.com")
        for topic in ("page", "ticket")
    ]
    assert stacks["dev"].every("aws_sns_topic_subscription") == {}


def test_what_rds_announces_of_this_instance_is_a_notice(prod: Synthesised) -> None:
    assert taken(prod, FAILOVER) == ["scanner-database-prod-database-events"]
    for category in ("availability", "failure", "low storage", "maintenance", "notification", "recovery"):
        assert taken(prod, changed(FAILOVER, EventCategories=[category])), category
    assert taken(prod, changed(FAILOVER, EventCategories=["backup"])) == []
    assert taken(prod, changed(FAILOVER, SourceIdentifier="somebody-else")) == []


def test_what_aws_health_announces_of_rds_is_a_notice(prod: Synthesised) -> None:
    assert taken(prod, CERTIFICATE) == ["scanner-database-prod-lifecycle-events"]
    assert taken(prod, changed(CERTIFICATE, service="EC2")) == []


@pytest.mark.parametrize(("notice", "event"), [("database_events", FAILOVER), ("lifecycle_events", CERTIFICATE)])
def test_a_notice_is_a_ticket_that_says_what_links_the_runbook_and_names_the_first_command(
    prod: Synthesised, notice: str, event: dict[str, Any]
) -> None:
    target = prod.one("aws_cloudwatch_event_target", f"notices_{notice}_target")
    assert target["rule"] == f"${{aws_cloudwatch_event_rule.notices_{notice}.name}}"
    assert target["arn"] == "${aws_sns_topic.topics_ticket.arn}"
    # With a role, EventBridge does not deliver to an encrypted topic.
    assert "role_arn" not in target
    transformer = target["input_transformer"]
    text = json.loads(transformer["input_template"])
    assert re.findall(r"<(\w+)>", text) == ["what", "id"]
    for path in transformer["input_paths"].values():
        value: Any = event
        for name, index in re.findall(r"\.(\w+)(?:\[(\d)\])?", path):
            value = value[name][int(index)] if index else value[name]
        assert isinstance(value, str)
    section = notice.replace("_", "-")
    assert re.search(
        rf"^scanner-database-prod-{section}: <what> \(<id>\)\. .* Runbook: \S+#{section} Dashboard: https://\S+ "
        r"First \(the runbook begins with how to get it\): "
        rf"scannerdb tunnel -e prod --direct -- scannerdb doctor {section}$",
        text,
    )


def test_every_notice_has_a_rule_and_a_target(stack: Synthesised) -> None:
    for kind in ("aws_cloudwatch_event_rule", "aws_cloudwatch_event_target"):
        assert len(stack.every(kind)) == len(NOTICES)


@pytest.mark.parametrize(
    ("patterns", "transformation"),
    [
        (SLOW_STATEMENTS, {"name": "SlowQueryDuration", "value": "$milliseconds", "unit": "Milliseconds"}),
        (DENIED_STATEMENTS, {"name": "DeniedStatements", "value": "1", "unit": "Count", "default_value": "0"}),
    ],
)
def test_metrics_are_made_of_the_database_s_log(
    prod: Synthesised, patterns: dict[str, str], transformation: dict[str, str]
) -> None:
    for name, pattern in patterns.items():
        body = prod.one("aws_cloudwatch_log_metric_filter", f"log_metrics_{name}")
        assert body["log_group_name"] == "${aws_cloudwatch_log_group.database_postgresql_log_group.name}"
        assert body["pattern"] == pattern
        assert body["metric_transformation"] == {"namespace": "ScannerDatabase/prod", **transformation}
