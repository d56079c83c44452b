"""Indexes that a migration builds: what a killed build left is found, and what is recorded is checked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from handlers.contract.release import Index
from handlers.errors import MigrationFailedError
from handlers.migrator.ledger import QUERIES


@dataclass(frozen=True, kw_only=True)
class BuiltIndex:
    """An index as the catalogue has it. `qualified_name` is quoted, to stand in a statement."""

    qualified_name: str
    valid: bool
    definition: str
    is_wanted: bool


def wanted(indexes: Sequence[Index]) -> dict[str, list[str]]:
    """Return the parameters of the query `index_states`."""
    return {"wanted_indexes": [index.name for index in indexes], "wanted_tables": [index.table for index in indexes]}


def find(cursor: Any, index: Index) -> BuiltIndex | None:
    """Return the index of this name in the schema of its table; `None` when there is none, or no such table."""
    cursor.execute(QUERIES["index_states"], wanted([index]))
    columns = [column.name for column in cursor.description]
    for values in cursor.fetchall():
        row = dict(zip(columns, values, strict=True))
        if row["is_index"]:
            return BuiltIndex(
                qualified_name=row["qualified_name"],
                valid=row["valid"],
                definition=row["definition"],
                is_wanted=is_wanted(row, index),
            )
    return None


def is_wanted(row: Mapping[str, Any], index: Index) -> bool:
    """Return whether a row of `index_states` is the index that a migration means.

    Names are compared as the catalogue has them, not as text of SQL, where they may be quoted. Parts that PostgreSQL
    rewrites, such as an expression, are not compared.
    """
    keys = index.keys is None or (row["method"] == index.method and row["keys"] == [asdict(key) for key in index.keys])
    return bool(keys and row["same_table"] and row["is_unique"] == index.unique)


def description(index: Index) -> str:
    """Return the index that a migration means, for people."""
    return f"{'UNIQUE ' if index.unique else ''}on {index.table} {index.definition or ''}".strip()


def check(built: BuiltIndex | None, index: Index) -> None:
    """Check that the index is there, valid, and the one that the migration means.

    Raises:
        MigrationFailedError: it is not.

    """
    if built is None:
        raise MigrationFailedError(f"the index {index.name} is missing after its build; migrate again to rebuild it")
    if not built.valid:
        raise MigrationFailedError(f"the index {index.name} is INVALID after its build; migrate again to rebuild it")
    if not built.is_wanted:
        raise MigrationFailedError(
            f"an index {index.name} exists and is another one: {built.definition}; wanted is {description(index)}. "
            f"Rename it (ALTER INDEX {built.qualified_name} RENAME TO ...) or drop it "
            f"(DROP INDEX CONCURRENTLY {built.qualified_name}), and migrate again"
        )
