"""What Terraform sets, the emulator returns: else every second plan would differ."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import botocore.exceptions
import pytest

from lab.emulator.patch_resources import _one_at_a_time
from lab.emulator.server import Emulator
from tests.lab.tiny_functions import package


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("emulator"), region="eu-central-1", database_password="") as running:
        yield running


def test_a_database_instance_returns_its_insights_and_its_lifecycle(emulator: Emulator) -> None:
    rds = emulator.client("rds")
    settings = {
        "EngineLifecycleSupport": "open-source-rds-extended-support-disabled",
        "PerformanceInsightsKMSKeyId": "arn:aws:kms:eu-central-1:123456789012:key/some",
        "PerformanceInsightsRetentionPeriod": 7,
    }
    rds.create_db_instance(
        DBInstanceIdentifier="one",
        DBInstanceClass="db.t4g.small",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="admin1",
        MasterUserPassword="long enough",
        EnablePerformanceInsights=True,
        **settings,
    )
    returned = rds.describe_db_instances(DBInstanceIdentifier="one")["DBInstances"][0]
    assert returned["PerformanceInsightsEnabled"] is True
    assert {name: returned.get(name) for name in settings} == settings
    assert returned["CACertificateIdentifier"] == "rds-ca-rsa2048-g1"


def test_parameters_of_a_group_say_that_a_user_set_them(emulator: Emulator) -> None:
    rds = emulator.client("rds")
    rds.create_db_parameter_group(DBParameterGroupName="g", DBParameterGroupFamily="postgres17", Description="d")
    parameter = {"ParameterName": "log_statement", "ParameterValue": "ddl", "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(DBParameterGroupName="g", Parameters=[parameter])
    returned = rds.describe_db_parameters(DBParameterGroupName="g")["Parameters"]
    assert returned == [{**parameter, "Source": "user"}]


def test_rules_of_security_groups_keep_their_descriptions(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="a", Description="a", VpcId=vpc)["GroupId"]
    prefix_list = ec2.describe_prefix_lists()["PrefixLists"][0]["PrefixListId"]
    ports = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1}
    peer = {"UserIdGroupPairs": [{"GroupId": group, "Description": "to a group"}]}
    service = {"PrefixListIds": [{"PrefixListId": prefix_list, "Description": "to a service"}]}
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[ports | peer])
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[ports | service])
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    assert {rule.get("Description") for rule in rules} == {None, "to a group", "to a service"}


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_rule_that_is_revoked_twice_is_not_found_by_its_id(emulator: Emulator, direction: str) -> None:
    ec2 = emulator.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName=direction, Description="a", VpcId=vpc)["GroupId"]
    port = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}
    authorize = getattr(ec2, f"authorize_security_group_{direction}")
    revoke = getattr(ec2, f"revoke_security_group_{direction}")
    rule = authorize(GroupId=group, IpPermissions=[port])["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    revoke(GroupId=group, SecurityGroupRuleIds=[rule])
    # The provider takes this error for done, and any other for a failure.
    with pytest.raises(botocore.exceptions.ClientError, match=rf"InvalidSecurityGroupRuleId\.NotFound.*{rule}"):
        revoke(GroupId=group, SecurityGroupRuleIds=[rule])
    with pytest.raises(botocore.exceptions.ClientError, match=r"InvalidPermission\.NotFound"):
        revoke(GroupId=group, IpPermissions=[port])


def test_requests_that_change_the_same_list_wait_for_each_other() -> None:
    entered, together = threading.Barrier(2, timeout=0.3), []

    def change(_: object) -> None:
        try:
            entered.wait()
        except threading.BrokenBarrierError:
            return
        together.append(True)

    call = _one_at_a_time(change)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(call, [SimpleNamespace(), SimpleNamespace()]))
    assert together == []


def test_a_function_returns_its_logging_configuration(emulator: Emulator) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = emulator.client("iam").create_role(
        RoleName="r", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    logging = {"LogFormat": "JSON", "LogGroup": "/aws/lambda/f"}
    functions = emulator.client("lambda")
    functions.create_function(
        FunctionName="f",
        Runtime="python3.13",
        Role=role["Role"]["Arn"],
        Handler="app.handler",
        Code={"ZipFile": package("def handler(event, context): return 1")},
        LoggingConfig=logging,
    )
    assert functions.get_function_configuration(FunctionName="f")["LoggingConfig"] == logging


def launch(ec2: Any, **where: Any) -> dict[str, Any]:
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    instance: dict[str, Any] = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, **where)["Instances"][0]
    return instance


def test_detailed_monitoring_of_an_instance_can_be_switched_on(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    instance = launch(ec2)["InstanceId"]
    answer = ec2.monitor_instances(InstanceIds=[instance])["InstanceMonitorings"]
    assert answer == [{"InstanceId": instance, "Monitoring": {"State": "enabled"}}]


def test_an_instance_takes_its_network_interface_along_and_leaves_one_that_was_there_before(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    there_before = ec2.describe_network_interfaces()["NetworkInterfaces"]
    given = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    launched = [
        launch(ec2, **where)["InstanceId"]
        for where in (
            {"NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": given}]},
            {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": False}]},
            {"SubnetId": subnet},
        )
    ]
    ec2.terminate_instances(InstanceIds=launched)
    left = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert [each["NetworkInterfaceId"] for each in left if each not in there_before] == [given]


@pytest.mark.parametrize("public", [True, False])
def test_only_an_interface_with_a_public_address_is_associated_with_one(emulator: Emulator, *, public: bool) -> None:
    ec2 = emulator.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": public}
    launched = launch(ec2, NetworkInterfaces=[interface])
    (returned,) = launched["NetworkInterfaces"]
    assert ("Association" in returned, "PublicIpAddress" in launched) == (public, public)


def test_an_instance_has_the_security_groups_of_its_interface(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.create_security_group(GroupName="of-one", Description="d", VpcId=subnet["VpcId"])["GroupId"]
    interface = {"DeviceIndex": 0, "SubnetId": subnet["SubnetId"], "Groups": [group]}
    launched = launch(ec2, NetworkInterfaces=[interface])
    assert [each["GroupId"] for each in launched["SecurityGroups"]] == [group]


def test_a_bucket_that_refuses_plain_http_takes_objects_all_the_same(emulator: Emulator) -> None:
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="releases", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    refuse = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::releases", "arn:aws:s3:::releases/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket="releases", Policy=json.dumps({"Version": "2012-10-17", "Statement": [refuse]}))
    s3.put_object(Bucket="releases", Key="release.zip", Body=b"content")
    assert s3.get_object(Bucket="releases", Key="release.zip")["Body"].read() == b"content"
