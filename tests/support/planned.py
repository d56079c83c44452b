"""The first deployment of an environment, planned by Terraform once in a run."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from scannerdb.review.planning import Planned, plan_environment
from stacks import ROOT
from stacks.settings import load_settings
from tests.support.processes import made_once

if TYPE_CHECKING:
    import pytest

PLANNED = "planned.json"


def clean_environment() -> dict[str, str]:
    """Return this process's variables, without those that change settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SCANNER_", "CDKTF_"))}


def planned_once(factory: pytest.TempPathFactory, environment: str) -> Planned:
    """Return what `scannerdb review --emulator` would plan."""
    folder = made_once(factory, f"planned-{environment}", lambda folder: _plan(environment, folder))
    told = json.loads((folder / PLANNED).read_text())
    return Planned(**told | {"plan_file": Path(told["plan_file"])})


def _plan(environment: str, folder: Path) -> None:
    settings = load_settings(ROOT / "environments" / f"{environment}.toml", {})
    planned = plan_environment(settings, emulator=True, directory=folder, environ=clean_environment())
    (folder / PLANNED).write_text(json.dumps(asdict(planned), default=str))
