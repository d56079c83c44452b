"""`scannerdb preflight`: each fault of an account is told with the way out, and a denied call with its permission."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.response import StreamingBody

from scannerdb.checks.clients import Clients
from scannerdb.checks.run import run
from scannerdb.preflight import command
from scannerdb.preflight.command import CHECKS, context_of
from stacks import ROOT
from stacks.settings import load_settings
from tests.support.command_line import scannerdb
from tests.support.scripted_aws import ACCOUNT, DENIED, Refusal, ScriptedAws
from tests.support.synthesis import HUGE
from tests.support.well_account import (
    OFFERS_OF_AURORA,
    WELL,
    in_a_network_that_exists,
    instances,
    option,
    rds_quota,
    subnets,
    versions,
    zone,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lab.emulator.server import Emulator
    from scannerdb.checks.model import Answer
    from tests.support.synthesis import Synthesised

CALLER = "arn:aws:sts::123456789012:assumed-role/deployer/ann"
PREFIX = "scanner-database-prod"


def answers(prod: Synthesised, *, environ: dict[str, str] | None = None, **script: Any) -> list[Answer]:
    """Return what preflight of `prod` finds in a well account, changed by `script` (its keys with `__` for the dot)."""
    settings = load_settings(ROOT / "environments" / "prod.toml", environ or {})
    changed = {name.replace("__", "."): answer for name, answer in script.items()}
    aws = ScriptedAws(WELL | changed).clients(settings)
    return list(run(CHECKS, context_of(settings, aws, prod.json, account_id=ACCOUNT, caller=CALLER)))


def faults(found: list[Answer]) -> list[Answer]:
    return [answer for answer in found if answer.state != "ok"]


def test_in_a_well_account_every_question_is_answered_well(prod: Synthesised) -> None:
    found = answers(prod)
    assert faults(found) == []
    assert {answer.check for answer in found} == {check.name for check in CHECKS}
    assert all(answer.seen and answer.asked for answer in found)


@pytest.mark.parametrize(
    ("check", "script", "state", "told", "way_out"),
    [
        (
            "zones",
            {"ec2__describe_availability_zones": {"AvailabilityZones": [zone("eu-central-1a")]}},
            "refused",
            "eu-central-1b not available to this account; it has eu-central-1a",
            "network.availability_zones",
        ),
        (
            "endpoint-services",
            {
                "ec2__describe_vpc_endpoint_services": lambda asked: {
                    "ServiceDetails": [
                        {"ServiceName": name, "AvailabilityZones": ["eu-central-1a"]} for name in asked["ServiceNames"]
                    ]
                }
            },
            "refused",
            "com.amazonaws.eu-central-1.states in eu-central-1b",
            "network.availability_zones",
        ),
        (
            "bastion-type",
            {"ec2__describe_instance_type_offerings": {"InstanceTypeOfferings": []}},
            "refused",
            "t4g.nano not offered in eu-central-1a",
            "another subnet first",
        ),
        (
            "quota-concurrency",
            {
                "lambda__get_account_settings": {
                    "AccountLimit": {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}
                }
            },
            "refused",
            "10 of 10 executions to share, 54 to be reserved, 10 must stay",
            "functions.reserved_concurrency",
        ),
        (
            "quota-vpcs",
            {"ec2__describe_vpcs": {"Vpcs": [{"VpcId": f"vpc-{number}"} for number in range(5)]}},
            "refused",
            "5 of 5 in use, 1 more needed",
            "--service-code vpc --quota-code L-F678F1CE --desired-value 6",
        ),
        (
            "quota-vcpus",
            # Of other families there are quotas of their own.
            {"ec2__describe_instances": instances("t4g.nano", "inf2.xlarge", "m7g.medium")},
            "refused",
            "4 of 5 in use, 2 more needed",
            "L-1216C47A",
        ),
        (
            "quota-proxies",
            {
                "rds__describe_db_proxies": lambda asked: (
                    Refusal("DBProxyNotFoundFault", status=404)
                    if asked.get("DBProxyName")
                    else {"DBProxies": [{"DBProxyName": f"p{number}"} for number in range(20)]}
                )
            },
            "refused",
            "20 of 20 in use",
            "L-D94C7EA3",
        ),
        (
            "quota-rds",
            {"rds__describe_account_attributes": {"AccountQuotas": [rds_quota("DBInstances", 40, 40)]}},
            "refused",
            "DBInstances: 40 of 40 in use, 1 more needed",
            "Service Quotas",
        ),
        (
            "instance-class",
            {"rds__describe_orderable_db_instance_options": {"OrderableDBInstanceOptions": []}},
            "refused",
            "is offered in no zone of this region, and 2 of eu-central-1a, eu-central-1b needed",
            "database.instance_class",
        ),
        (
            "instance-class",
            {
                "rds__describe_orderable_db_instance_options": {
                    "OrderableDBInstanceOptions": [option(SupportsIAMDatabaseAuthentication=False)]
                }
            },
            "refused",
            "has no IAM logins",
            "database.instance_class",
        ),
        (
            "name-log-groups",
            {
                "logs__describe_log_groups": lambda asked: {
                    "logGroups": [{"logGroupName": asked["logGroupNamePrefix"]}]
                    if asked["logGroupNamePrefix"].endswith("/postgresql")
                    else [{"logGroupName": f"{asked['logGroupNamePrefix']}-longer"}]
                }
            },
            "refused",
            f"/aws/rds/instance/{PREFIX}/postgresql exists, and the Terraform state does not hold it",
            f"aws logs delete-log-group --log-group-name /aws/rds/instance/{PREFIX}/postgresql",
        ),
        (
            "name-bucket",
            {
                "s3__head_bucket": lambda asked: (
                    Refusal("403", status=403) if asked["Bucket"].startswith("scanner-database-") else {}
                )
            },
            "refused",
            f"{PREFIX}-releases-{ACCOUNT} exists",
            "aws s3 rb",
        ),
        (
            "name-key-alias",
            {"kms__list_aliases": {"Aliases": [{"AliasName": f"alias/{PREFIX}"}]}},
            "refused",
            f"alias/{PREFIX} exists",
            "aws kms delete-alias",
        ),
        (
            "final-snapshot",
            {"rds__describe_db_snapshots": {"DBSnapshots": [{"DBSnapshotIdentifier": f"{PREFIX}-final"}]}},
            "warning",
            f"{PREFIX}-final exists: RDS will refuse to take this environment down",
            "docs/operations/deployments.md",
        ),
        (
            "image",
            {"ssm__get_parameter": Refusal("ParameterNotFound")},
            "refused",
            "eu-central-1 has no parameter /aws/service/ami-amazon-linux-latest/",
            "another region",
        ),
        (
            "state",
            {"s3__head_bucket": Refusal("404", status=404)},
            "refused",
            "there is no bucket example-terraform-state",
            "aws s3 mb s3://example-terraform-state --region eu-central-1",
        ),
        (
            "state",
            {"s3__get_bucket_location": {"LocationConstraint": "eu-west-1"}},
            "refused",
            "is in eu-west-1, and Terraform will look for it in eu-central-1",
            "state.bucket",
        ),
        (
            "state",
            {"s3__get_bucket_versioning": {}},
            "warning",
            "keeps no old versions",
            "aws s3api put-bucket-versioning --bucket example-terraform-state",
        ),
        (
            "service-linked-roles",
            {"iam__get_role": Refusal("NoSuchEntity", status=404)},
            "warning",
            "AWSServiceRoleForRDS is missing",
            "aws iam create-service-linked-role --aws-service-name rds.amazonaws.com",
        ),
    ],
)
def test_a_fault_of_the_account_is_told_with_what_was_seen_and_the_way_out(
    prod: Synthesised, check: str, *, script: dict[str, Any], state: str, told: str, way_out: str
) -> None:
    found = faults(answers(prod, **script))
    assert {answer.check for answer in found} == {check}
    assert found[0].state == state
    assert told in found[0].seen
    assert way_out in found[0].next


def test_a_denied_call_is_told_with_the_permission_that_is_missing_and_the_other_checks_go_on(
    prod: Synthesised,
) -> None:
    found = answers(prod, ec2__describe_vpcs=DENIED, kms__list_aliases=Refusal("AccessDeniedException", status=400))
    vpcs, alias = faults(found)
    assert (vpcs.state, vpcs.check) == ("not answered", "quota-vpcs")
    assert vpcs.seen.startswith("ec2:DescribeVpcs is denied: User is not authorized")
    assert vpcs.next == f"grant ec2:DescribeVpcs to {CALLER}; docs/operations/first_deploy.md has the whole policy"
    assert (alias.state, alias.seen) == ("not answered", "kms:ListAliases is denied: said by AWS")
    assert {answer.check for answer in found} == {check.name for check in CHECKS}


def test_an_error_that_is_no_refusal_is_no_answer_either(prod: Synthesised) -> None:
    (found,) = faults(answers(prod, kms__list_aliases=Refusal("ThrottlingException", "Rate exceeded")))
    assert (found.state, found.seen) == ("not answered", "kms:ListAliases: ThrottlingException, Rate exceeded")


def test_a_minor_version_that_rds_creates_no_longer_is_refused_with_those_that_it_does(prod: Synthesised) -> None:
    version, instance_class = faults(answers(prod, environ={"SCANNER__DATABASE__ENGINE_VERSION": "17.5"}))
    assert (version.check, version.state) == ("engine-version", "refused")
    assert version.seen == "RDS creates no postgres 17.5 in eu-central-1; of 17 it offers 17.6"
    assert "database.engine_version" in version.next
    assert (instance_class.check, instance_class.state) == ("instance-class", "not answered")


def test_a_major_version_without_a_default_is_asked_for_by_its_newest(prod: Synthesised) -> None:
    script = {
        "rds__describe_db_engine_versions": lambda asked: (
            {"DBEngineVersions": []} if "EngineVersion" in asked else versions({})
        )
    }
    found = answers(prod, **script)
    assert faults(found) == []
    assert [answer.seen for answer in found if answer.check == "engine-version"] == ["17 creates postgres 17.6"]


def test_what_the_state_holds_is_ours_and_no_collision(prod: Synthesised) -> None:
    group = f"/aws/rds/instance/{PREFIX}/postgresql"
    resource = {
        "mode": "managed",
        "type": "aws_cloudwatch_log_group",
        "instances": [{"attributes": {"name": group}}],
    }
    state = json.dumps({"version": 4, "resources": [resource]}).encode()
    taken = {"logGroups": [{"logGroupName": group}]}
    stored = {"Body": StreamingBody(io.BytesIO(state), len(state))}
    assert faults(answers(prod, logs__describe_log_groups=taken, s3__get_object=stored)) == []


def test_of_a_deployment_whose_state_is_not_found_nothing_is_told_to_be_deleted(prod: Synthesised) -> None:
    alive = {"DBInstances": [{"DBInstanceIdentifier": PREFIX}]}
    alias = {"Aliases": [{"AliasName": f"alias/{PREFIX}"}]}
    found = faults(answers(prod, rds__describe_db_instances=alive, kms__list_aliases=alias))
    assert [answer.check for answer in found] == ["name-key-alias", "name-database"]
    assert {answer.next.partition(":")[0] for answer in found} == {"delete nothing"}


def test_every_name_of_the_stack_that_is_unique_is_asked_for(prod: Synthesised) -> None:
    """The collisions come from the stack: what it names is asked for, with the account's number filled in."""
    aws = ScriptedAws(WELL)
    asked: set[str] = set()

    def note(arguments: dict[str, Any]) -> Refusal:
        asked.update(map(str, arguments.values()))
        return Refusal("NoSuchEntity", status=404)

    aws.script |= {"iam.get_role": note}
    settings = load_settings(ROOT / "environments" / "prod.toml", {})
    list(run(CHECKS, context_of(settings, aws.clients(settings), prod.json, account_id=ACCOUNT, caller=CALLER)))
    assert {role["name"] for role in prod.every("aws_iam_role").values()} <= asked
    assert not any("${" in name for name in asked)


def test_a_quota_of_concurrency_counts_what_the_deployed_functions_reserve_already(prod: Synthesised) -> None:
    limits = {"AccountLimit": {"ConcurrentExecutions": 160, "UnreservedConcurrentExecutions": 100}}
    assert [answer.check for answer in faults(answers(prod, lambda__get_account_settings=limits))] == [
        "quota-concurrency"
    ]
    reserved = {
        "lambda__get_account_settings": limits,
        "lambda__get_function_concurrency": lambda asked: {
            "ReservedConcurrentExecutions": 54 if asked["FunctionName"].endswith("status") else 0
        },
    }
    assert faults(answers(prod, **reserved)) == []


def test_the_root_user_is_warned(prod: Synthesised) -> None:
    settings = load_settings(ROOT / "environments" / "prod.toml", {})
    aws = ScriptedAws(WELL).clients(settings)
    context = context_of(settings, aws, prod.json, account_id=ACCOUNT, caller=f"arn:aws:iam::{ACCOUNT}:root")
    (first, *_) = run(CHECKS, context)
    assert (first.check, first.state) == ("identity", "warning")


def test_subnets_that_exist_need_room_for_all_that_lies_in_them(prod: Synthesised, tmp_path: Path) -> None:
    settings = in_a_network_that_exists(tmp_path)
    script = WELL | {"ec2.describe_subnets": subnets(a=200, b=12)}
    context = context_of(settings, ScriptedAws(script).clients(settings), prod.json, account_id=ACCOUNT, caller=CALLER)
    (found,) = faults(list(run(CHECKS, context)))
    assert (found.check, found.state) == ("addresses", "refused")
    # 4 endpoints, 4 functions, 10 of the proxy, the instance, its standby, and the bastion.
    assert found.seen == "subnet-0b in eu-central-1b has 12 free, 21 needed"


def test_the_exit_code_is_that_of_the_worst_answer_and_json_has_every_one(
    prod: Synthesised, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "synthesised", lambda _: prod.json)
    for changed, code, state in (
        ({}, 0, "ok"),
        ({"s3.get_bucket_versioning": {}}, 1, "warning"),
        ({"kms.list_aliases": DENIED}, 1, "warning"),
        ({"rds.describe_orderable_db_instance_options": {"OrderableDBInstanceOptions": []}}, 2, "refused"),
    ):
        aws = ScriptedAws(WELL | changed)
        monkeypatch.setattr(command, "Clients", lambda settings, aws=aws: Clients(settings, aws.make))
        scannerdb("preflight", "-e", "prod", "--json", code=code)
        told = json.loads(capsys.readouterr().out)
        assert (told["environment"], told["state"]) == ("prod", state)
        assert {finding["check"] for finding in told["findings"]} == {check.name for check in CHECKS}
        assert all(finding.keys() == {"check", "asked", "state", "seen", "next"} for finding in told["findings"])


def test_the_table_has_a_line_for_each_answer_and_the_way_out_on_a_line_of_its_own(
    prod: Synthesised, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    aws = ScriptedAws(WELL | {"s3.get_bucket_versioning": {}})
    monkeypatch.setattr(command, "synthesised", lambda _: prod.json)
    monkeypatch.setattr(command, "Clients", lambda settings: Clients(settings, aws.make))
    scannerdb("preflight", "-e", "prod", code=1)
    printed = capsys.readouterr().out
    assert f"ok            account and caller            {ACCOUNT} in eu-central-1, as" in printed
    assert "warning       Terraform state               the bucket example-terraform-state" in printed
    assert "\n              next: aws s3api put-bucket-versioning --bucket example-terraform-state" in printed
    assert printed.splitlines()[-1].startswith("prod: 1 warning, ")


def test_without_credentials_it_ends_with_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    scannerdb("preflight", "-e", "prod", code=1)
    assert capsys.readouterr().err.startswith("scannerdb: no AWS credentials for prod: ")


@pytest.mark.slow
def test_against_the_emulator_what_it_does_not_know_is_not_answered_and_nothing_is_refused(
    aws: Emulator,
    stacks: dict[str, Synthesised],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SCANNER__AWS__ENDPOINT", aws.aws_url)
    monkeypatch.setenv("SCANNER__STATE__PATH", str(tmp_path / "none.tfstate"))
    monkeypatch.setattr(command, "synthesised", lambda _: stacks["local"].json)
    scannerdb("preflight", "-e", "local", "--json", code=2)
    found = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert found["identity"]["seen"].startswith(f"{ACCOUNT} in eu-central-1")
    # The fixture made this one, other tests perhaps functions and their logs, and no state holds them.
    refused = {name for name, each in found.items() if each["state"] == "refused"}
    assert {"name-database"} <= refused <= {"name-database", "name-functions", "name-log-groups"}
    assert [name for name, each in found.items() if "the check failed" in each["seen"]] == []


def of_a_cluster(cluster: Synthesised, **script: Any) -> list[Answer]:
    offers = {name.replace(".", "__"): answer for name, answer in OFFERS_OF_AURORA.items()}
    return answers(cluster, environ=HUGE, **{**offers, **script})


def test_a_cluster_is_asked_for_as_aurora_offers_it(cluster: Synthesised) -> None:
    found = of_a_cluster(cluster)
    assert faults(found) == []
    seen = {answer.check: answer.seen for answer in found}
    assert seen["engine-version"] == "17 creates aurora-postgresql 17.6"
    assert seen["instance-class"] == "db.r7g.2xlarge with aurora-iopt1 for 17.6 in eu-central-1a, eu-central-1b"
    assert (seen["name-cluster"], seen["name-cluster-instances"]) == ("1 free", "2 free")
    assert seen["name-database"] == "nothing of it will be created"


@pytest.mark.parametrize(
    ("script", "check", "told"),
    [
        ({"rds__describe_db_clusters": {"DBClusters": [{}]}}, "name-cluster", f"{PREFIX} exists"),
        ({"rds__describe_db_instances": {"DBInstances": [{}]}}, "name-cluster-instances", f"{PREFIX}-1 exists"),
        (
            {"rds__describe_db_cluster_snapshots": {"DBClusterSnapshots": [{}]}},
            "final-snapshot",
            f"{PREFIX}-final exists: RDS will refuse to take this environment down",
        ),
        (
            {"rds__describe_account_attributes": {"AccountQuotas": [rds_quota("DBInstances", 39, 40)]}},
            "quota-rds",
            "DBInstances: 39 of 40 in use, 2 more needed",
        ),
        (
            {"rds__describe_account_attributes": {"AccountQuotas": [rds_quota("DBClusters", 40, 40)]}},
            "quota-rds",
            "DBClusters: 40 of 40 in use, 1 more needed",
        ),
    ],
)
def test_what_is_in_the_way_of_a_cluster_is_told(
    cluster: Synthesised, script: dict[str, Any], check: str, told: str
) -> None:
    found = [answer for answer in faults(of_a_cluster(cluster, **script)) if answer.check == check]
    assert found[0].seen.startswith(told)


def test_a_reader_needs_a_second_zone_that_offers_its_class(cluster: Synthesised) -> None:
    one = option(Engine="aurora-postgresql", StorageType="aurora-iopt1", AvailabilityZones=[{"Name": "eu-central-1a"}])
    script = {"rds__describe_orderable_db_instance_options": {"OrderableDBInstanceOptions": [one]}}
    (found,) = faults(of_a_cluster(cluster, **script))
    assert found.seen == (
        "db.r7g.2xlarge with aurora-iopt1 for 17.6 is offered in eu-central-1a, and 2 of eu-central-1a, eu-central-1b "
        "needed"
    )
