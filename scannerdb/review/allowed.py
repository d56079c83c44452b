"""What somebody agreed to: a loss for some days, a policy that an environment leaves out.

It is written in `environments/allowed/<environment>.toml`, a folder of its own because each `environments/*.toml` is an
environment.
"""

import datetime as dt
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scannerdb.review.terraform_errors import PlanningError
from stacks import ROOT

FOLDER = ROOT / "environments" / "allowed"
# Longer, and a permission for one change is there for the next one too.
LONGEST_DAYS = 31


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=10)


class AllowedChange(_Entry):
    """A protected resource that may be replaced or destroyed until the end of a day (UTC)."""

    address: str = Field(pattern=r"^[a-z0-9_]+\.\S+$")
    action: Literal["replace", "destroy"]
    expires: dt.date

    def matches(self, address: str, action: str) -> bool:
        """Return whether this is about that change."""
        return (self.address, self.action) == (address, action)


class AllowedPolicy(_Entry):
    """A check of checkov that this environment leaves out, for a reason that its settings give."""

    check: str = Field(pattern=r"^CKV2?_[A-Z]+_\d+$")


class Allowed(BaseModel):
    """One environment's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    change: tuple[AllowedChange, ...] = ()
    policy: tuple[AllowedPolicy, ...] = ()


def load_allowed(environment: str, *, today: dt.date, folder: Path = FOLDER) -> Allowed:
    """Read an environment's file; without one, nothing is allowed.

    Raises:
        PlanningError: the file is wrong; one line for each problem.

    """
    path = folder / f"{environment}.toml"
    if not path.exists():
        return Allowed()
    try:
        allowed = Allowed.model_validate(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as broken:
        raise PlanningError(f"{path} is not TOML: {broken}") from broken
    except ValidationError as invalid:
        problems = [f"{path}: {_where(error['loc'])}: {error['msg']}" for error in invalid.errors()]
        raise PlanningError("\n".join(problems)) from invalid
    latest = today + dt.timedelta(days=LONGEST_DAYS)
    for entry in allowed.change:
        if entry.expires > latest:
            raise PlanningError(
                f"{path}: {entry.address} is allowed until {entry.expires}; at most {LONGEST_DAYS} days ahead, "
                f"which is {latest}"
            )
    return allowed


def _where(location: tuple[int | str, ...]) -> str:
    return " ".join(f"entry {part + 1}" if isinstance(part, int) else part for part in location)
