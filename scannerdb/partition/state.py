"""The state of a partitioning: one row in the database, changed in the transaction of the work that it describes."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg2.errors

from handlers.queries import load_queries
from scannerdb.partition.names import Key

STATEMENTS = load_queries(Path(__file__).with_name("state.sql"))


class Phase(StrEnum):
    """The last step that was done; entered in the same transaction."""

    SHADOW = "shadow"
    COPYING = "copying"
    COPIED = "copied"
    SWAPPED = "swapped"
    DISCARDING = "discarding"
    FINISHING = "finishing"


# The meaning of each phase, and the option that continues from it.
MEANING = {
    None: ("the table is not partitioned", ""),
    Phase.SHADOW: ("an empty partitioned table was made; no rows are written to it yet", ""),
    Phase.COPYING: ("writers write both tables; older rows are being copied", ""),
    Phase.COPIED: ("both tables hold every row; the copy is to be checked and swapped in", ""),
    Phase.SWAPPED: (
        "partitioned; the original table is kept and written as well, so that --revert loses nothing",
        "--finish",
    ),
    Phase.DISCARDING: ("reverted; the partitioned table is to be dropped", "--revert"),
    Phase.FINISHING: ("partitioned; the original table is to be dropped", "--finish"),
}


@dataclass(frozen=True, kw_only=True)
class State:
    """The row. `definition` is that of the original table; `copied_at` the transaction that ended the copy."""

    phase: Phase
    modulus: int
    definition: dict[str, Any]
    last_key: Key | None
    copied_rows: int
    copied_at: str | None


def read(cursor: Any) -> State | None:
    """Return the state; `None` when no partitioning is under way. Outside a transaction only: an error aborts it."""
    try:
        cursor.execute(STATEMENTS["read"])
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName):
        return None
    phase, modulus, definition, last_key, copied_rows, copied_at = cursor.fetchone()
    return State(
        phase=Phase(phase),
        modulus=modulus,
        definition=definition,
        last_key=last_key,
        copied_rows=copied_rows,
        copied_at=copied_at,
    )


def begin(cursor: Any, *, modulus: int, definition: dict[str, Any]) -> None:
    """Create the schema and the row, in the caller's transaction."""
    cursor.execute(
        STATEMENTS["create"], {"phase": Phase.SHADOW, "modulus": modulus, "definition": json.dumps(definition)}
    )


def enter(cursor: Any, phase: Phase) -> None:
    """Enter a phase, in the caller's transaction."""
    cursor.execute(STATEMENTS["enter"], {"phase": phase})


def end_copy(cursor: Any) -> None:
    """Record that every row is copied, and by which transaction: older snapshots do not see all of them."""
    cursor.execute(STATEMENTS["end_copy"], {"phase": Phase.COPIED})


def keep_definition(cursor: Any, definition: dict[str, Any]) -> None:
    """Record the original table's definition at the swap: grants, comments and triggers may have changed."""
    cursor.execute(STATEMENTS["keep_definition"], {"definition": json.dumps(definition)})
