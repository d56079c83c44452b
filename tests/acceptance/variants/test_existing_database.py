"""A deployment around an RDS instance of another team, from the first plan to the destroy: the instance is left."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from lab.api_client import get
from lab.deployment import Deployment, changes
from lab.embedded_postgres import ADMIN_USER
from scannerdb import terraform
from tests.support.acceptance import broken_requests
from tests.support.database import TestDatabase
from tests.support.existing_instance import IDENTIFIER, around_existing
from tests.support.inventory import Inventory, inventory
from tests.support.old_deployment import OLD_TABLES, ROWS
from tests.support.terraform_plans import in_one_line
from tests.support.variant import make_network

if TYPE_CHECKING:
    from scannerdb.signed_requests import Response

pytestmark = pytest.mark.deployment

NAME = "scans"
CONTENT = "SELECT md5(string_agg(row::text, ' ' ORDER BY row::text)) FROM {} AS row"
TABLES = ("jobs", "job_objects", "findings")


@dataclass
class Life:
    """What was seen from before the first plan until after the destroy."""

    before: Inventory
    rows: list[Any]
    first_plan_refused: str = ""
    resources: int = 0
    deployed: Inventory = field(default_factory=dict)
    second_plan: dict[str, Any] = field(default_factory=dict)
    answer: Response | None = None
    doctor: dict[str, dict[str, Any]] = field(default_factory=dict)
    connected: set[str] = field(default_factory=set)
    refused: list[Any] = field(default_factory=list)
    broken_requests: list[str] = field(default_factory=list)
    after: Inventory = field(default_factory=dict)
    rows_after: list[Any] = field(default_factory=list)


@pytest.fixture(scope="module")
def life(provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("existing")
    file = folder / "around.toml"
    file.write_text(around_existing(f'name = "{NAME}"', 'master_username = "another"'))
    with Deployment(folder / "deployment", settings_file=file, report=lambda _: None) as deployment:
        database = _older_database(deployment)
        _instance(deployment)
        life = Life(before=_inventory(deployment), rows=_rows(database))
        _live(life, deployment, provider, database)
    return life


def _live(life: Life, deployment: Deployment, provider: terraform.Provider, database: TestDatabase) -> None:
    emulator, stack = deployment.emulator, deployment.stack_directory
    environment = deployment.environment(provider)
    deployment.synthesise()
    terraform.init(stack, environment)
    terraform.validate(stack, environment)
    with pytest.raises(terraform.TerraformError) as refused:
        terraform.plan(stack, environment, deployment.directory / "first.tfplan")
    life.first_plan_refused = in_one_line(refused.value)

    deployment.overrides["SCANNER__DATABASE__MASTER_USERNAME"] = ADMIN_USER
    environment = deployment.environment(provider)
    deployment.synthesise()
    terraform.init(stack, environment)
    agree = ("-no-color", "-auto-approve")
    applied = terraform.run(stack, environment, "apply", *agree)
    life.resources = int(re.findall(r"Resources: (\d+) added", applied)[0])
    life.second_plan = deployment.plan(provider)
    life.deployed = _inventory(deployment)
    ((job_id,),) = database.query("SELECT job_id FROM jobs WHERE bucket = 'one'")
    life.answer = get(f"{emulator.api_url}/jobs/{job_id}", region=deployment.settings.region)
    findings = emulator.invoke(deployment.function_name("doctor"), {})["findings"]
    life.doctor = {each["check"]: each for each in findings}
    emulator.check_services()
    decisions = emulator.decisions()
    life.connected = {str(each["by"]).rpartition("-")[2] for each in decisions if ": connect to " in str(each["what"])}
    terraform.run(stack, environment, "destroy", *agree, "-refresh=false")
    life.after, life.rows_after = _inventory(deployment), _rows(database)
    life.refused = emulator.refusals()
    life.broken_requests = broken_requests(emulator)


def _older_database(deployment: Deployment) -> TestDatabase:
    """Make a database beside the embedded server's own, with the tables of an older deployment in it."""
    with deployment.postgres.connect(user="postgres") as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {NAME} OWNER {ADMIN_USER}")
    database = TestDatabase(deployment.postgres, NAME)
    database.query(OLD_TABLES)
    database.query(ROWS)
    return database


def _instance(deployment: Deployment) -> None:
    """Make the instance as another team did: in its VPC, with a key and a group of its own, its log exported."""
    client, port = deployment.emulator.client, deployment.postgres.port
    ec2, rds = client("ec2"), client("rds")
    network = make_network(ec2)
    for key, ids in network.items():
        deployment.overrides[f"SCANNER__NETWORK__{key.upper()}"] = str(ids)
    deployment.overrides["SCANNER__FUNCTIONS__PLATFORM"] = "host"
    group = ec2.create_security_group(GroupName="scans", Description="of another team", VpcId=network["vpc_id"])
    others = ec2.create_security_group(GroupName="clients", Description="of another team", VpcId=network["vpc_id"])
    from_others = [{"GroupId": others["GroupId"]}]
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": from_others}
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])
    key = client("kms").create_key(Description="of another team")["KeyMetadata"]["KeyId"]
    subnets = network["subnet_ids"]
    rds.create_db_subnet_group(DBSubnetGroupName="scans", DBSubnetGroupDescription="scans", SubnetIds=subnets)
    rds.create_db_instance(
        DBInstanceIdentifier=IDENTIFIER,
        Engine="postgres",
        EngineVersion="16.4",
        DBInstanceClass="db.t4g.small",
        AllocatedStorage=20,
        MaxAllocatedStorage=100,
        Port=port,
        DBSubnetGroupName="scans",
        VpcSecurityGroupIds=[group["GroupId"]],
        MasterUsername=ADMIN_USER,
        ManageMasterUserPassword=True,
        MasterUserSecretKmsKeyId=key,
        StorageEncrypted=True,
        EnableIAMDatabaseAuthentication=True,
        EnableCloudwatchLogsExports=["postgresql"],
        DeletionProtection=True,
    )
    # As RDS does for an exported log.
    client("logs").create_log_group(logGroupName=f"/aws/rds/instance/{IDENTIFIER}/postgresql")
    rds.describe_db_instances()  # the secret becomes active when it was seen


def _inventory(deployment: Deployment) -> Inventory:
    """Return all that the account holds, without the time to which RDS can restore, which moves by itself."""
    held = inventory(deployment.emulator)
    for instance in held["DBInstances"]:
        instance.pop("LatestRestorableTime", None)
    return held


def _rows(database: TestDatabase) -> list[Any]:
    return [database.query(CONTENT.format(table)) for table in TABLES]


def test_a_plan_that_does_not_fit_the_instance_is_refused_with_the_setting_to_correct(life: Life) -> None:
    assert f"{IDENTIFIER}: its master user is {ADMIN_USER}, and database.master_username is another" in (
        life.first_plan_refused
    )
    assert f'Next: database.master_username = "{ADMIN_USER}"' in life.first_plan_refused


def test_everything_but_the_instance_is_made_and_a_second_plan_changes_nothing(life: Life) -> None:
    assert life.resources > 130
    assert changes(life.second_plan) == []
    instances = [each["DBInstanceIdentifier"] for each in life.deployed["DBInstances"]]
    assert instances == [IDENTIFIER]
    assert life.deployed["DBParameterGroups"] == life.before["DBParameterGroups"]


def test_the_instance_is_left_byte_for_byte_while_it_is_deployed_around(life: Life) -> None:
    for kind in ("DBInstances", "DBSubnetGroups", "SecretList"):
        assert json.dumps(life.deployed[kind], default=str) == json.dumps(life.before[kind], default=str)


def test_progress_of_the_older_rows_is_served_by_the_api(life: Life) -> None:
    assert life.answer is not None
    assert (life.answer.status_code, life.answer.body["total"], life.answer.body["total_findings"]) == (200, 100, 3)


def test_every_function_gets_into_the_group_of_the_instance_and_nothing_is_denied(life: Life) -> None:
    assert {"migrate", "refresh", "status", "doctor"} <= life.connected
    assert life.refused == []
    assert life.broken_requests == []


def test_the_doctor_says_which_parameters_of_the_instance_differ(life: Life) -> None:
    found = life.doctor["parameters"]
    assert found["state"] == "warning"
    assert "log_min_duration_statement is " in found["value"]
    assert f"--db-instance-identifier {IDENTIFIER}" in found["next"]


def test_a_destroy_leaves_the_account_and_the_rows_as_they_were(life: Life) -> None:
    assert {kind: held for kind, held in life.after.items() if held != life.before[kind]} == {}
    assert json.dumps(life.after["DBInstances"], default=str) == json.dumps(life.before["DBInstances"], default=str)
    assert life.rows_after == life.rows
