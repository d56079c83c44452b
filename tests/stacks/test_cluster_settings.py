"""What the settings of a cluster may say: what Aurora has not is refused, and what it has is of a cluster only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.contract.databases import RdsKind
from stacks.settings import Settings, SettingsError, load_settings
from stacks.settings.subnet_addresses import used_addresses
from tests.support.settings_file import CLUSTER, COMPLETE, SERVERLESS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dev.toml"


def load(file: Path, text: str, **database: str) -> Settings:
    file.write_text(text)
    return load_settings(file, {f"SCANNER__DATABASE__{name}": value for name, value in database.items()})


def refusal(file: Path, text: str, **database: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load(file, text, **database)
    return str(refused.value)


def test_a_cluster_has_no_storage_and_no_standby(file: Path) -> None:
    settings = load(file, CLUSTER)
    assert settings.database.is_cluster
    assert (settings.database.allocated_storage_gib, settings.database.max_allocated_storage_gib) == (0, 0)
    assert settings.database.multi_az is False
    assert settings.rds_database.kind is RdsKind.CLUSTER


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("MULTI_AZ", "true", "no standby, its readers take over: remove it"),
        ("MULTI_AZ", "false", "no standby, its readers take over: remove it"),
        ("ALLOCATED_STORAGE_GIB", "100", "no disk of a size, its volume grows: remove it"),
        ("MAX_ALLOCATED_STORAGE_GIB", "100", "no disk of a size, its volume grows: remove it"),
    ],
)
def test_what_aurora_has_not_is_refused(file: Path, name: str, value: str, why: str) -> None:
    told = f"SCANNER__DATABASE__{name}: database.{name.lower()} = '{value}' is not allowed (a cluster has {why})"
    assert refusal(file, CLUSTER, **{name: value}).startswith(told)


@pytest.mark.parametrize("name", ["db.m7g.large", "db.m8g.xlarge"])
def test_a_class_of_a_family_that_aurora_has_not_is_refused_with_those_that_it_has(file: Path, name: str) -> None:
    assert "(has no known family; known: t3, t4g, r5, r6g, r6i, r7g, r7i, r8g)" in refusal(
        file, CLUSTER, INSTANCE_CLASS=name
    )


def test_a_version_that_aurora_does_not_create_is_refused_though_rds_creates_it(file: Path) -> None:
    assert load(file, COMPLETE, ENGINE_VERSION="17.8").database.engine_version == "17.8"
    assert "(RDS creates 17.4, 17.5, 17.6, 17.7, 17.9," in refusal(file, CLUSTER, ENGINE_VERSION="17.8")


@pytest.mark.parametrize(("name", "value"), [("READERS", "1"), ("IO_OPTIMIZED", "true"), ("CAPACITY__MAX_ACUS", "8")])
def test_what_only_a_cluster_has_is_refused_for_an_instance(file: Path, name: str, value: str) -> None:
    told = refusal(file, COMPLETE, **{name: value})
    assert 'is of a cluster; set database.engine = "aurora-postgresql" or remove it' in told


@pytest.mark.parametrize("missing", ["allocated_storage_gib", "max_allocated_storage_gib", "multi_az"])
def test_an_instance_still_needs_its_storage_and_a_word_on_its_standby(file: Path, missing: str) -> None:
    lines = [line for line in COMPLETE.splitlines() if not line.startswith(f"{missing} ")]
    assert f"{file}: database.{missing} is missing; allowed: " in refusal(file, "\n".join(lines))


def test_serverless_has_a_capacity_and_nothing_else_has_one(file: Path) -> None:
    assert "go together: set both or none" in refusal(file, CLUSTER, INSTANCE_CLASS="db.serverless")
    assert "go together: set both or none" in refusal(file, CLUSTER, CAPACITY__MAX_ACUS="8")
    assert 'only a cluster has it; set database.engine = "aurora-postgresql"' in refusal(
        file, COMPLETE, INSTANCE_CLASS="db.serverless"
    )


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        # 0 pauses, which a proxy never lets happen.
        ("MIN_ACUS", "0", "allowed: a number from 0.5 to 256 in steps of 0.5"),
        ("MIN_ACUS", "0.7", "allowed: a number from 0.5 to 256 in steps of 0.5"),
        ("MAX_ACUS", "0.5", "allowed: a number from 1 to 256 in steps of 0.5"),
        ("MAX_ACUS", "256.5", "allowed: a number from 1 to 256 in steps of 0.5"),
        ("MIN_ACUS", "32", "must have max_acus of at least min_acus 32; 16 is not"),
    ],
)
def test_a_capacity_is_a_range_of_half_units_and_never_0(file: Path, name: str, value: str, why: str) -> None:
    assert why in refusal(file, SERVERLESS, **{f"CAPACITY__{name}": value})


def test_thresholds_of_serverless_are_those_of_its_most_capacity(file: Path) -> None:
    size = load(file, SERVERLESS).database.size
    assert (size.vcpus, size.memory_gib, size.max_connections) == (4, 32, 3200)
    # AWS limits connections where the least is half a unit.
    assert load(file, SERVERLESS, CAPACITY__MIN_ACUS="0.5").database.size.max_connections == 2000


def test_every_instance_of_a_cluster_needs_an_address_in_each_subnet(file: Path) -> None:
    few, many = load(file, CLUSTER), load(file, CLUSTER, READERS="10")
    assert used_addresses(many.network, many.database) - used_addresses(few.network, few.database) == 8


def test_a_size_of_an_instance_sets_for_a_cluster_what_a_cluster_has(file: Path) -> None:
    database = load(file, 'size = "large"\n' + CLUSTER).database
    assert (database.multi_az, database.allocated_storage_gib) == (False, 0)
    assert database.log_min_duration_ms == 500


@pytest.mark.parametrize(
    ("name", "value"), [("GENERATION", "2"), ("BACKUP_REGION", "eu-west-1"), ("RESTORE_FROM__SNAPSHOT", "before")]
)
def test_what_restores_an_instance_is_refused_for_a_cluster(file: Path, name: str, value: str) -> None:
    assert "of an instance only; docs/operations/cluster.md restores a cluster" in refusal(
        file, CLUSTER, **{name: value}
    )


def test_a_cluster_that_exists_is_not_deployed_around(file: Path) -> None:
    told = refusal(file, CLUSTER, EXISTING_IDENTIFIER="scanner")
    assert "existing_identifier names an instance of RDS for PostgreSQL: remove it" in told


def test_a_size_beside_a_cluster_that_exists_does_not_hide_that_it_is_refused(file: Path) -> None:
    told = refusal(file, 'size = "large"\n' + CLUSTER, EXISTING_IDENTIFIER="scanner")
    assert "existing_identifier names an instance of RDS for PostgreSQL: remove it" in told
