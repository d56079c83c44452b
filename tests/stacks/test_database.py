"""The database and its proxy: encrypted, recoverable, reached by TLS and IAM, its password known to nobody."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stacks import ROOT
from stacks.database.parameters import parameters as parameters_of
from stacks.settings import load_settings
from tests.support.synthesis import ENVIRONMENTS, read_stack, run_main

if TYPE_CHECKING:
    from tests.support.synthesis import Synthesised


@pytest.fixture
def instance(prod: Synthesised) -> dict[str, Any]:
    return prod.one("aws_db_instance")


@pytest.fixture
def parameters(prod: Synthesised) -> dict[str, tuple[str, str]]:
    group = prod.one("aws_db_parameter_group")
    return {item["name"]: (item["value"], item["apply_method"]) for item in group["parameter"]}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("engine", "postgres"),
        ("engine_version", "17"),
        ("identifier", "scanner-database-prod"),
        ("db_name", "scanner_db"),
        ("username", "scanner_admin"),
        ("manage_master_user_password", True),
        ("iam_database_authentication_enabled", True),
        ("storage_encrypted", True),
        ("storage_type", "gp3"),
        ("publicly_accessible", False),
        ("multi_az", True),
        ("deletion_protection", True),
        ("skip_final_snapshot", False),
        ("final_snapshot_identifier", "scanner-database-prod-final"),
        ("delete_automated_backups", False),
        ("backup_retention_period", 14),
        ("copy_tags_to_snapshot", True),
        ("ca_cert_identifier", "rds-ca-rsa2048-g1"),
        ("engine_lifecycle_support", "open-source-rds-extended-support-disabled"),
        ("auto_minor_version_upgrade", True),
        ("allow_major_version_upgrade", False),
        ("apply_immediately", False),
        ("performance_insights_enabled", True),
        ("monitoring_interval", 60),
        ("enabled_cloudwatch_logs_exports", ["postgresql", "upgrade"]),
    ],
)
def test_the_production_instance(instance: dict[str, Any], argument: str, value: object) -> None:
    assert instance[argument] == value


@pytest.mark.parametrize("argument", ["kms_key_id", "master_user_secret_kms_key_id", "performance_insights_kms_key_id"])
def test_the_instance_is_encrypted_with_our_key(instance: dict[str, Any], argument: str) -> None:
    assert instance[argument] == "${aws_kms_key.encryption_key.arn}"


def test_a_deployment_that_people_take_down_leaves_nothing_behind(stacks: dict[str, Synthesised]) -> None:
    instance = stacks["dev"].one("aws_db_instance")
    assert (instance["deletion_protection"], instance["skip_final_snapshot"]) == (False, True)
    assert instance["delete_automated_backups"] is True
    assert "final_snapshot_identifier" not in instance


def test_who_takes_the_protection_away_in_order_to_delete_keeps_snapshot_and_backups(tmp_path: Path) -> None:
    run_main("prod", outdir=tmp_path, variables={"SCANNER__DATABASE__DELETION_PROTECTION": "false"})
    instance = read_stack(tmp_path, "prod").one("aws_db_instance")
    assert (instance["deletion_protection"], instance["skip_final_snapshot"]) == (False, False)
    assert instance["delete_automated_backups"] is False
    assert instance["final_snapshot_identifier"] == "scanner-database-prod-final"


def test_no_stack_holds_a_password(stack: Synthesised) -> None:
    keys = set(re.findall(r'"([a-z_]*password[a-z_]*)":', stack.text()))
    assert keys == {"manage_master_user_password"}


def test_the_logs_that_the_instance_exports_exist_before_it(stack: Synthesised) -> None:
    instance = stack.one("aws_db_instance")
    for kind in instance["enabled_cloudwatch_logs_exports"]:
        group = stack.one("aws_cloudwatch_log_group", f"database_{kind}_log_group")
        assert group["name"] == f"/aws/rds/instance/{instance['identifier']}/{kind}"
        assert f"aws_cloudwatch_log_group.database_{kind}_log_group" in instance["depends_on"]


def test_the_parameter_group_is_for_postgresql_17(prod: Synthesised) -> None:
    assert prod.one("aws_db_parameter_group")["family"] == "postgres17"


def test_the_parameter_group_follows_the_major_version(tmp_path: Path) -> None:
    run_main("prod", outdir=tmp_path, variables={"SCANNER__DATABASE__ENGINE_VERSION": "18.4"})
    stack = read_stack(tmp_path, "prod")
    assert stack.one("aws_db_instance")["engine_version"] == "18.4"
    group = stack.one("aws_db_parameter_group")
    assert (group["name"], group["family"]) == ("scanner-database-prod-postgres18", "postgres18")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log_min_duration_statement", "500"),
        ("auto_explain.log_min_duration", "500"),
        ("auto_explain.log_format", "json"),
        ("pg_stat_statements.track", "all"),
        ("log_lock_waits", "1"),
        ("log_connections", "1"),
        ("log_statement", "ddl"),
    ],
)
def test_the_parameters_of_the_production_instance(
    parameters: dict[str, tuple[str, str]], name: str, value: str
) -> None:
    assert parameters[name] == (value, "immediate")


def test_libraries_and_connections_are_set_at_the_next_restart(parameters: dict[str, tuple[str, str]]) -> None:
    assert parameters["shared_preload_libraries"] == ("auto_explain,pg_stat_statements", "pending-reboot")
    assert parameters["max_connections"] == ("1600", "pending-reboot")


def defaults() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).with_name("rds_parameter_defaults.toml")).read_text())


@pytest.mark.parametrize("version", ["17", "18"])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_parameter_with_rds_s_default_as_its_value_is_to_be_applied_immediately(
    environment: str, version: str
) -> None:
    """RDS keeps `pending-reboot` for it, so every plan would differ."""
    settings = load_settings(
        ROOT / "environments" / f"{environment}.toml", {"SCANNER__DATABASE__ENGINE_VERSION": version}
    )
    by_default = {
        each.name: each.apply_method
        for each in parameters_of(settings.database)
        if defaults()["set"].get(each.name) == each.value
    }
    assert by_default == dict.fromkeys(
        ["log_autovacuum_min_duration", "rds.force_ssl", "track_io_timing"], "pending-reboot"
    )


def test_rds_s_default_of_each_parameter_is_known(prod: Synthesised) -> None:
    """A new parameter is looked up first: in the family without a value, with one, or with a formula."""
    known = defaults()
    names = {*known["set"], *known["unset"]["names"], *known["computed"]["names"]}
    assert {item["name"] for item in prod.one("aws_db_parameter_group")["parameter"]} <= names


def test_the_parameters_are_sorted_as_rds_returns_them(prod: Synthesised) -> None:
    names = [item["name"] for item in prod.one("aws_db_parameter_group")["parameter"]]
    assert names == sorted(names)


def test_the_proxy_leaves_connections_to_those_who_connect_directly(prod: Synthesised) -> None:
    pool = prod.one("aws_db_proxy_default_target_group")["connection_pool_config"]
    assert pool["max_connections_percent"] == 80


def test_the_proxy_demands_tls_and_gives_up_before_the_status_function_must_answer(prod: Synthesised) -> None:
    assert prod.one("aws_db_proxy")["require_tls"] is True
    pool = prod.one("aws_db_proxy_default_target_group")["connection_pool_config"]
    assert pool["connection_borrow_timeout"] <= 2


def test_the_proxy_passes_iam_through_where_the_provider_can(stacks: dict[str, Synthesised]) -> None:
    for environment in ("dev", "prod"):
        proxy = stacks[environment].one("aws_db_proxy")
        assert (proxy["default_auth_scheme"], "auth" in proxy) == ("IAM_AUTH", False)
        assert stacks[environment].json["terraform"]["required_providers"]["aws"]["version"] == "~> 6.40"


def test_the_proxy_may_log_in_as_the_four_database_users_and_nothing_else(prod: Synthesised) -> None:
    policy = json.loads(prod.one("aws_iam_role_policy", "proxy_role_policy")["policy"])
    (statement,) = policy["Statement"]
    assert statement["Action"] == ["rds-db:connect"]
    users = [resource.partition(":dbuser:")[2] for resource in statement["Resource"]]
    instance = "${aws_db_instance.database_instance.resource_id}"
    names = ("scanner_app", "progress_refresher", "progress_reader", "scanner_doctor")
    assert users == [f"{instance}/{user}" for user in names]


def test_the_emulator_s_proxy_reads_the_master_secret_instead(stacks: dict[str, Synthesised]) -> None:
    proxy = stacks["local"].one("aws_db_proxy")
    assert "default_auth_scheme" not in proxy
    assert [auth["auth_scheme"] for auth in proxy["auth"]] == ["SECRETS"]


def test_the_port_of_the_settings_is_the_database_s_and_the_proxy_keeps_its_own(tmp_path: Path) -> None:
    run_main("dev", outdir=tmp_path, variables={"SCANNER__DATABASE__PORT": "6432"})
    stack = read_stack(tmp_path, "dev")
    assert stack.one("aws_db_instance")["port"] == 6432
    rules = [
        *stack.every("aws_vpc_security_group_ingress_rule").values(),
        *stack.every("aws_vpc_security_group_egress_rule").values(),
    ]
    to_proxy = "${aws_security_group.proxy_security_group.id}"
    assert {rule["from_port"] for rule in rules if rule.get("referenced_security_group_id") == to_proxy} == {5432, 6432}
    assert {rule["from_port"] for rule in rules if rule["security_group_id"] == to_proxy} == {5432, 6432}
    variables = {
        name: stack.one("aws_lambda_function", f"{name}_function")["environment"]["variables"]
        for name in ("migrate", "refresh", "status", "doctor")
    }
    ports = {name: each["RDS_PORT"] for name, each in variables.items()}
    assert ports == {"migrate": "6432", "refresh": "5432", "status": "5432", "doctor": "6432"}
    assert variables["doctor"]["RDS_PROXY_ENDPOINT"] == "${aws_db_proxy.proxy_proxy.endpoint}:5432"
    assert (stack.json["output"]["database_port"]["value"], stack.json["output"]["proxy_port"]["value"]) == (
        "6432",
        "5432",
    )
