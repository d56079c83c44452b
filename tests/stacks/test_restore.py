"""A restore makes a database beside the older one, which Terraform leaves alone, and is asked for once."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from stacks.settings import SettingsError, load_settings
from tests.support.settings_file import COMPLETE
from tests.support.synthesis import Synthesised, read_stack, run_main

if TYPE_CHECKING:
    from pathlib import Path

SNAPSHOT = {"SCANNER__DATABASE__RESTORE_FROM__SNAPSHOT": "before-the-loss"}
POINT_IN_TIME = {
    "SCANNER__DATABASE__RESTORE_FROM__SOURCE": "scanner-database-prod",
    "SCANNER__DATABASE__RESTORE_FROM__TIME": "2026-11-27T14:05:00Z",
}
SECOND = {"SCANNER__DATABASE__GENERATION": "2"}
AT_CREATION = ("db_name", "username", "kms_key_id", "allocated_storage")


def synthesise(folder: Path, *variables: dict[str, str]) -> Synthesised:
    merged = {name: value for each in variables for name, value in each.items()}
    run_main("prod", outdir=folder, variables=merged)
    return read_stack(folder, "prod")


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesise(tmp_path_factory.mktemp("restored"), SNAPSHOT, SECOND)


@pytest.fixture(scope="module")
def afterwards(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    """The settings once restore_from is taken away."""
    return synthesise(tmp_path_factory.mktemp("afterwards"), SECOND)


def test_a_restored_instance_has_an_identifier_and_an_address_of_its_own(restored: Synthesised) -> None:
    instance = restored.one("aws_db_instance", "database_2_instance")
    assert list(restored.every("aws_db_instance")) == ["database_2_instance"]
    assert instance["identifier"] == "scanner-database-prod-2"
    assert instance["snapshot_identifier"] == "before-the-loss"
    assert instance["final_snapshot_identifier"] == "scanner-database-prod-2-final"


def test_what_a_restore_takes_from_its_source_is_not_asked_for(restored: Synthesised) -> None:
    assert not restored.one("aws_db_instance").keys() & set(AT_CREATION)


def test_the_older_instance_and_its_logs_are_forgotten_and_not_destroyed(restored: Synthesised) -> None:
    removed = {each["from"]: each["lifecycle"] for each in restored.json["removed"]}
    assert removed == {
        "aws_db_instance.database_instance": {"destroy": False},
        "aws_cloudwatch_log_group.database_postgresql_log_group": {"destroy": False},
        "aws_cloudwatch_log_group.database_upgrade_log_group": {"destroy": False},
        "aws_db_instance_automated_backups_replication.database_backups_replication": {"destroy": False},
    }


def test_every_earlier_generation_stays_forgotten(tmp_path: Path) -> None:
    stack = synthesise(tmp_path, {"SCANNER__DATABASE__GENERATION": "3"})
    instances = [each["from"] for each in stack.json["removed"] if each["from"].startswith("aws_db_instance.")]
    assert instances == ["aws_db_instance.database_instance", "aws_db_instance.database_2_instance"]


def test_a_first_generation_forgets_nothing(prod: Synthesised) -> None:
    assert "removed" not in prod.json


def test_everything_else_follows_the_restored_instance(restored: Synthesised, prod: Synthesised) -> None:
    """Alarms, logs, notices, proxy, roles, functions and outputs: nothing names the older one any more."""
    old = re.compile(r"scanner-database-prod(?=/postgresql|/upgrade)|aws_db_instance\.database_instance\b")
    told = {address: json.dumps(body) for address, body in restored.resources()}
    assert [address for address, body in told.items() if old.search(body)] == []
    assert old.search(json.dumps(restored.json["output"])) is None

    def watched(stack: Synthesised) -> set[str]:
        return set(re.findall(r'"DBInstanceIdentifier": "([^"]+)"', stack.text().replace('\\"', '"')))

    assert watched(prod) == {"scanner-database-prod"}
    assert watched(restored) == {"scanner-database-prod-2"}


def test_what_all_generations_share_keeps_name_and_address(restored: Synthesised, prod: Synthesised) -> None:
    for kind in ("aws_db_subnet_group", "aws_db_parameter_group", "aws_db_proxy", "aws_kms_key"):
        assert {name: body.get("name") for name, body in restored.every(kind).items()} == {
            name: body.get("name") for name, body in prod.every(kind).items()
        }


def test_a_restored_database_is_migrated_and_refreshed(restored: Synthesised, prod: Synthesised) -> None:
    def triggers(stack: Synthesised, name: str) -> Any:
        return stack.one("aws_lambda_invocation", name)["triggers"]

    assert triggers(restored, "release_invocation") != triggers(prod, "release_invocation")
    assert triggers(restored, "first_refresh_invocation")["proxy_target"] == "${aws_db_proxy_target.proxy_target.id}"
    assert restored.one("aws_db_proxy_target")["db_instance_identifier"] == (
        "${aws_db_instance.database_2_instance.identifier}"
    )


def test_a_setting_that_is_taken_away_leaves_identifier_and_addresses(
    restored: Synthesised, afterwards: Synthesised
) -> None:
    assert {address for address, _ in afterwards.resources()} == {address for address, _ in restored.resources()}
    before, after = (dict(each.one("aws_db_instance")) for each in (restored, afterwards))
    assert before["identifier"] == after["identifier"]
    # Terraform compares these with nothing, or with what the restore took from its source.
    ignored = set(after["lifecycle"]["ignore_changes"])
    differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert differing - ignored - {"lifecycle"} == {"db_name", "username", "allocated_storage"}


@pytest.mark.parametrize(
    ("chosen", "arguments"),
    [
        (
            {},
            {"source_db_instance_identifier": "scanner-database-prod", "restore_time": "2026-11-27T14:05:00Z"},
        ),
        (
            {"SCANNER__DATABASE__RESTORE_FROM__TIME": "latest"},
            {"source_db_instance_identifier": "scanner-database-prod", "use_latest_restorable_time": True},
        ),
        (
            {"SCANNER__DATABASE__RESTORE_FROM__SOURCE": "db-ABCDEFGHIJKL"},
            {"source_dbi_resource_id": "db-ABCDEFGHIJKL", "restore_time": "2026-11-27T14:05:00Z"},
        ),
        (
            {
                "SCANNER__DATABASE__RESTORE_FROM__SOURCE": (
                    "arn:aws:rds:eu-west-1:123456789012:auto-backup:ab-L2IJCEXJP7XQ7HOJ4SIEXAMPLE"
                )
            },
            {
                "source_db_instance_automated_backups_arn": (
                    "arn:aws:rds:eu-west-1:123456789012:auto-backup:ab-L2IJCEXJP7XQ7HOJ4SIEXAMPLE"
                ),
                "restore_time": "2026-11-27T14:05:00Z",
            },
        ),
    ],
)
def test_a_point_in_time_is_one_of_an_instance_of_its_kept_or_of_its_replicated_backups(
    tmp_path: Path, chosen: dict[str, str], arguments: dict[str, Any]
) -> None:
    stack = synthesise(tmp_path, POINT_IN_TIME, SECOND, chosen)
    assert stack.one("aws_db_instance")["restore_to_point_in_time"] == arguments


def test_a_restore_of_an_instance_that_exists_already_fails_the_plan(restored: Synthesised) -> None:
    """Terraform ignores the setting of an instance that exists, so its plan must not succeed."""
    (condition,) = restored.one("aws_db_instance")["lifecycle"]["postcondition"]
    assert condition["condition"] == '${self.snapshot_identifier == "before-the-loss"}'
    assert "set database.generation to 3" in condition["error_message"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('{ snapshot = "s", source = "scanner-database-prod", time = "latest" }', "names either a snapshot, or"),
        ('{ source = "scanner-database-prod" }', "names either a snapshot, or"),
        ("{}", "names either a snapshot, or"),
        ('{ source = "scanner-database-prod", time = "yesterday" }', "a time in UTC such as"),
        ('{ source = "scanner-database-prod", time = "2026-11-27T14:05:00+01:00" }', "a time in UTC such as"),
        ('{ source = "Prod", time = "latest" }', "the identifier of an instance that exists"),
        ('{ snapshot = "not a name" }', "the name of a snapshot"),
        ('{ source = "scanner-database-dev", time = "latest" }', "raise database.generation by one"),
    ],
)
def test_a_restore_that_cannot_be_is_refused_with_the_way_out(tmp_path: Path, table: str, said: str) -> None:
    file = tmp_path / "dev.toml"
    file.write_text(COMPLETE.replace("[functions]", f"restore_from = {table}\n\n[functions]"))
    with pytest.raises(SettingsError, match=re.escape(said)):
        load_settings(file, {})


def test_backups_are_copied_to_another_region_under_a_key_of_that_region(tmp_path: Path) -> None:
    stack = synthesise(tmp_path, {"SCANNER__DATABASE__BACKUP_REGION": "eu-west-1"})
    copies = stack.one("aws_db_instance_automated_backups_replication")
    assert {name: value for name, value in copies.items() if name != "//"} == {
        "region": "eu-west-1",
        "source_db_instance_arn": "${aws_db_instance.database_instance.arn}",
        "kms_key_id": "${aws_kms_key.database_backups_key.arn}",
        "retention_period": 14,
    }
    key = stack.one("aws_kms_key", "database_backups_key")
    assert (key["region"], key["enable_key_rotation"]) == ("eu-west-1", True)


def test_no_backups_are_copied_unless_the_settings_say_so(stack: Synthesised) -> None:
    assert stack.every("aws_db_instance_automated_backups_replication") == {}
    assert len(stack.every("aws_kms_key")) == 1


@pytest.mark.parametrize(
    ("region", "said"),
    [("eu-central-1", "the database is there"), ("us-gov-east-1", "GovCloud"), ("x", "no such region")],
)
def test_a_region_that_keeps_nothing_is_refused(tmp_path: Path, region: str, said: str) -> None:
    file = tmp_path / "dev.toml"
    file.write_text(COMPLETE.replace("[functions]", f'backup_region = "{region}"\n\n[functions]'))
    with pytest.raises(SettingsError, match=said):
        load_settings(file, {})
