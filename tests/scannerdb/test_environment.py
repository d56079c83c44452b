"""Which database a command means: a DSN first, then an environment's deployment, then the handlers' variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import boto3
import pytest

from handlers.contract.roles import DOCTOR, OWNER, READER, REFRESHER
from scannerdb.login import Target, tunnel_as
from scannerdb.options import environment_file, find_dsn
from scannerdb.outputs import stack_outputs
from stacks import ROOT
from stacks.settings import load_settings
from tests.support.command_line import dsn, scannerdb
from tests.support.deployed import PREFIX
from tests.support.existing_instance import around_existing
from tests.support.settings_file import CLUSTER

if TYPE_CHECKING:
    from pathlib import Path

    from lab.emulator.server import Emulator
    from tests.support.database import TestDatabase
    from tests.support.deployed import Deployed


def test_an_environment_is_found_by_its_state_and_each_command_logs_in_as_who_may_do_it(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.database.add_job({"queued": 1})
    scannerdb("refresh", "-e", "local")
    assert capsys.readouterr().out.startswith("Refreshed 1 job with 1 object")
    scannerdb("status", "-e", "local", "--json")
    assert json.loads(capsys.readouterr().out)["jobs"][0]["queued"] == 1
    scannerdb("doctor", "progress-drift", "-e", "local", "--json")
    assert json.loads(capsys.readouterr().out)["environment"] == "local"
    for user in (REFRESHER, READER, DOCTOR):
        assert f"user={user}" in (find_dsn(None, "local", user=user) or "")


def test_who_needs_no_proxy_or_may_not_use_it_goes_past_it(deployed: Deployed) -> None:
    deployed.say(proxy_endpoint="a-proxy", proxy_port="5432", database_endpoint="an-instance", database_port="6543")
    settings = load_settings(environment_file("local"))

    def way(user: str, *, direct: bool | None = None) -> tuple[str, int]:
        endpoint = Target.of(settings, user=user, direct=direct).endpoint
        return endpoint.host, endpoint.port

    assert {way(user) for user in (OWNER, DOCTOR)} == {("an-instance", 6543)}
    assert {way(user) for user in (READER, REFRESHER)} == {("a-proxy", 5432)}
    assert way(READER, direct=True) == ("an-instance", 6543)


def test_the_owner_proves_the_password_that_rds_keeps(
    deployed: Deployed, aws: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SCANNER__AWS__ENDPOINT", aws.aws_url)
    instance = aws.client("rds").describe_db_instances(DBInstanceIdentifier=PREFIX)["DBInstances"][0]
    secret = {"username": "scanner_admin", "password": deployed.database.server.password}
    aws.client("secretsmanager").put_secret_value(
        SecretId=instance["MasterUserSecret"]["SecretArn"], SecretString=json.dumps(secret)
    )
    scannerdb("plan", "-e", "local")
    assert capsys.readouterr().out.startswith("Nothing is pending")


def test_the_owner_of_a_cluster_proves_the_password_that_rds_keeps_of_the_cluster(
    tmp_path: Path, aws: Emulator
) -> None:
    file = tmp_path / "huge.toml"
    file.write_text(CLUSTER)
    settings = load_settings(file, {"SCANNER__AWS__ENDPOINT": aws.aws_url})
    rds, identifier = aws.client("rds"), settings.rds_database.identifier
    made = rds.create_db_cluster(
        DBClusterIdentifier=identifier,
        Engine=settings.database.engine,
        MasterUsername=OWNER,
        ManageMasterUserPassword=True,
    )
    secret = json.dumps({"username": OWNER, "password": "of-the-cluster"})
    secret_arn = made["DBCluster"]["MasterUserSecret"]["SecretArn"]
    aws.client("secretsmanager").put_secret_value(SecretId=secret_arn, SecretString=secret)
    outputs = {"database_endpoint": "a-cluster", "database_port": "5432"}
    assert Target.of(settings, user=OWNER, outputs=outputs).password() == "of-the-cluster"
    rds.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)


def test_a_dsn_comes_before_an_environment_and_says_so(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    deployed.state.unlink()
    scannerdb("refresh", "--dsn", dsn(deployed.database), "-e", "local")
    assert "the DSN names the database, on localhost; local is not looked up" in capsys.readouterr().err


def test_the_variables_of_the_handlers_come_last(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in database.variables("progress_refresher").items():
        monkeypatch.setenv(name, value)
    scannerdb("refresh")
    assert capsys.readouterr().out.startswith("Refreshed 0 jobs")
    monkeypatch.delenv("RDS_PASSWORD")
    scannerdb("refresh", code=1)
    error = capsys.readouterr().err
    assert error == "scannerdb: RDS_PROXY_ENDPOINT is set, and RDS_PASSWORD is not; set it too, or give --dsn\n"


def test_nothing_that_names_a_database_is_a_mistake_that_lists_the_ways(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RDS_PROXY_ENDPOINT", raising=False)
    scannerdb("status", code=2)
    said = " ".join(capsys.readouterr().err.split())
    assert "name the database with --dsn or SCANNERDB_DSN, an --environment, or the RDS_ variables" in said


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "local is not deployed: its state {path} does not exist; run `python -m lab.demo --keep`"),
        ('{"version": 4, "outputs": {}}', "local is not deployed: its state {path} has no outputs"),
        ("not JSON", "the Terraform state {path} is not JSON"),
        (
            '{"version": 5, "outputs": {"proxy_endpoint": {"value": "a"}}}',
            "the Terraform state {path} has version 5, not 4",
        ),
        (
            '{"version": 4, "outputs": {"api_url": {"value": "a"}}}',
            "local has no output proxy_endpoint; what is deployed",
        ),
        (
            '{"version": 4, "outputs": {"migrate_function_name": {"value": "scanner-database-stage-migrate"}}}',
            "the Terraform state {path} holds scanner-database-stage, not scanner-database-local; name the environment",
        ),
    ],
)
def test_a_state_that_tells_no_address_is_named_with_the_way_out(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], state: str | None, message: str
) -> None:
    deployed.state.unlink()
    if state is not None:
        deployed.state.write_text(state)
    scannerdb("status", "-e", "local", code=1)
    assert message.format(path=deployed.state) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("status", ""),
        ("verify", " --user progress_refresher"),
        ("plan", " --direct"),
        ("doctor", " --direct --user scanner_doctor"),
    ],
)
def test_an_isolated_network_is_answered_with_the_tunnel_of_who_was_to_log_in(
    deployed: Deployed,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    options: str,
) -> None:
    deployed.say(proxy_endpoint="localhost", proxy_port="1", database_endpoint="localhost", database_port="1")
    monkeypatch.setattr("socket.create_connection", timed_out)
    scannerdb(command, "-e", "local", code=1)
    said = capsys.readouterr().err
    assert "localhost:1 of local cannot be reached from here" in said
    assert f"from outside: scannerdb tunnel -e local{options} -- scannerdb ..." in said


def timed_out(*_arguments: object, **_options: object) -> None:
    raise TimeoutError("timed out")


def test_a_port_where_no_server_listens_is_not_told_as_an_isolated_network(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.say(proxy_endpoint="localhost", proxy_port="1")
    scannerdb("status", "-e", "local", code=1)
    said = capsys.readouterr().err
    assert "localhost:1 of local refuses connections: no server listens there" in said
    assert "tunnel" not in said


def test_a_state_in_a_bucket_is_read_from_there(aws: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "staging.toml"
    text = (ROOT / "environments" / "local.toml").read_text()
    file.write_text(text.replace('path = "build/local/terraform.tfstate"', 'bucket = "states-of-all"'))
    monkeypatch.setenv("SCANNER__AWS__ENDPOINT", aws.aws_url)
    settings = load_settings(file)
    s3 = aws.client("s3")
    location = {"LocationConstraint": "eu-central-1"}
    s3.create_bucket(Bucket="states-of-all", CreateBucketConfiguration=location)
    with pytest.raises(Exception, match=r"its state s3://states-of-all/.*staging.tfstate does not exist"):
        stack_outputs(settings)
    state = {"version": 4, "outputs": {"database_port": {"value": "5432"}}}
    s3.put_object(Bucket="states-of-all", Key="scanner-database-staging.tfstate", Body=json.dumps(state))
    assert stack_outputs(settings) == {"database_port": "5432"}


def test_missing_credentials_are_told_with_the_way_to_log_in(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # A real account, not an emulator.
    monkeypatch.delenv("SCANNER__AWS__ENDPOINT")
    monkeypatch.setattr("scannerdb.aws.session", lambda settings: boto3.Session(region_name=settings.region))
    scannerdb("status", "-e", "local", code=1)
    assert "no AWS credentials for local; log in with `aws sso login`, or set AWS_PROFILE" in capsys.readouterr().err


def test_a_shell_completes_commands_functions_and_environments() -> None:
    def completed(line: str, position: int) -> list[str]:
        variables = {"COMP_WORDS": line, "COMP_CWORD": str(position), "_SCANNERDB_COMPLETE": "bash_complete"}
        done = subprocess.run(
            [sys.executable, "-m", "scannerdb"],
            cwd=ROOT,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=True,
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completed("scannerdb re", 1) == ["rebuild", "refresh", "repair", "retire", "review"]
    assert completed("scannerdb logs d", 2) == ["doctor"]
    assert completed("scannerdb status -e ", 3) == ["dev", "local", "prod"]
    assert completed("scannerdb tunnel -e p", 3) == ["prod"]


def test_the_owner_is_the_login_that_the_settings_name_with_the_secret_that_they_name(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of an instance that exists both may differ: a login of its own, in a secret that RDS does not manage."""
    secret = {"username": "scans_owner", "password": "of another team"}
    made = aws.client("secretsmanager").create_secret(Name="scans-owner", SecretString=json.dumps(secret))
    monkeypatch.setenv("SCANNER__AWS__ENDPOINT", aws.aws_url)
    file = tmp_path / "shared.toml"
    lines = ('name = "scans"', 'master_username = "scans_owner"', f'master_secret_arn = "{made["ARN"]}"')
    file.write_text(around_existing(*lines))
    outputs = {"database_endpoint": "an-instance", "database_port": "6543"}
    target = Target.of(load_settings(file), user=OWNER, outputs=outputs)
    assert target.arguments().items() >= {"dbname": "scans", "user": "scans_owner", "host": "an-instance"}.items()
    assert target.password() == "of another team"
    assert tunnel_as(target.user, "shared") == "scannerdb tunnel -e shared --direct"
