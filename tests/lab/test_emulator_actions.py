"""Composite alarms, saved queries, updates of stages and tests of filter patterns, which moto alone refuses."""

from collections.abc import Iterator

import botocore.exceptions
import pytest

from lab.emulator.server import Emulator


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("emulator"), region="eu-central-1", database_password="") as running:
        yield running


def test_a_composite_alarm_is_kept_with_its_rule_actions_and_tags_until_it_is_deleted(emulator: Emulator) -> None:
    cloudwatch = emulator.client("cloudwatch")
    topic = "arn:aws:sns:eu-central-1:123456789012:page"
    alarm = {
        "AlarmName": "outage",
        "AlarmDescription": "Something is broken.",
        "AlarmRule": 'ALARM("one") OR ALARM("two")',
        "AlarmActions": [topic],
        "OKActions": [topic],
        "ActionsEnabled": True,
    }
    cloudwatch.put_composite_alarm(**alarm, Tags=[{"Key": "severity", "Value": "page"}])
    found = cloudwatch.describe_alarms(AlarmNames=["outage"], AlarmTypes=["CompositeAlarm"])
    assert found["MetricAlarms"] == []
    (composite,) = found["CompositeAlarms"]
    assert {name: composite[name] for name in alarm} == alarm
    tags = cloudwatch.list_tags_for_resource(ResourceARN=composite["AlarmArn"])["Tags"]
    assert tags == [{"Key": "severity", "Value": "page"}]
    cloudwatch.delete_alarms(AlarmNames=["outage"])
    assert cloudwatch.describe_alarms(AlarmNames=["outage"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"] == []


def test_a_saved_query_is_found_by_the_beginning_of_its_name_changed_and_deleted(emulator: Emulator) -> None:
    logs = emulator.client("logs")
    query = {"name": "dev/slow", "queryString": "fields @message", "logGroupNames": ["/aws/a", "/aws/b"]}
    id_ = logs.put_query_definition(**query)["queryDefinitionId"]
    other = logs.put_query_definition(name="prod/slow", queryString="limit 1")["queryDefinitionId"]
    found = logs.describe_query_definitions(queryDefinitionNamePrefix="dev/")["queryDefinitions"]
    assert found == [{**query, "queryDefinitionId": id_}]
    changed = {**query, "queryString": "limit 5"}
    assert logs.put_query_definition(**changed, queryDefinitionId=id_)["queryDefinitionId"] == id_
    every = logs.describe_query_definitions()["queryDefinitions"]
    assert every == [
        {**changed, "queryDefinitionId": id_},
        {"name": "prod/slow", "queryString": "limit 1", "queryDefinitionId": other},
    ]
    assert logs.delete_query_definition(queryDefinitionId=id_)["success"] is True
    assert [each["name"] for each in logs.describe_query_definitions()["queryDefinitions"]] == ["prod/slow"]
    with pytest.raises(botocore.exceptions.ClientError, match="ResourceNotFoundException"):
        logs.delete_query_definition(queryDefinitionId=id_)


def test_a_stage_keeps_what_an_update_does_not_name_and_its_tags_follow(emulator: Emulator) -> None:
    gateway = emulator.client("apigatewayv2")
    api_id = gateway.create_api(Name="status", ProtocolType="HTTP")["ApiId"]
    stage = {"ApiId": api_id, "StageName": "$default"}
    gateway.create_stage(**stage, AutoDeploy=True, DefaultRouteSettings={"ThrottlingBurstLimit": 200}, Tags={"a": "1"})
    changed = gateway.update_stage(**stage, DefaultRouteSettings={"ThrottlingBurstLimit": 100})
    assert (changed["AutoDeploy"], changed["DefaultRouteSettings"]) == (True, {"ThrottlingBurstLimit": 100})
    arn = f"arn:aws:apigateway:eu-central-1::/apis/{api_id}/stages/$default"
    gateway.tag_resource(ResourceArn=arn, Tags={"b": "2", "c": "3"})
    gateway.untag_resource(ResourceArn=arn, TagKeys=["c"])
    assert gateway.get_tags(ResourceArn=arn)["Tags"] == {"a": "1", "b": "2"}
    found = gateway.get_stage(**stage)
    assert found["Tags"] == {"a": "1", "b": "2"}
    assert found["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 100}


def test_the_tags_of_an_api_are_its_own(emulator: Emulator) -> None:
    gateway = emulator.client("apigatewayv2")
    api = gateway.create_api(Name="other", ProtocolType="HTTP", Tags={"a": "1"})
    gateway.tag_resource(ResourceArn=f"arn:aws:apigateway:eu-central-1::/apis/{api['ApiId']}", Tags={"a": "2"})
    assert gateway.get_api(ApiId=api["ApiId"])["Tags"] == {"a": "2"}


def test_a_filter_pattern_is_tested_on_the_lines_that_are_given(emulator: Emulator) -> None:
    lines = ["GET 200 12", "GET 500 900", "nothing"]
    pattern = "[method, code=5*, milliseconds]"
    answer = emulator.client("logs").test_metric_filter(filterPattern=pattern, logEventMessages=lines)
    (match,) = answer["matches"]
    assert (match["eventNumber"], match["eventMessage"]) == (2, "GET 500 900")
    assert match["extractedValues"] == {"$method": "GET", "$code": "500", "$milliseconds": "900"}


def test_an_api_says_that_it_is_served_where_it_is(emulator: Emulator) -> None:
    made = emulator.client("apigatewayv2").create_api(Name="api", ProtocolType="HTTP")
    assert made["ApiEndpoint"] == emulator.api_url


def test_a_proxy_takes_another_secret(emulator: Emulator) -> None:
    ec2, rds = emulator.client("ec2"), emulator.client("rds")
    vpc_id = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]

    def auth(secret: str) -> list[dict[str, str]]:
        arn = f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{secret}"
        return [{"AuthScheme": "SECRETS", "SecretArn": arn, "IAMAuth": "REQUIRED"}]

    role = "arn:aws:iam::123456789012:role/proxy"
    rds.create_db_proxy(
        DBProxyName="p", EngineFamily="POSTGRESQL", Auth=auth("old"), RoleArn=role, VpcSubnetIds=[subnet]
    )
    rds.modify_db_proxy(DBProxyName="p", Auth=auth("new"))
    (proxy,) = rds.describe_db_proxies(DBProxyName="p")["DBProxies"]
    assert (proxy["Auth"], proxy["RoleArn"]) == (auth("new"), role)
    with pytest.raises(botocore.exceptions.ClientError, match="DBProxyNotFoundFault"):
        rds.modify_db_proxy(DBProxyName="none", Auth=auth("new"))
