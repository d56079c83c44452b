"""Runs checkov on a plan with `.checkov.yaml`, and notices when it has checked next to nothing.

It gets Terraform's plan: in the synthesised `cdk.tf.json` checkov finds nothing to check and reports success.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scannerdb.project import project_python
from scannerdb.review.terraform_errors import PlanningError
from stacks import ROOT

CONFIGURATION = ROOT / ".checkov.yaml"
# Each environment passes more than two checks a resource; far fewer mean that checkov did not understand the plan.
FEWEST_PASSED_PER_RESOURCE = 1.5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A check that a resource fails."""

    check: str
    resource: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The result of checkov: the number of passed checks and of resources, and the failed checks."""

    passed: int
    resources: int
    failed: tuple[Finding, ...]

    @property
    def is_blind(self) -> bool:
        """Whether so few checks ran that their result means nothing."""
        return self.passed + len(self.failed) < self.resources * FEWEST_PASSED_PER_RESOURCE


def check_policy(plan: Mapping[str, Any], options: Iterable[str] = ("--config-file", str(CONFIGURATION))) -> Policy:
    """Run checkov on a plan's JSON.

    Raises:
        PlanningError: checkov itself failed.

    """
    # A temporary folder is private to this user: the plan may contain secrets in clear text.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        file.write_text(json.dumps(plan))
        command = [str(project_python().with_name("checkov")), *options, "--file", str(file), "--output", "json"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    try:
        told = json.loads(done.stdout)
    except ValueError as error:
        raise PlanningError(f"checkov failed with code {done.returncode}:\n{done.stderr.strip()[-2000:]}") from error
    # When it finds nothing to check, it prints the summary only.
    summary, results = told.get("summary", told), told.get("results", {})
    return Policy(
        passed=summary["passed"],
        resources=_resources(plan["planned_values"].get("root_module", {})),
        failed=tuple(
            Finding(check=item["check_id"], resource=item["resource"], title=item["check_name"])
            for item in results.get("failed_checks", [])
        ),
    )


def _resources(module: Mapping[str, Any]) -> int:
    managed = [resource for resource in module.get("resources", []) if resource["mode"] == "managed"]
    return len(managed) + sum(_resources(child) for child in module.get("child_modules", []))
