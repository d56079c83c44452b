"""Indexes that a migration builds: what a killed build left is found, and what is recorded is checked."""

from dataclasses import dataclass
from typing import Any

from handlers.contract.release import Index
from handlers.errors import MigrationFailedError
from handlers.migrator.ledger import QUERIES


@dataclass(frozen=True, kw_only=True)
class BuiltIndex:
    """An index as the catalogue has it. `qualified_name` is quoted, to stand in a statement."""

    qualified_name: str
    valid: bool
    unique: bool
    definition: str
    same_table: bool


def find(cursor: Any, index: Index) -> BuiltIndex | None:
    """Return the index of this name in the schema of its table; `None` when there is none, or no such table."""
    cursor.execute("SELECT to_regclass(%s)::oid::text", (index.table,))
    table = cursor.fetchone()[0]
    if table is None:
        return None
    cursor.execute(QUERIES["index_state"], {"index": index.name, "table": table})
    row = cursor.fetchone()
    if row is None:
        return None
    name, valid, unique, definition, same_table = row
    return BuiltIndex(qualified_name=name, valid=valid, unique=unique, definition=definition, same_table=same_table)


def check(built: BuiltIndex | None, index: Index) -> None:
    """Check that the index is there, valid, and the one that the migration means.

    Raises:
        MigrationFailedError: it is not.

    """
    if built is None:
        raise MigrationFailedError(f"the index {index.name} is missing after its build; migrate again to rebuild it")
    if not built.valid:
        raise MigrationFailedError(f"the index {index.name} is INVALID after its build; migrate again to rebuild it")
    same = index.definition is None or built.definition.endswith(f" {index.definition}")
    if not (same and built.same_table and built.unique == index.unique):
        wanted = f"{'UNIQUE ' if index.unique else ''}on {index.table} {index.definition or ''}".strip()
        raise MigrationFailedError(
            f"an index {index.name} exists and is another one: {built.definition}; wanted is {wanted}. Rename it "
            f"(ALTER INDEX {built.qualified_name} RENAME TO ...) or drop it "
            f"(DROP INDEX CONCURRENTLY {built.qualified_name}), and migrate again"
        )
