"""What each size promises. The profiles are not read, so that a slip in them is seen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.synthesis import Synthesised, read_stack, run_main

DATABASE = ("instance_class", "allocated_storage", "max_allocated_storage", "multi_az", "backup_retention_period")
SIZES: dict[str, dict[str, Any]] = {
    "small": {
        "database": ("db.t4g.small", 20, 100, False, 1),
        "refresh": "rate(15 minutes)",
        "log_retention_days": 30,
        "log_min_duration_ms": "1000",
        "alarms": {"api-errors": 5, "progress-backlog": 20_000, "slow-queries": 10},
    },
    "medium": {
        "database": ("db.m7g.large", 50, 500, True, 7),
        "refresh": "rate(5 minutes)",
        "log_retention_days": 90,
        "log_min_duration_ms": "1000",
        "alarms": {"api-errors": 5, "progress-backlog": 50_000, "slow-queries": 10},
    },
    "large": {
        "database": ("db.r7g.large", 100, 1000, True, 14),
        "refresh": "rate(1 minute)",
        "log_retention_days": 365,
        "log_min_duration_ms": "500",
        "alarms": {"api-errors": 10, "progress-backlog": 100_000, "slow-queries": 20},
    },
}


@pytest.fixture(scope="module", params=SIZES)
def size(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def of_size(size: str, tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    outdir = tmp_path_factory.mktemp(size)
    run_main("dev", outdir=outdir, variables={"SCANNER__SIZE": size})
    return read_stack(outdir, "dev")


def test_the_instance(size: str, of_size: Synthesised) -> None:
    instance = of_size.one("aws_db_instance")
    assert tuple(instance[name] for name in DATABASE) == SIZES[size]["database"]


def test_progress_is_refreshed_as_often(size: str, of_size: Synthesised) -> None:
    schedules = {each["name"]: each for each in of_size.every("aws_scheduler_schedule").values()}
    refresh = schedules["scanner-database-dev-refresh"]
    assert refresh["schedule_expression"] == SIZES[size]["refresh"]
    assert json.loads(refresh["target"]["input"]) == {"source": "schedule"}


def test_every_log_is_kept_as_long(size: str, of_size: Synthesised) -> None:
    groups = of_size.every("aws_cloudwatch_log_group").values()
    assert len(groups) >= 8
    assert {each["retention_in_days"] for each in groups} == {SIZES[size]["log_retention_days"]}


def test_slow_statements_are_logged_from_that_length(size: str, of_size: Synthesised) -> None:
    values = {each["name"]: each["value"] for each in of_size.one("aws_db_parameter_group")["parameter"]}
    assert values["log_min_duration_statement"] == SIZES[size]["log_min_duration_ms"]


def test_alarms_ring_at_these_thresholds(size: str, of_size: Synthesised) -> None:
    alarms = of_size.every("aws_cloudwatch_metric_alarm").values()
    thresholds = {each["alarm_name"].removeprefix("scanner-database-dev-"): each.get("threshold") for each in alarms}
    expected = SIZES[size]["alarms"]
    assert {name: thresholds.get(name) for name in expected} == expected
