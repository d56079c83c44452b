"""Terraform itself accepts what is synthesised."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

import pytest

from scannerdb import terraform
from tests.support.synthesis import ENVIRONMENTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.synthesis import Synthesised

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_provider_s_schema_accepts_every_environment(
    plannable_stacks: dict[str, Synthesised], terraform_environment: dict[str, str], environment: str
) -> None:
    folder = plannable_stacks[environment].folder
    terraform.init(folder, terraform_environment, backend=False)
    terraform.validate(folder, terraform_environment)


def test_a_wrong_argument_is_refused(
    plannable_stacks: dict[str, Synthesised], terraform_environment: dict[str, str], tmp_path: Path
) -> None:
    wrong = copy.deepcopy(plannable_stacks["dev"].json)
    wrong["resource"]["aws_vpc"]["network_vpc"]["no_such_argument"] = True
    (tmp_path / "cdk.tf.json").write_text(json.dumps(wrong))
    terraform.init(tmp_path, terraform_environment, backend=False)
    with pytest.raises(terraform.TerraformError, match="no_such_argument"):
        terraform.validate(tmp_path, terraform_environment)
