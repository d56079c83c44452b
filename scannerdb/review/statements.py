"""Finds statements of a release that lose data, or that block a large table's writers for as long as they run."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from handlers.contract.release import SqlStatement
from handlers.diagnosis.text import size
from scannerdb.review.allowed import Allowed, AllowedStatement

# A smaller table is read, and its index sorted, within about a tenth of a second.
LARGE_BYTES = 16 * 1024**2
_BUILDS = ("CREATE INDEX", "CREATE UNIQUE INDEX", "REINDEX")


@dataclass(frozen=True, kw_only=True)
class RunStatement:
    """A statement that the deployment would run, and its file."""

    file: str
    statement: SqlStatement

    @property
    def place(self) -> str:
        """The file and the line."""
        return f"migrations/{self.file}, line {self.statement.line}"


@dataclass(frozen=True, kw_only=True)
class Risk:
    """A statement that must be agreed to.

    Attributes:
        harms: what it does, a phrase each.
        allowed: the entry of the allow list that agrees to it.
        expired: whether that entry has expired.

    """

    run: RunStatement
    harms: tuple[str, ...]
    allowed: AllowedStatement | None
    expired: bool

    @property
    def agreed(self) -> bool:
        """Whether the deployment may go on."""
        return self.allowed is not None and not self.expired


def find_risks(
    runs: Iterable[RunStatement], table_bytes: Mapping[str, int] | None, allowed: Allowed, *, today: dt.date
) -> list[Risk]:
    """Return the statements that must be agreed to, each with its entry of the allow list.

    Args:
        runs: what the deployment would run.
        table_bytes: the size of each table and index that exists; `None` where that is not known.
        allowed: the allow list.
        today: the current day in UTC.

    """
    runs = tuple(runs)
    made = {run.statement.name for run in runs if run.statement.kind.startswith("CREATE TABLE")}
    # A valid entry wins over an expired one that was not removed.
    entries = sorted(allowed.statement, key=lambda entry: entry.expires, reverse=True)
    found: list[Risk] = []
    for run in runs:
        if harms := tuple(_harms(run.statement, table_bytes, made)):
            entry = next((entry for entry in entries if entry.matches(run.file, run.statement.clause)), None)
            expired = entry is not None and entry.expires < today
            found.append(Risk(run=run, harms=harms, allowed=entry, expired=expired))
    return found


def _harms(statement: SqlStatement, table_bytes: Mapping[str, int] | None, made: set[str]) -> Iterator[str]:
    for loss in statement.losses:
        yield f"loses {loss}"
    if statement.blocks_writers and statement.every_row:
        how_long = "while it reads or writes each row"
        if statement.kind in _BUILDS:
            how_long = "for the whole build; CONCURRENTLY lets them go on"
        if not statement.relations:
            yield f"writers of each table that it checks are blocked {how_long}"
        for relation in statement.relations:
            if (large := _large(relation, table_bytes, made)) is not None:
                yield f"writers of {relation} ({large}) are blocked {how_long}"


def _large(relation: str, table_bytes: Mapping[str, int] | None, made: set[str]) -> str | None:
    """Return the size of a relation that is large, or may be; `None` for one that is small or new."""
    if table_bytes is None:
        return None if relation in made else "of a size that is not known"
    found = table_bytes.get(relation.removeprefix("public."), 0)
    return size(found) if found >= LARGE_BYTES else None
