"""Reads the allow list of an environment: what is agreed to until a day, and policy checks that are left out.

The file is `environments/allowed/<environment>.toml`; not in `environments/`, where each file is an environment.
"""

import datetime as dt
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scannerdb.review.terraform_errors import PlanningError
from stacks import ROOT
from stacks.settings.source import SettingsError, read_toml

FOLDER = ROOT / "environments" / "allowed"
# A longer permission for one change would still be valid for the next one.
LONGEST_DAYS = 31


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=10)


class AllowedChange(_Entry):
    """A protected resource that may be replaced, destroyed or left until the end of a day (UTC)."""

    address: str = Field(pattern=r"^[a-z0-9_]+\.\S+$")
    action: Literal["replace", "destroy", "forget"]
    expires: dt.date

    @property
    def title(self) -> str:
        """What the entry is for."""
        return f"{self.address} ({self.action})"

    def matches(self, address: str, action: str) -> bool:
        """Return whether this entry allows that change."""
        return (self.address, self.action) == (address, action)


class AllowedStatement(_Entry):
    """A statement of a migration that may lose data, or block writers, until the end of a day (UTC)."""

    file: str = Field(pattern=r"^\S+\.sql$")
    sql: str = Field(min_length=1)
    expires: dt.date

    @property
    def title(self) -> str:
        """What the entry is for."""
        return f"{self.file}: {_plain(self.sql)}"

    def matches(self, file: str, clause: str) -> bool:
        """Return whether this entry allows that clause of a file; white space and a last semicolon do not matter."""
        return self.file == file and _plain(self.sql) == _plain(clause)


class AllowedPolicy(_Entry):
    """A checkov check that this environment leaves out."""

    check: str = Field(pattern=r"^CKV2?_[A-Z]+_\d+$")


class Allowed(BaseModel):
    """One environment's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    change: tuple[AllowedChange, ...] = ()
    statement: tuple[AllowedStatement, ...] = ()
    policy: tuple[AllowedPolicy, ...] = ()

    @property
    def expiring(self) -> tuple[AllowedChange | AllowedStatement, ...]:
        """The entries that have a last day."""
        return (*self.change, *self.statement)


def load_allowed(environment: str, *, today: dt.date, folder: Path = FOLDER) -> Allowed:
    """Read an environment's file; without a file nothing is allowed.

    Raises:
        PlanningError: the file is invalid; one line for each problem.

    """
    path = folder / f"{environment}.toml"
    if not path.exists():
        return Allowed()
    try:
        allowed = Allowed.model_validate(read_toml(path))
    except SettingsError as broken:
        raise PlanningError(str(broken)) from broken
    except ValidationError as invalid:
        problems = [f"{path}: {_where(error['loc'])}: {error['msg']}" for error in invalid.errors()]
        raise PlanningError("\n".join(problems)) from invalid
    latest = today + dt.timedelta(days=LONGEST_DAYS)
    for entry in allowed.expiring:
        if entry.expires > latest:
            raise PlanningError(
                f"{path}: {entry.title} is allowed until {entry.expires}; at most {LONGEST_DAYS} days ahead, "
                f"which is {latest}"
            )
    return allowed


def _plain(sql: str) -> str:
    return " ".join(sql.split()).rstrip("; ")


def _where(location: tuple[int | str, ...]) -> str:
    return " ".join(f"entry {part + 1}" if isinstance(part, int) else part for part in location)
