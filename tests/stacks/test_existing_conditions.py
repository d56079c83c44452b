"""Terraform's provider reads an instance that exists, and a plan fails with all that does not fit the settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scannerdb import terraform
from scannerdb.aws import client
from scannerdb.review.emulator import empty_emulator
from scannerdb.review.stand_in import make_stand_in
from stacks.database.existing_conditions import modify
from stacks.settings import Settings, load_settings
from tests.support.existing_instance import IDENTIFIER, around_existing
from tests.support.synthesis import synthesise_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.synthesis import Synthesised

BACKEND = {"terraform": {"backend": {"local": {"path": "terraform.tfstate"}}}}
DATA_SOURCES = (
    "-target=data.aws_db_instance.database_instance",
    "-target=data.aws_cloudwatch_log_group.database_log_group",
)
ELSEWHERE = "sg-0123456789abcdef0"


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with empty_emulator() as address:
        yield address


@pytest.fixture
def around(tmp_path: Path, emulator: str) -> Callable[..., tuple[Settings, Synthesised]]:
    """Return a function that synthesises settings around an instance, in the emulator."""

    def make(name: str, *lines: str) -> tuple[Settings, Synthesised]:
        file = tmp_path / f"{name}.toml"
        text = around_existing(*lines).replace(IDENTIFIER, name)
        file.write_text(text.replace("[aws]", f'[aws]\nendpoint = "{emulator}"'))
        stack = synthesise_file(file, tmp_path / name)
        (stack.folder / "override.tf.json").write_text(json.dumps(BACKEND))
        return load_settings(file, {}), stack

    return make


def planned(stack: Synthesised, environment: dict[str, str]) -> str:
    """Return what a plan of the data sources says, or why it fails, in one line."""
    terraform.init(stack.folder, environment)
    try:
        return terraform.run(stack.folder, environment, "plan", "-no-color", DATA_SOURCES)
    except terraform.TerraformError as error:
        return " ".join(str(error).replace("│", " ").split())


def test_a_stand_in_fits_the_settings_that_it_is_made_of(
    around: Callable[..., tuple[Settings, Synthesised]], terraform_environment: dict[str, str]
) -> None:
    settings, stack = around("fits", f'access_rules = "{ELSEWHERE}"')
    make_stand_in(settings)
    assert "No changes" in planned(stack, terraform_environment)


def test_all_that_does_not_fit_is_told_at_once_with_the_way_out(
    around: Callable[..., tuple[Settings, Synthesised]], terraform_environment: dict[str, str]
) -> None:
    settings, stack = around("unfit", f'access_rules = "{ELSEWHERE}"')
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
    client(settings, "rds").create_db_instance(**wrong)
    told = planned(stack, terraform_environment)
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
