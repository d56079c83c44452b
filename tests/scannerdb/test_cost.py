"""`scannerdb cost` counts what the stack really makes, and says which of its prices and uses are guesses."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from scannerdb.cost import bill
from scannerdb.cost.bill import Use
from scannerdb.cost.prices import PRICES, Prices
from scannerdb.errors import OperatorError
from stacks import ROOT
from stacks.alarms import log_patterns
from stacks.settings import load_settings
from stacks.settings.instance_classes import FAMILIES
from stacks.settings.profiles import PROFILES
from stacks.settings.rds_offers import POSTGRES
from tests.support.command_line import scannerdb
from tests.support.existing_instance import IDENTIFIER, around_existing
from tests.support.synthesis import HUGE

if TYPE_CHECKING:
    from pathlib import Path

    from stacks.settings import Settings
    from tests.support.synthesis import Synthesised

# What AWS takes no money for, or bills with something that has a line: a zone's endpoint, a request, a GiB of logs.
FREE = frozenset(
    {
        *("apigatewayv2_integration", "apigatewayv2_route", "apigatewayv2_stage", "cloudwatch_event_rule"),
        *("cloudwatch_event_target", "cloudwatch_log_group", "cloudwatch_log_metric_filter"),
        *(
            "cloudwatch_query_definition",
            "db_parameter_group",
            "rds_cluster_parameter_group",
            "db_proxy_default_target_group",
            "db_proxy_target",
        ),
        *("db_subnet_group", "default_security_group", "flow_log", "iam_instance_profile", "iam_role"),
        *("iam_role_policy", "kms_alias", "lambda_function_event_invoke_config", "lambda_invocation"),
        *("lambda_permission", "route_table", "route_table_association", "s3_bucket_lifecycle_configuration"),
        *("s3_bucket_ownership_controls", "s3_bucket_policy", "s3_bucket_public_access_block"),
        *("s3_bucket_server_side_encryption_configuration", "s3_bucket_versioning", "scheduler_schedule_group"),
        *("security_group", "sns_topic", "sns_topic_policy", "sns_topic_subscription", "subnet", "vpc"),
        *("terraform_data", "vpc_security_group_egress_rule", "vpc_security_group_ingress_rule"),
    }
)
BILLED = frozenset(
    {
        *("apigatewayv2_api", "cloudwatch_composite_alarm", "cloudwatch_dashboard", "cloudwatch_metric_alarm"),
        *("db_instance", "db_proxy", "instance", "kms_key", "lambda_function", "s3_bucket", "s3_object"),
        *("scheduler_schedule", "vpc_endpoint"),
    }
)
OF_A_CLUSTER = frozenset({"rds_cluster", "rds_cluster_instance", "db_proxy_endpoint"})


def settings_of(environment: str, **variables: str) -> Settings:
    return load_settings(ROOT / "environments" / f"{environment}.toml", variables)


def usd(environment: str, use: Use | None = None, **variables: str) -> dict[str, float]:
    return {line.resource: line.usd for line in bill.bill(settings_of(environment, **variables), use or Use())}


def test_every_kind_of_resource_is_billed_or_known_to_be_free(prod: Synthesised) -> None:
    kinds = {kind.removeprefix("aws_") for kind in prod.json["resource"]}
    assert kinds - BILLED - FREE == set()
    assert kinds >= BILLED


def test_the_counts_are_those_of_the_synthesised_stack(prod: Synthesised) -> None:
    endpoints = [each for each in prod.every("aws_vpc_endpoint").values() if each["vpc_endpoint_type"] == "Interface"]
    assert len(endpoints) == bill.INTERFACE_ENDPOINTS
    assert {len(each["subnet_ids"]) for each in endpoints} == {2}
    assert len(prod.every("aws_kms_key")) == bill.KEYS
    assert len(prod.every("aws_cloudwatch_dashboard")) == bill.DASHBOARDS
    assert len(prod.every("aws_cloudwatch_composite_alarm")) == bill.COMPOSITE_ALARMS
    alarms = prod.every("aws_cloudwatch_metric_alarm").values()
    queries = [[query for query in alarm.get("metric_query", []) if "metric" in query] for alarm in alarms]
    assert bill.alarm_metrics(settings_of("prod")) == sum(max(len(metrics), 1) for metrics in queries)
    bastion = prod.one("aws_instance")
    assert bastion["instance_type"] == "t4g.nano"
    assert bastion["root_block_device"]["volume_size"] == bill.BASTION_STORAGE_GIB
    assert prod.one("aws_db_instance")["manage_master_user_password"] is True
    assert len(prod.every("aws_secretsmanager_secret")) + 1 == bill.SECRETS


def test_custom_metrics_are_those_that_the_handlers_write_and_the_filters_count(prod: Synthesised) -> None:
    written = set()
    for file in (ROOT / "handlers").rglob("*.py"):
        written |= set(re.findall(r"add_metric\(names\.(\w+)", file.read_text()))
    filters = prod.every("aws_cloudwatch_log_metric_filter").values()
    counted = {transformation["name"] for each in filters for transformation in _list(each["metric_transformation"])}
    assert len(filters) == len(log_patterns.SLOW_STATEMENTS) + len(log_patterns.DENIED_STATEMENTS)
    assert len(written) + len(counted) == bill.CUSTOM_METRICS


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_a_standby_doubles_instance_and_storage_and_nothing_else() -> None:
    one = usd("prod", SCANNER__DATABASE__MULTI_AZ="false")
    two = usd("prod")
    assert two["database db.r7g.large, with its standby"] == 2 * one["database db.r7g.large"]
    assert two["storage, 100 GiB gp3, with its standby"] == 2 * one["storage, 100 GiB gp3"]
    assert set(one.items()) ^ set(two.items()) == {
        *[(name, amount) for name, amount in one.items() if name not in two],
        *[(name, amount) for name, amount in two.items() if name not in one],
    }


def test_the_proxy_follows_the_instance_from_two_virtual_cpus_on() -> None:
    assert usd("dev")["proxy, 2 vCPUs"] == pytest.approx(730 * 2 * 0.018)
    larger = usd("prod", SCANNER__DATABASE__INSTANCE_CLASS="db.r7g.4xlarge")
    assert larger["proxy, 16 vCPUs"] == pytest.approx(730 * 16 * 0.018)
    assert larger["database db.r7g.4xlarge, with its standby"] == pytest.approx(
        8 * usd("prod")["database db.r7g.large, with its standby"]
    )


def test_another_region_has_its_own_prices() -> None:
    zones = {"SCANNER__NETWORK__AVAILABILITY_ZONES": '["us-east-1a", "us-east-1b"]', "SCANNER__REGION": "us-east-1"}
    there = usd("dev", **zones)
    assert there["database db.t4g.small"] == pytest.approx(730 * 0.032)
    assert sum(there.values()) < sum(usd("dev").values())


@pytest.mark.parametrize(
    ("route_tables", "expected"),
    [
        ('route_table_ids = ["rtb-1"]\n', {"4 interface endpoints in 3 zones": pytest.approx(730 * 4 * 3 * 0.012)}),
        ("", {}),
    ],
    ids=["ours", "theirs"],
)
def test_endpoints_in_a_network_that_exists_are_billed_where_they_are_ours(
    tmp_path: Path, route_tables: str, expected: dict[str, float]
) -> None:
    text = (ROOT / "environments" / "dev.toml").read_text()
    existing = f'vpc_id = "vpc-1"\nsubnet_ids = ["subnet-1", "subnet-2", "subnet-3"]\n{route_tables}'
    file = tmp_path / "theirs.toml"
    file.write_text(re.sub(r"vpc_cidr.*\nsubnet_cidrs.*\navailability_zones.*\n", existing, text))
    lines = {line.resource: line.usd for line in bill.bill(load_settings(file, {}), Use())}
    assert {name: usd for name, usd in lines.items() if "endpoint" in name} == expected


def test_use_is_an_option_and_the_free_tier_is_subtracted_when_asked_for() -> None:
    none, much = usd("dev", Use(requests_per_day=0)), usd("dev", Use(requests_per_day=1_000_000))
    assert (none["HTTP API"], much["HTTP API"]) == (0, pytest.approx(1.2 * 365 / 12))
    free = usd("dev", Use(free_tier=True))
    assert free["dashboard"] == free["functions"] == free["schedules"] == 0
    assert free["proxy, 2 vCPUs"] == usd("dev")["proxy, 2 vCPUs"]


def test_what_has_no_price_says_where_to_add_it() -> None:
    with pytest.raises(OperatorError, match=r"no prices of ap-south-1, only of eu-central-1, us-east-1"):
        Prices.of("ap-south-1")
    with pytest.raises(OperatorError, match=r"no price of db.m5.large; add it from https://aws.amazon.com/rds"):
        Prices.of("us-east-1").instance("db.m5.xlarge")


def test_every_price_has_a_unit_a_page_of_aws_and_both_regions() -> None:
    table = tomllib.loads(PRICES.read_text())
    entries = {name: entry for name, entry in table.items() if isinstance(entry, dict)}
    amounts = {name: entry for name, entry in entries.items() if "classes" not in entry}
    for name in entries.keys() - amounts.keys():
        amounts |= {f"{name} {each}": amount for each, amount in entries[name]["classes"].items()}
    for name, entry in entries.items():
        assert entry["page"].startswith("https://aws.amazon.com/"), name
        assert entry["unit"], name
    for name, entry in amounts.items():
        assert all(entry[region] > 0 for region in table["regions"]), name
        assert set(entry.get("unverified", [])) <= set(table["regions"]), name
    assert {name.split(".")[1] for name in entries["db_instance_hour"]["classes"]} <= set(FAMILIES)


def test_every_size_has_a_price() -> None:
    for profile in PROFILES.values():
        for region in ("eu-central-1", "us-east-1"):
            database = profile["database"]
            assert Prices.of(region).instance(database["instance_class"], database.get("engine", POSTGRES)).usd > 0


def test_the_bill_names_its_date_its_assumptions_and_what_it_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("cost", "-e", "prod", "--requests-per-day", "5000")
    said = " ".join(capsys.readouterr().out.split())
    assert "as scannerdb/cost/prices.toml had them on 2026-" in said
    assert "~ assumes every custom metric in use; 0.1 GiB of logs a day; 5,000 requests a day;" in said
    assert "* is not verified" in said
    assert "Not counted: backups beyond the size of the database" in said


def test_programs_get_the_sum_and_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("cost", "-e", "dev", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["usd_per_month"] == pytest.approx(sum(line["usd_per_month"] for line in told["lines"]), abs=0.1)
    assert told["lines"][0]["verified"] is True
    scannerdb("cost", "-e", "dev", "--profiles", "--json")
    sizes = json.loads(capsys.readouterr().out)
    assert list(sizes) == ["small", "medium", "large", "huge"]
    usd_per_month = [size["usd_per_month"] for size in sizes.values()]
    assert usd_per_month == sorted(usd_per_month)


def test_profiles_are_compared_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("cost", "-e", "dev", "--profiles")
    rows = {line.split("  ")[0]: line.split()[-4:] for line in capsys.readouterr().out.splitlines() if line}
    assert rows["database"] == ["27.01", "283.24", "402.96", "2,512.95"]
    assert rows["proxy"] == ["26.28"] * 3 + ["210.24"]
    assert rows["composite alarm"] == ["0.50"] * 4
    (readers,) = [row for name, row in rows.items() if name.startswith("endpoint of the readers in 2 zones")]
    assert readers[-2:] == ["zones", "17.52"]  # of the cluster alone


def test_a_cluster_is_billed_for_each_instance_its_proxy_and_the_endpoint_of_its_readers() -> None:
    one, two = usd("prod", **HUGE), usd("prod", **HUGE, SCANNER__DATABASE__READERS="2")
    assert two["database, 3 db.r7g.2xlarge"] == pytest.approx(1.5 * one["database, 2 db.r7g.2xlarge"])
    assert one["proxy, 16 vCPUs"] == pytest.approx(730 * 16 * 0.018)
    assert two["proxy, 24 vCPUs"] == pytest.approx(730 * 24 * 0.018)
    assert one["endpoint of the readers in 2 zones"] == pytest.approx(730 * 2 * 0.012)
    alone = usd("prod", **HUGE, SCANNER__DATABASE__READERS="0")
    assert not any("readers" in name for name in alone)


def test_io_optimized_costs_more_by_the_hour_and_nothing_by_the_read() -> None:
    use = Use(cluster_gib=1000, cluster_io_millions=5000)
    optimized, standard = usd("prod", use, **HUGE), usd("prod", use, **HUGE, SCANNER__DATABASE__IO_OPTIMIZED="false")
    named = "database, 2 db.r7g.2xlarge"
    assert optimized[named] == pytest.approx(1.3 * standard[named])
    assert optimized["storage, 1000 GiB of a cluster's volume"] == pytest.approx(1000 * 0.27)
    assert standard["reads and writes of the volume"] == pytest.approx(5000 * 0.24)
    assert "reads and writes of the volume" not in optimized


def test_serverless_is_billed_half_way_between_its_least_and_its_most() -> None:
    capacity = {
        "SCANNER__DATABASE__INSTANCE_CLASS": "db.serverless",
        "SCANNER__DATABASE__CAPACITY__MIN_ACUS": "2",
        "SCANNER__DATABASE__CAPACITY__MAX_ACUS": "8",
        "SCANNER__DATABASE__READERS": "0",
    }
    lines = usd("prod", **HUGE, **capacity)
    assert lines["database, 1 db.serverless, 5 ACUs"] == pytest.approx(730 * 5 * 1.3 * 0.144)
    assert lines["proxy, 8 ACUs"] == pytest.approx(730 * 8 * 0.018)  # the least that is billed


def test_every_kind_of_resource_of_a_cluster_is_billed_or_known_to_be_free(cluster: Synthesised) -> None:
    kinds = {kind.removeprefix("aws_") for kind in cluster.json["resource"]}
    assert kinds - BILLED - OF_A_CLUSTER - FREE == set()
    assert kinds >= OF_A_CLUSTER


def test_an_instance_that_exists_is_left_out_of_the_bill_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shared.toml").write_text(around_existing())
    monkeypatch.setattr("scannerdb.options.ENVIRONMENTS", tmp_path)
    scannerdb("cost", "-e", "shared")
    told = capsys.readouterr().out
    assert f"Nor {IDENTIFIER}, which exists" in told
    assert "proxy, 2 vCPUs" in told
    assert not [line for line in told.splitlines() if line.startswith(("database ", "storage, ", "master secret"))]
