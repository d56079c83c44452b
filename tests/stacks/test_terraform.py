"""Terraform itself accepts what is synthesised."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from scannerdb import terraform
from tests.support.planned import planned_once

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.synthesis import Synthesised

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_provider_s_schema_accepts_each_environment(
    provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory, environment: str
) -> None:
    # Terraform validates before it plans.
    assert planned_once(tmp_path_factory, environment).json["resource_changes"]


def test_the_provider_s_schema_accepts_what_is_deployed_to_an_emulator(
    stacks: dict[str, Synthesised], terraform_environment: dict[str, str], tmp_path: Path
) -> None:
    validate(stacks["local"].json, tmp_path, terraform_environment)


def test_a_wrong_argument_is_refused(
    stacks: dict[str, Synthesised], terraform_environment: dict[str, str], tmp_path: Path
) -> None:
    wrong = copy.deepcopy(stacks["local"].json)
    wrong["resource"]["aws_vpc"]["network_vpc"]["no_such_argument"] = True
    with pytest.raises(terraform.TerraformError, match="no_such_argument"):
        validate(wrong, tmp_path, terraform_environment)


def validate(stack: dict[str, Any], folder: Path, environment: dict[str, str]) -> None:
    (folder / "cdk.tf.json").write_text(json.dumps(stack))
    terraform.init(folder, environment, backend=False)
    terraform.validate(folder, environment)
