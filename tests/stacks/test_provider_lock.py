"""The committed lock decides which AWS provider a deployment gets, and is in no emulator's way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stacks import ROOT
from stacks.provider_lock import LOCK, lock_provider
from stacks.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.synthesis import Synthesised


def test_each_deployment_to_aws_gets_the_lock_and_an_emulator_takes_what_the_machine_has(
    stacks: dict[str, Synthesised],
) -> None:
    for environment in ("dev", "prod"):
        assert (stacks[environment].folder / LOCK.name).read_text() == LOCK.read_text()
    assert not (stacks["local"].folder / LOCK.name).exists()


def test_the_lock_was_made_for_the_versions_that_the_settings_allow() -> None:
    wanted = load_settings(ROOT / "environments" / "prod.toml", {}).aws.provider_version
    lock = LOCK.read_text()
    assert f'constraints = "{wanted}"' in lock
    locked = re.search(r'version += "(\d+)\.(\d+)\.\d+"', lock)
    assert locked is not None
    assert (int(locked[1]), int(locked[2])) >= tuple(int(part) for part in wanted.removeprefix("~> ").split("."))
    # One for each platform's zip; Terraform compares them with those that the registry signs.
    assert len(re.findall(r'"zh:[0-9a-f]{64}"', lock)) >= 15


def test_a_lock_that_is_left_from_a_plan_of_aws_does_not_stop_a_plan_against_an_emulator(tmp_path: Path) -> None:
    lock_provider(tmp_path, "~> 6.40")
    assert (tmp_path / LOCK.name).exists()
    lock_provider(tmp_path, ">= 5.100.0, < 7")
    assert not (tmp_path / LOCK.name).exists()


def test_settings_with_other_versions_keep_the_lock_that_terraform_made_for_them(tmp_path: Path) -> None:
    made = 'provider "registry.terraform.io/hashicorp/aws" {\n  version     = "6.70.0"\n  constraints = "~> 6.70"\n}\n'
    (tmp_path / LOCK.name).write_text(made)
    lock_provider(tmp_path, "~> 6.70")
    assert (tmp_path / LOCK.name).read_text() == made
