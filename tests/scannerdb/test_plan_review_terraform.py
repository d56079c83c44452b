"""Real plans: a first deployment is green, one that replaces the database is red until that is agreed to."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from click.testing import CliRunner

from scannerdb import terraform
from scannerdb.review import command, planning
from scannerdb.review.allowed import load_allowed
from scannerdb.review.emulator import empty_emulator
from scannerdb.review.policy import Policy, check_policy
from scannerdb.review.releases import fetch_built
from scannerdb.review.review import Review
from scannerdb.review.review import judge as judge_plan
from stacks import ROOT
from stacks.assets.migration_files import release_files
from stacks.settings import load_settings
from tests.support.planned import clean_environment, planned_once
from tests.support.terraform_plans import DATABASE, TODAY, unread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stacks.settings import Settings

pytestmark = pytest.mark.slow

PASSWORD = "not-for-your-eyes"


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    found = terraform.find_provider()
    if isinstance(found, terraform.NoProvider):
        pytest.skip(found.reason)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_first_deployment_is_green_and_tells_what_it_would_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, environment: str
) -> None:
    def plan_environment(settings: Settings, *, emulator: bool) -> planning.Planned:
        assert emulator
        return planned_once(tmp_path_factory, settings.environment)

    monkeypatch.setattr(command, "plan_environment", plan_environment)
    done = CliRunner().invoke(command.review, ["-e", environment, "--emulator", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["problems"] == []
    # No section on the allow list: each of its entries is needed.
    titles = {section["title"] for section in told["sections"]}
    assert titles == {"Migrations", "Created", "Changed outputs", "Policy"}
    assert set(told["counts"]) == {"create"}
    assert told["counts"]["create"] > 100
    (migrations,) = (section for section in told["sections"] if section["title"] == "Migrations")
    files = {path.name for path in release_files(ROOT / "migrations") if not path.name.endswith(".down.sql")}
    assert {item["text"].partition(":")[0] for item in migrations["items"][1:]} == files


@pytest.fixture(scope="module")
def replacing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Production's plan where its database is there already, unencrypted and with another name inside."""
    directory = tmp_path_factory.mktemp("plan")
    with empty_emulator() as address:
        environ = {**clean_environment(), **planning.EMULATED, "SCANNER__AWS__ENDPOINT": address}
        settings = load_settings(ROOT / "environments" / "prod.toml", environ)
        boto3.client(
            "rds",
            endpoint_url=address,
            region_name=settings.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        ).create_db_instance(
            DBInstanceIdentifier=settings.prefix,
            DBName="scanner",
            Engine="postgres",
            EngineVersion="17",
            DBInstanceClass="db.m7g.large",
            AllocatedStorage=100,
            MasterUsername="scanner_admin",
            MasterUserPassword=PASSWORD,
        )
        # Terraform reads this file beside the synthesised one.
        folder = directory / "stacks" / "prod"
        folder.mkdir(parents=True)
        taken_in = {"import": [{"to": DATABASE, "id": settings.prefix}]}
        (folder / "import.tf.json").write_text(json.dumps(taken_in))
        yield planning.plan_environment(settings, directory=directory, environ=environ).json


@pytest.fixture(scope="module")
def policy(replacing: dict[str, Any]) -> Policy:
    return check_policy(replacing)


def judge(plan: dict[str, Any], policy: Policy, folder: Path, *, today: dt.date = TODAY) -> Review:
    return judge_plan(
        plan,
        environment="prod",
        against="an emulator",
        allowed=load_allowed("prod", today=today, folder=folder),
        policy=policy,
        fetch=fetch_built,
        read_ledger=unread,
        today=today,
    )


def test_a_plan_that_replaces_the_database_is_red_and_names_what_forces_it(
    replacing: dict[str, Any], policy: Policy, tmp_path: Path
) -> None:
    (problem,) = judge(replacing, policy, tmp_path).problems
    address, _, rest = problem.partition(" would be replaced because of ")
    assert address == DATABASE
    assert set(rest.partition(":")[0].split(", ")) == {"db_name", "kms_key_id", "storage_encrypted"}


def test_it_is_green_once_agreed_to_and_red_again_when_that_expired(
    replacing: dict[str, Any], policy: Policy, tmp_path: Path
) -> None:
    (tmp_path / "prod.toml").write_text(
        f'[[change]]\naddress = "{DATABASE}"\naction = "replace"\nreason = "the data comes from a snapshot"\n'
        f"expires = {TODAY}\n"
    )
    agreed = judge(replacing, policy, tmp_path)
    assert agreed.problems == []
    (loss,) = agreed.losses
    assert loss.allowed is not None
    assert loss.allowed.reason == "the data comes from a snapshot"
    (problem,) = judge(replacing, policy, tmp_path, today=TODAY + dt.timedelta(days=1)).problems
    assert f"the entry that allowed it expired on {TODAY}" in problem


def test_unencrypted_storage_in_the_plan_fails_the_policy(replacing: dict[str, Any], tmp_path: Path) -> None:
    broken = json.loads(json.dumps(replacing))
    (instance,) = (each for each in broken["planned_values"]["root_module"]["resources"] if each["address"] == DATABASE)
    instance["values"]["storage_encrypted"] = False
    problems = judge(broken, check_policy(broken), tmp_path).problems
    assert any(problem.startswith(f"{DATABASE} fails CKV_AWS_16: ") for problem in problems)
