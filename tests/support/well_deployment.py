"""A deployment of `prod` that works, as `ScriptedAws` answers for it after a deploy."""

from __future__ import annotations

import datetime as dt
import json
import operator
from typing import Any

from handlers.contract.names import function_name
from lab.emulator.filter_pattern import Reading, parse
from scannerdb.checks.model import Context
from stacks import ROOT
from stacks.alarms import catalogue
from stacks.alarms.log_patterns import DENIED_STATEMENTS, SLOW_STATEMENTS
from stacks.settings import Settings, load_settings
from tests.support.scripted_aws import ACCOUNT, ScriptedAws, payload

CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/ann"
SETTINGS = load_settings(ROOT / "environments" / "prod.toml", {})
PREFIX = SETTINGS.prefix
RELEASE = {"release_bucket": "releases", "release_key": "a.zip", "release_sha256": "a" * 64}
OUTPUTS = {
    "api_url": "https://api.example.com",
    "bastion_instance_id": "i-0123456789abcdef0",
    "database_endpoint": "localhost",
    "database_port": "5432",
    "page_topic_arn": f"arn:aws:sns:eu-central-1:{ACCOUNT}:{PREFIX}-page",
    "proxy_endpoint": "localhost",
    "proxy_port": "5432",
    "ticket_topic_arn": f"arn:aws:sns:eu-central-1:{ACCOUNT}:{PREFIX}-ticket",
}
LOGINS = [
    {"check": "connection", "state": "ok", "value": "PostgreSQL 17.6, answers in 2 ms", "why": "", "next": ""},
    {"check": "proxy", "state": "ok", "value": "connects and answers in 3 ms", "why": "", "next": ""},
]
# When the questions begin.
NOW = dt.datetime.now(dt.UTC)


def ago(**time: float) -> dt.datetime:
    return NOW - dt.timedelta(**time)


def state() -> dict[str, Any]:
    invocation = {"function_name": function_name(PREFIX, "migrate"), "input": json.dumps(RELEASE)}
    return {
        "version": 4,
        "outputs": {name: {"value": value, "type": "string"} for name, value in OUTPUTS.items()},
        "resources": [{"mode": "managed", "type": "aws_lambda_invocation", "instances": [{"attributes": invocation}]}],
    }


def alarm(name: str, **changed: Any) -> dict[str, Any]:
    """Return what CloudWatch says of an alarm; that of an expression has its queries."""
    record = next((each for each in catalogue(SETTINGS) if each.name == name), None)
    formula = getattr(getattr(record, "watches", None), "formula", None)
    queries = [{"Id": "result", "Expression": formula, "ReturnData": True}] if formula else []
    return {
        "AlarmName": f"{PREFIX}-{name}",
        "StateValue": "OK",
        "StateReason": "Threshold not crossed",
        "AlarmConfigurationUpdatedTimestamp": ago(days=3),
        **({"Metrics": queries} if queries else {}),
        **changed,
    }


def alarms(**changed: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of DescribeAlarms, in which `changed` says what is different of an alarm (`_` for `-`)."""
    names = [each.name for each in catalogue(SETTINGS)]
    return {
        "MetricAlarms": [alarm(name, **changed.get(name.replace("-", "_"), {})) for name in names],
        "CompositeAlarms": [{"AlarmName": f"{PREFIX}-outage", "StateValue": "OK"}],
    }


def metric_data(asked: dict[str, Any]) -> dict[str, Any]:
    """Answer with one datum; the schedule failed at nothing."""
    results = []
    for query in asked["MetricDataQueries"]:
        name = query.get("MetricStat", {}).get("Metric", {}).get("MetricName", "")
        values = [] if name in {"TargetErrorCount", "InvocationDroppedCount"} else [1.0]
        results.append(
            {
                "Id": query["Id"],
                "StatusCode": "Complete",
                "Values": values,
                "Timestamps": [ago(minutes=1)] * len(values),
            }
        )
    return {"MetricDataResults": results}


def tested(asked: dict[str, Any]) -> dict[str, Any]:
    pattern = parse(asked["filterPattern"])
    matched = [(number, pattern.match(text, Reading())) for number, text in enumerate(asked["logEventMessages"], 1)]
    found = filter(operator.itemgetter(1), matched)
    return {"matches": [{"eventNumber": number, "extractedValues": values} for number, values in found]}


def invoke(asked: dict[str, Any]) -> dict[str, Any]:
    function, event = asked["FunctionName"].removeprefix(f"{PREFIX}-"), json.loads(asked["Payload"])
    if function == "doctor":
        return payload({"state": "ok", "findings": LOGINS})
    if function == "refresh":
        return payload({"refreshed": True, "jobs": 3, "objects": 9})
    assert event == {**RELEASE, "action": "plan"}
    return payload({"release_sha256": "a" * 64, "findings": [], "steps": []})


def subscribed(asked: dict[str, Any]) -> dict[str, Any]:
    return {"Subscriptions": [{"Endpoint": SETTINGS.alarms.emails[0], "SubscriptionArn": f"{asked['TopicArn']}:1"}]}


WELL: dict[str, Any] = {
    "cloudwatch.describe_alarms": lambda _: alarms(),
    "cloudwatch.get_metric_data": metric_data,
    "lambda.invoke": invoke,
    "logs.describe_metric_filters": {
        "metricFilters": [{"filterPattern": each} for each in (*SLOW_STATEMENTS.values(), *DENIED_STATEMENTS.values())]
    },
    "logs.test_metric_filter": tested,
    "scheduler.get_schedule": {"State": "ENABLED", "ScheduleExpression": "rate(1 minute)"},
    "sns.list_subscriptions_by_topic": subscribed,
    "ssm.describe_instance_information": {
        "InstanceInformationList": [{"InstanceId": OUTPUTS["bastion_instance_id"], "PingStatus": "Online"}]
    },
    "ssm.start_session": {"SessionId": "ann-0123456789abcdef0"},
    "ssm.terminate_session": {"SessionId": "ann-0123456789abcdef0"},
}


def context(script: dict[str, Any], *, settings: Settings = SETTINGS) -> Context:
    """Return the context of a well deployment, changed by `script`."""
    aws = ScriptedAws(WELL | script).clients(settings)
    return Context(settings=settings, aws=aws, account_id=ACCOUNT, caller=CALLER, state=state(), now=NOW)
