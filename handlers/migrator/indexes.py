"""Indexes that a migration builds: what a killed build left goes first, and what is recorded is checked."""

from typing import Any

from handlers.errors import MigrationFailedError
from handlers.migrator.ledger import QUERIES
from handlers.migrator.release import Index


def is_left_invalid(cursor: Any, index: Index) -> bool:
    """Whether a build of this name died and left an INVALID index, which `IF NOT EXISTS` would take for an index."""
    state = _state(cursor, index)
    return state is not None and not state[0]


def check(cursor: Any, index: Index) -> None:
    """Check that the index is there, valid, and the one that the migration means.

    Raises:
        MigrationFailedError: it is not.

    """
    state = _state(cursor, index)
    if state is None:
        raise MigrationFailedError(f"the index {index.name} is missing after its build; deploy again to rebuild it")
    valid, unique, definition, same_table = state
    if not valid:
        raise MigrationFailedError(f"the index {index.name} is INVALID after its build; deploy again to rebuild it")
    same = index.definition is None or definition.endswith(f" {index.definition}")
    if not (same and same_table and unique == index.unique):
        wanted = f"{'UNIQUE ' if index.unique else ''}on {index.table} {index.definition or ''}".strip()
        raise MigrationFailedError(
            f"an index {index.name} exists and is another one: {definition}; wanted is {wanted}. Rename it "
            f"(ALTER INDEX {index.name} RENAME TO ...) or drop it (DROP INDEX CONCURRENTLY {index.name}), "
            "and deploy again"
        )


def _state(cursor: Any, index: Index) -> tuple[bool, bool, str, bool] | None:
    schema, _, _ = index.table.rpartition(".")
    name = f"{schema}.{index.name}" if schema else index.name
    cursor.execute(QUERIES["index_state"], {"index": name, "table": index.table})
    row: tuple[bool, bool, str, bool] | None = cursor.fetchone()
    return row
