"""A deployment around an RDS instance that exists: the instance is looked at, and everything else follows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scannerdb import terraform
from stacks.settings import SettingsError, load_settings, resolve_settings
from tests.support.existing_instance import IDENTIFIER, OWN_NETWORK, around_existing
from tests.support.settings_file import COMPLETE
from tests.support.synthesis import Synthesised, statements, synthesise_file

if TYPE_CHECKING:
    from pathlib import Path

INSTANCE = "data.aws_db_instance.database_instance"
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:scans-AbCdEf"
CLIENTS = {"proxy", "bastion", "migrate", "doctor"}


def synthesise(tmp_path_factory: pytest.TempPathFactory, *lines: str) -> Synthesised:
    folder = tmp_path_factory.mktemp("existing")
    file = folder / "shared.toml"
    file.write_text(around_existing(*lines))
    return synthesise_file(file, folder / "cdktf.out")


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesise(tmp_path_factory)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    """Everything that differs from the defaults."""
    return synthesise(
        tmp_path_factory,
        'access_rules = "printed"',
        f'master_secret_arn = "{SECRET}"',
        'name = "scans"',
        'master_username = "scans_owner"',
        "max_connections = 321",
        "performance_insights = false",
    )


def problem(tmp_path: Path, text: str) -> str:
    file = tmp_path / "shared.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings(file, {})
    return str(refused.value)


def rules_into(stack: Synthesised, group: str) -> set[str]:
    """Return the clients for which rules are made in a group."""
    every = stack.every("aws_vpc_security_group_ingress_rule").values()
    sources = [each["referenced_security_group_id"] for each in every if each["security_group_id"] == group]
    return {source.partition("aws_security_group.")[2].partition("_security_group")[0] for source in sources}


def postconditions(stack: Synthesised) -> list[dict[str, Any]]:
    found = stack.json["data"]["aws_db_instance"]["database_instance"]["lifecycle"]["postcondition"]
    return list(found)


@pytest.mark.parametrize("kind", ["aws_db_instance", "aws_db_parameter_group", "aws_db_subnet_group"])
def test_nothing_of_the_instance_is_made_or_managed(around: Synthesised, kind: str) -> None:
    assert around.every(kind) == {}
    assert not [
        each["name"] for each in around.every("aws_cloudwatch_log_group").values() if "/rds/instance" in each["name"]
    ]


def test_metrics_logs_events_and_the_doctor_name_the_instance(around: Synthesised) -> None:
    of_instance = [
        alarm["dimensions"]["DBInstanceIdentifier"]
        for alarm in around.every("aws_cloudwatch_metric_alarm").values()
        if "DBInstanceIdentifier" in alarm.get("dimensions", {})
    ]
    assert set(of_instance) == {IDENTIFIER}
    assert around.json["data"]["aws_cloudwatch_log_group"]["database_log_group"]["name"] == (
        f"/aws/rds/instance/{IDENTIFIER}/postgresql"
    )
    filters = around.every("aws_cloudwatch_log_metric_filter").values()
    assert {each["log_group_name"] for each in filters} == {"${data.aws_cloudwatch_log_group.database_log_group.name}"}
    doctor = around.one("aws_lambda_function", "doctor_function")["environment"]["variables"]
    assert doctor["DATABASE"] == f"instance/{IDENTIFIER}"
    assert around.one("aws_db_proxy_target")["db_instance_identifier"] == IDENTIFIER
    patterns = [each["event_pattern"] for each in around.every("aws_cloudwatch_event_rule").values()]
    (of_database,) = [pattern for pattern in patterns if "RDS DB Instance Event" in pattern]
    assert json.loads(of_database)["detail"]["SourceIdentifier"] == [IDENTIFIER]


def test_the_clients_are_let_into_the_group_of_the_instance(around: Synthesised) -> None:
    assert rules_into(around, f"${{tolist({INSTANCE}.vpc_security_groups)[0]}}") == CLIENTS
    assert "access_rules" not in around.json["output"]


def test_a_group_that_is_named_gets_the_rules(tmp_path_factory: pytest.TempPathFactory) -> None:
    stack = synthesise(tmp_path_factory, 'access_rules = "sg-0123456789abcdef0"')
    assert rules_into(stack, "sg-0123456789abcdef0") == CLIENTS
    (named,) = [each for each in postconditions(stack) if "sg-0123" in each["condition"]]
    assert named["condition"] == '${contains(self.vpc_security_groups, "sg-0123456789abcdef0")}'


def test_printed_rules_are_an_output_and_made_in_no_group_of_another_owner(printed: Synthesised) -> None:
    lines = printed.json["output"]["access_rules"]["value"].splitlines()
    assert {line.rpartition("aws_security_group.")[2].partition("_security_group")[0] for line in lines} == CLIENTS
    assert all(line.startswith("aws ec2 authorize-security-group-ingress --group-id ") for line in lines)
    groups = {each["security_group_id"] for each in printed.every("aws_vpc_security_group_ingress_rule").values()}
    assert all(group.startswith("${aws_security_group.") for group in groups)


def test_the_plan_checks_what_the_alarms_and_functions_rely_on(around: Synthesised) -> None:
    told = " ".join(each["condition"] for each in postconditions(around))
    for fact in (
        *('self.engine == "postgres"', '["15", "16", "17", "18"]', "self.storage_encrypted", '"postgresql")'),
        *("self.port == 5432", 'self.db_instance_class == "db.t4g.small"', "self.allocated_storage >= 20"),
        *("self.allocated_storage <= 100", "self.master_user_secret", 'self.master_username == "scanner_admin"'),
        "length(self.vpc_security_groups) == 1",
    ):
        assert fact in told
    assert all("Next: " in each["error_message"] for each in postconditions(around))


def test_a_secret_that_rds_does_not_manage_is_read_and_its_master_user_not_compared(printed: Synthesised) -> None:
    migrate = printed.one("aws_lambda_function", "migrate_function")["environment"]["variables"]
    assert (migrate["MASTER_SECRET_ARN"], migrate["RDS_DBNAME"]) == (SECRET, "scans")
    assert "master_user" not in json.dumps(postconditions(printed))


@pytest.mark.parametrize(
    ("fixture", "secret"), [("around", f"${{{INSTANCE}.master_user_secret[0].secret_arn}}"), ("printed", SECRET)]
)
def test_migrate_may_decrypt_the_master_secret_and_nothing_else_with_its_key(
    fixture: str, secret: str, request: pytest.FixtureRequest
) -> None:
    decrypt = statements(request.getfixturevalue(fixture), "migrate_role_policy")["DecryptMasterSecret"]
    assert decrypt["Action"] == ["kms:Decrypt"]
    assert decrypt["Condition"]["StringEquals"] == {
        "kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com",
        "kms:EncryptionContext:SecretARN": secret,
    }


def test_what_the_instance_lacks_is_left_out_and_said(around: Synthesised, printed: Synthesised) -> None:
    def load(stack: Synthesised) -> tuple[bool, bool]:
        return "alarms_database_load" in str(
            stack.every("aws_cloudwatch_metric_alarm").keys()
        ), "DBLoad" in stack.text()

    assert all(load(around))
    assert load(printed) == (False, False)
    assert "Left out: database-load, because" in printed.one("aws_cloudwatch_dashboard")["dashboard_body"]
    assert "Left out" not in around.one("aws_cloudwatch_dashboard")["dashboard_body"]


def test_connections_are_compared_with_what_the_instance_takes(printed: Synthesised) -> None:
    assert "/ 321" in printed.text()


@pytest.mark.parametrize("fixture", ["around", "printed"])
def test_the_provider_s_schema_accepts_it(
    fixture: str, request: pytest.FixtureRequest, terraform_environment: dict[str, str]
) -> None:
    stack: Synthesised = request.getfixturevalue(fixture)
    stack.keep_state_in_folder()
    terraform.init(stack.folder, terraform_environment, backend=False)
    terraform.validate(stack.folder, terraform_environment)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("multi_az = true", "database.multi_az = True is not allowed (its owner decides it"),
        ('engine_version = "17"', "database.engine_version = '17' is not allowed (its owner decides it"),
        ("final_snapshot = true", "database.final_snapshot = True"),
        ('backup_region = "eu-west-1"', "database.backup_region = 'eu-west-1' is not allowed (its owner decides it"),
        ('engine = "aurora-postgresql"', "database.engine = 'aurora-postgresql'"),
        ("generation = 2", "database.generation = 2 is not allowed (its owner decides it"),
        ('restore_from = {snapshot = "scans"}', "database.restore_from"),
        ('access_rules = "none"', "database.access_rules = 'none' is not allowed"),
        ('master_secret_arn = "scans"', "database.master_secret_arn = 'scans' is not allowed"),
    ],
)
def test_settings_that_do_not_describe_an_existing_instance_are_refused(tmp_path: Path, line: str, told: str) -> None:
    assert told in problem(tmp_path, around_existing(line))


def test_without_storage_autoscaling_the_limit_is_the_size(tmp_path: Path) -> None:
    def limit(gib: int) -> str:
        return around_existing().replace("max_allocated_storage_gib = 100", f"max_allocated_storage_gib = {gib}")

    file = tmp_path / "well.toml"
    file.write_text(limit(40).replace("allocated_storage_gib = 20", "allocated_storage_gib = 40"))
    assert load_settings(file, {}).database.max_allocated_storage_gib == 40
    below = limit(30).replace("allocated_storage_gib = 20", "allocated_storage_gib = 40")
    assert "max_allocated_storage_gib at or above allocated_storage_gib 40" in problem(tmp_path, below)


@pytest.mark.parametrize("line", ['access_rules = "printed"', "max_connections = 100", "performance_insights = false"])
def test_settings_of_an_existing_instance_are_refused_without_one(tmp_path: Path, line: str) -> None:
    text = around_existing(line).replace(f'existing_identifier = "{IDENTIFIER}"\n', "")
    text = text.replace("[functions]", "multi_az = false\nbackup_retention_days = 1\n[functions]")
    assert f"database.{line.partition(' ')[0]} = " in problem(tmp_path, text)
    assert "existing_identifier is not set" in problem(tmp_path, text)


def test_an_instance_that_exists_lies_in_a_network_that_exists(tmp_path: Path) -> None:
    assert "lies in a network that exists: name it in network.vpc_id" in problem(
        tmp_path, around_existing(network=OWN_NETWORK)
    )


def test_a_size_sets_only_what_the_owner_does_not_decide(tmp_path: Path) -> None:
    file = tmp_path / "shared.toml"
    lines = ("instance_class", "allocated_storage_gib", "max_allocated_storage_gib")
    text = "\n".join(line for line in around_existing().splitlines() if not line.startswith(lines))
    file.write_text(f'size = "large"\n{text}')
    told = {key: value for key, value, _ in resolve_settings(file, {})}
    assert (told["database.instance_class"], told["database.allocated_storage_gib"]) == ("db.r7g.large", 100)
    assert {"database.multi_az", "database.backup_retention_days", "database.engine_version"} & told.keys() == set()


def test_names_of_database_and_owner_are_settings_of_our_own_instance_too(tmp_path: Path) -> None:
    file = tmp_path / "dev.toml"
    file.write_text(COMPLETE.replace("[database]", '[database]\nname = "scans"\nmaster_username = "scans_owner"'))
    stack = synthesise_file(file, tmp_path / "cdktf.out")
    made = stack.one("aws_db_instance")
    assert (made["db_name"], made["username"]) == ("scans", "scans_owner")
    assert {each["environment"]["variables"]["RDS_DBNAME"] for each in stack.every("aws_lambda_function").values()} == {
        "scans"
    }


def test_rds_creates_no_database_of_any_name(tmp_path: Path) -> None:
    text = COMPLETE.replace("[database]", '[database]\nname = "scans-1"')
    assert "RDS creates a database of letters, digits and underscores" in problem(tmp_path, text)
