"""Terraform's provider reads an instance that exists, and a plan fails with all that does not fit the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scannerdb import terraform
from scannerdb.aws import client
from scannerdb.review.emulator import empty_emulator
from scannerdb.review.stand_in import emulated_account
from stacks.database.existing_conditions import modify
from stacks.settings import load_settings
from tests.support.existing_instance import IDENTIFIER, around_existing
from tests.support.synthesis import synthesise_file
from tests.support.terraform_plans import in_one_line

if TYPE_CHECKING:
    from pathlib import Path

# The second data source needs the first.
DATA_SOURCES = "-target=data.aws_cloudwatch_log_group.database_log_group"
ELSEWHERE = "sg-0123456789abcdef0"


def settings_file(folder: Path, name: str, address: str) -> Path:
    """Write settings around an instance of this name in an emulator."""
    file = folder / f"{name}.toml"
    text = around_existing(f'access_rules = "{ELSEWHERE}"').replace(IDENTIFIER, name)
    file.write_text(text.replace("[aws]", f'[aws]\nendpoint = "{address}"'))
    return file


def planned(file: Path, environment: dict[str, str]) -> str:
    """Return what a plan of the data sources says, or why it fails, in one line."""
    stack = synthesise_file(file, file.with_suffix(""))
    stack.keep_state_in_folder()
    terraform.init(stack.folder, environment)
    try:
        return terraform.run(stack.folder, environment, "plan", "-no-color", DATA_SOURCES)
    except terraform.TerraformError as error:
        return in_one_line(error)


def test_a_plan_without_an_account_has_a_stand_in_that_fits_the_settings(
    tmp_path: Path, terraform_environment: dict[str, str]
) -> None:
    settings = load_settings(settings_file(tmp_path, "fits", "http://127.0.0.1:1"), {})
    with emulated_account(settings) as address:
        told = planned(settings_file(tmp_path, "fits", address), terraform_environment)
    assert "data.aws_cloudwatch_log_group.database_log_group: Read complete" in told


def test_all_that_does_not_fit_is_told_at_once_with_the_way_out(
    tmp_path: Path, terraform_environment: dict[str, str]
) -> None:
    wrong: dict[str, Any] = {
        "DBInstanceIdentifier": "unfit",
        "Engine": "postgres",
        "EngineVersion": "14.9",
        "DBInstanceClass": "db.m7g.large",
        "AllocatedStorage": 200,
        "Port": 6543,
        "StorageEncrypted": False,
        "VpcSecurityGroupIds": ["sg-0fffffffffffffff0"],
        "MasterUsername": "postgres",
        "MasterUserPassword": "of another team",
    }
    with empty_emulator() as address:
        file = settings_file(tmp_path, "unfit", address)
        client(load_settings(file, {}), "rds").create_db_instance(**wrong)
        told = planned(file, terraform_environment)
    for part in (
        "unfit: it is postgres 14.9, and postgres 15 to 18 is supported. Next: upgrade it",
        "unfit: its storage is not encrypted",
        (
            f"unfit: it does not export its log, and alarms and metrics are made of it. Next: {modify('unfit')} "
            "--cloudwatch-logs-export-configuration EnableLogTypes=postgresql"
        ),
        "unfit: it listens on port 6543, and database.port is 5432. Next: database.port = 6543",
        'Next: database.instance_class = "db.m7g.large"',
        "unfit: it has 200 GiB, and the alarms are those of 20 to 100 GiB",
        "unfit: RDS does not manage its master password. Next: database.master_secret_arn = a secret",
        'Next: database.master_username = "postgres"',
        f"unfit: it has the security groups sg-0fffffffffffffff0, and database.access_rules is {ELSEWHERE}",
    ):
        assert part in told, told
