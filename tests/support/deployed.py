"""A deployment as `scannerdb` finds it: a Terraform state whose addresses lead to the embedded PostgreSQL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import TestDatabase

BASTION = "i-0123456789abcdef0"
PREFIX = "scanner-database-local"


@dataclass(frozen=True)
class Deployed:
    """Where the state of the environment `local` lies, and what it says."""

    state: Path
    database: TestDatabase

    def say(self, **outputs: str) -> None:
        """Write the outputs into the state, as Terraform does."""
        told = {name: {"value": value, "type": "string"} for name, value in outputs.items()}
        self.state.write_text(json.dumps({"version": 4, "outputs": told}))
