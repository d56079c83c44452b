"""Compares both tables, every row of them, while writers write."""

import time

from handlers.migrator.session import Session
from ops.partition.batches import Batches
from ops.partition.definition import Definition
from ops.partition.errors import CopyDiffersError
from ops.partition.names import ORIGINAL, QUERIES, SHADOW, WORKSHOP, Columns, Key, identifier, key_values
from ops.partition.pace import Pace

_NAMED = 10


def verify(session: Session, definition: Definition) -> int:
    """Compare the original and the copy, batch by batch in the order of the key, and return how many rows there were.

    The next rows of both tables are compared in one snapshot, in which they have to be the same. So no lock is needed,
    and no snapshot is held for long.

    Raises:
        CopyDiffersError: a row is missing, or one too many, or another; or a trigger of ours was switched off.

    """
    cursor, columns = session.cursor, Columns.of(definition)
    tables = {"source": identifier(ORIGINAL), "target": identifier(SHADOW)}
    cursor.execute(QUERIES["size"], {"table": ORIGINAL})
    pace = Pace(session.report, "comparing", total=cursor.fetchone()[1])
    after: Key | None = None
    rows, batches = 0, Batches()
    while True:
        started, wanted = time.monotonic(), batches.rows
        query = columns.fill("compare_batch", behind=columns.behind(after), **tables)
        cursor.execute(query, {**key_values(after), "rows": wanted})
        compared: int
        compared, after, differences = cursor.fetchone()
        if differences:
            raise CopyDiffersError(_complaint(differences))
        check_mirror(session)
        rows += compared
        pace.tell(rows)
        if compared < wanted:
            pace.end()
            return rows
        batches.took(time.monotonic() - started)


def check_mirror(session: Session) -> None:
    """Check that nobody switched the triggers off.

    Raises:
        CopyDiffersError: somebody did.

    """
    session.cursor.execute(QUERIES["mirror_is_off"], {"table": ORIGINAL, "schema": WORKSHOP})
    if off := [name for (name,) in session.cursor.fetchall()]:
        raise CopyDiffersError(
            f"the triggers {', '.join(off)} of {ORIGINAL} were switched off, so that the copy has missed writes; "
            "take it back with --revert, and begin again"
        )


def _complaint(differences: list[tuple[str, int | None, int | None]]) -> str:
    jobs = ", ".join(f"{job} ({rows or 0} rows, {copied or 0} copied)" for job, rows, copied in differences[:_NAMED])
    more = f" and {len(differences) - _NAMED} more" if len(differences) > _NAMED else ""
    return f"the copy differs in the objects of {jobs}{more}; take it back with --revert, and begin again"
