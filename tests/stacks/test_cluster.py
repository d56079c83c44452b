"""The stack of a cluster: it gives what that of an instance gives, and its proxy leads to readers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from stacks.outputs import DESCRIPTIONS
from stacks.settings.profiles import PROFILES
from tests.stacks.test_dashboard import series, widgets
from tests.stacks.test_notices import FAILOVER, changed, taken
from tests.support.aws_metrics import AWS_METRICS
from tests.support.processes import made_once
from tests.support.settings_file import CLUSTER, SERVERLESS
from tests.support.synthesis import Synthesised, read_stack, synthesise_file

if TYPE_CHECKING:
    from pathlib import Path

NAME = "scanner-database-huge"


def synthesised(factory: pytest.TempPathFactory, name: str, text: str) -> Synthesised:
    def make(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        file = folder / "huge.toml"
        file.write_text(text)
        synthesise_file(file, folder)

    return read_stack(made_once(factory, name, make), "huge")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    text = CLUSTER.replace("readers = 2", "readers = 2\nio_optimized = true")
    return synthesised(tmp_path_factory, "cluster.out", text.replace("deletion_protection = false\n", ""))


@pytest.fixture(scope="module")
def serverless(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesised(tmp_path_factory, "serverless.out", SERVERLESS)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("engine", "aurora-postgresql"),
        ("engine_version", "17"),
        ("cluster_identifier", NAME),
        ("database_name", "scanner_db"),
        ("master_username", "scanner_admin"),
        ("manage_master_user_password", True),
        ("iam_database_authentication_enabled", True),
        ("storage_encrypted", True),
        ("storage_type", "aurora-iopt1"),
        ("deletion_protection", True),
        ("skip_final_snapshot", False),
        ("final_snapshot_identifier", f"{NAME}-final"),
        ("delete_automated_backups", False),
        ("copy_tags_to_snapshot", True),
        ("engine_lifecycle_support", "open-source-rds-extended-support-disabled"),
        ("allow_major_version_upgrade", False),
        ("apply_immediately", False),
        ("enabled_cloudwatch_logs_exports", ["postgresql"]),
        ("kms_key_id", "${aws_kms_key.encryption_key.arn}"),
        ("master_user_secret_kms_key_id", "${aws_kms_key.encryption_key.arn}"),
    ],
)
def test_a_cluster_is_as_safe_as_an_instance(stack: Synthesised, argument: str, value: object) -> None:
    assert stack.one("aws_rds_cluster")[argument] == value


def test_it_names_no_zones_which_aws_chooses(stack: Synthesised) -> None:
    assert "availability_zones" not in stack.one("aws_rds_cluster")


def test_it_has_a_writer_and_the_readers_of_the_settings_all_alike(stack: Synthesised) -> None:
    instances = stack.every("aws_rds_cluster_instance").values()
    assert [each["identifier"] for each in instances] == [f"{NAME}-{number}" for number in (1, 2, 3)]
    assert {each["promotion_tier"] for each in instances} == {1}
    for each in instances:
        assert each["instance_class"] == "db.r7g.large"
        assert (each["publicly_accessible"], each["auto_minor_version_upgrade"]) == (False, True)
        assert (each["performance_insights_enabled"], each["monitoring_interval"]) == (True, 60)
        assert each["performance_insights_kms_key_id"] == "${aws_kms_key.encryption_key.arn}"
        assert each["ca_cert_identifier"] == "rds-ca-rsa2048-g1"


def test_only_the_cluster_has_a_parameter_group_of_ours(stack: Synthesised) -> None:
    group = stack.one("aws_rds_cluster_parameter_group")
    assert (group["name"], group["family"]) == (f"{NAME}-aurora-postgresql17", "aurora-postgresql17")
    values = {each["name"]: (each["value"], each["apply_method"]) for each in group["parameter"]}
    assert values["rds.force_ssl"] == ("1", "pending-reboot")
    assert values["max_connections"] == ("1600", "pending-reboot")
    assert stack.every("aws_db_parameter_group") == {}
    assert all("db_parameter_group_name" not in each for each in stack.every("aws_rds_cluster_instance").values())


def test_it_makes_no_instance_of_its_own(stack: Synthesised) -> None:
    assert stack.every("aws_db_instance") == {}


def test_its_log_exists_before_it_and_is_named_as_rds_names_that_of_a_cluster(stack: Synthesised) -> None:
    group = stack.one("aws_cloudwatch_log_group", "database_postgresql_log_group")
    assert group["name"] == f"/aws/rds/cluster/{NAME}/postgresql"
    assert "aws_cloudwatch_log_group.database_postgresql_log_group" in stack.one("aws_rds_cluster")["depends_on"]
    assert "database_upgrade_log_group" not in stack.every("aws_cloudwatch_log_group")


def test_logins_name_the_cluster_and_go_to_its_writer(stack: Synthesised) -> None:
    policy = json.loads(stack.one("aws_iam_role_policy", "doctor_role_policy")["policy"])
    resources = [each for statement in policy["Statement"] for each in statement["Resource"] if "dbuser" in each]
    assert any("${aws_rds_cluster.database_cluster.cluster_resource_id}/scanner_doctor" in each for each in resources)
    variables = stack.one("aws_lambda_function", "migrate_function")["environment"]["variables"]
    assert variables["RDS_ENDPOINT"] == "${aws_rds_cluster.database_cluster.endpoint}"
    assert variables["MASTER_SECRET_ARN"].startswith("${aws_rds_cluster.database_cluster.master_user_secret")


def test_the_release_and_the_proxy_wait_for_every_instance(stack: Synthesised) -> None:
    instances = {f"aws_rds_cluster_instance.database_instance_{number}" for number in (1, 2, 3)}
    assert instances <= stack.needs("aws_lambda_invocation.release_invocation")
    assert instances <= stack.needs("aws_db_proxy_target.proxy_target")
    target = stack.one("aws_db_proxy_target")
    assert target["db_cluster_identifier"] == "${aws_rds_cluster.database_cluster.cluster_identifier}"
    assert "db_instance_identifier" not in target


def test_the_proxy_leads_to_readers_where_there_are_some_and_status_stays_with_the_writer(
    stack: Synthesised, serverless: Synthesised
) -> None:
    endpoint = stack.one("aws_db_proxy_endpoint")
    assert (endpoint["target_role"], endpoint["db_proxy_endpoint_name"]) == ("READ_ONLY", f"{NAME}-readers")
    assert endpoint["vpc_security_group_ids"] == stack.one("aws_db_proxy")["vpc_security_group_ids"]
    assert stack.json["output"]["reader_endpoint"]["value"] == "${aws_db_proxy_endpoint.proxy_readers.endpoint}"
    assert stack.json["output"]["reader_endpoint"]["description"] == DESCRIPTIONS["reader_endpoint"]
    status = stack.one("aws_lambda_function", "status_function")["environment"]["variables"]
    assert status["RDS_PROXY_ENDPOINT"] == "${aws_db_proxy.proxy_proxy.endpoint}"
    assert serverless.every("aws_db_proxy_endpoint") == {}
    assert "reader_endpoint" not in serverless.json["output"]


def test_serverless_has_the_range_of_the_settings(serverless: Synthesised) -> None:
    cluster = serverless.one("aws_rds_cluster")
    assert cluster["serverlessv2_scaling_configuration"] == {"min_capacity": 1, "max_capacity": 16}
    assert "storage_type" not in cluster
    assert serverless.one("aws_rds_cluster_instance")["instance_class"] == "db.serverless"


@pytest.mark.parametrize("kind", ["RDS DB Cluster Event", "RDS DB Instance Event"])
@pytest.mark.parametrize("source", [NAME, f"{NAME}-1", f"{NAME}-3"])
def test_what_rds_announces_of_the_cluster_and_of_its_instances_is_a_notice(
    stack: Synthesised, kind: str, source: str
) -> None:
    event = {**changed(FAILOVER, SourceIdentifier=source), "detail-type": kind}
    assert taken(stack, event) == [f"{NAME}-database-events"]
    assert taken(stack, changed(event, SourceIdentifier=f"{NAME}-4")) == []


@pytest.mark.parametrize("kind", ["provisioned", "serverless"])
def test_the_dashboard_shows_metrics_that_aws_documents_of_a_cluster(
    stack: Synthesised, serverless: Synthesised, kind: str
) -> None:
    shown = [
        each
        for widget in widgets({"provisioned": stack, "serverless": serverless}[kind], "metric")
        for each in series(widget)
        if each[0] == "AWS/RDS"
    ]
    for namespace, name, dimensions, _ in shown:
        assert name in AWS_METRICS[namespace, frozenset(dimensions)], (name, dimensions)
    assert {"VolumeBytesUsed", "CommitLatency", "BufferCacheHitRatio"} <= {name for _, name, *_ in shown}


def test_titles_of_a_cluster_s_graphs_name_the_units_in_which_values_are_drawn(
    stack: Synthesised, serverless: Synthesised
) -> None:
    for widget in (*widgets(stack, "metric"), *widgets(serverless, "metric")):
        title = widget["properties"]["title"]
        assert not re.search(r"\b(ms|µs|bytes)\b", title, re.IGNORECASE), title


def test_the_profile_huge_is_a_cluster_with_a_reader() -> None:
    database = PROFILES["huge"]["database"]
    assert (database["engine"], database["readers"], database["io_optimized"]) == ("aurora-postgresql", 1, True)


def test_no_stack_of_a_cluster_holds_a_password(stack: Synthesised, serverless: Synthesised) -> None:
    for each in (stack, serverless):
        names: set[Any] = {name for _, body in each.resources() for name in body if "password" in name}
        assert names == {"manage_master_user_password"}
