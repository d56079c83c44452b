"""Compares every row of both tables, while writers go on."""

import time

from handlers.batches import Batches
from handlers.migrator.session import Session
from scannerdb.partition.definition import Definition
from scannerdb.partition.errors import CopyDiffersError
from scannerdb.partition.names import MIRROR_TRIGGERS, ORIGINAL, QUERIES, WORKSHOP, Columns, Key, identifier, key_values
from scannerdb.partition.progress_reporter import ProgressReporter


def verify(session: Session, definition: Definition, mirrored: str, *, way_out: str) -> int:
    """Compare both tables in batches in the order of the key, and return the number of rows.

    Each batch reads both tables in one snapshot, in which they must be equal. So no lock is needed, and no snapshot is
    held for long.

    Args:
        session: in autocommit mode.
        definition: of the original table.
        mirrored: the table that the triggers write: the copy before the swap, the original after it.
        way_out: the next step, for the message of the error.

    Raises:
        CopyDiffersError: a row is missing, extra or different; or a mirror trigger is missing or disabled.

    """
    cursor, columns = session.cursor, Columns.of(definition)
    tables = {"source": identifier(ORIGINAL), "target": identifier(mirrored)}
    cursor.execute(QUERIES["size"], {"table": ORIGINAL})
    reporter = ProgressReporter(session.report, "comparing", total=cursor.fetchone()[1])
    after: Key | None = None
    rows, batches = 0, Batches()
    while True:
        started, wanted = time.monotonic(), batches.rows
        query = columns.fill("compare_batch", behind=columns.behind(after), **tables)
        cursor.execute(query, {**key_values(after), "rows": wanted})
        compared: int
        compared, after, differences = cursor.fetchone()
        if differences:
            job, rows_here, rows_there = differences[0]
            raise CopyDiffersError(
                f"{mirrored} differs, first in the objects of {job} ({rows_here or 0} rows, {rows_there or 0} there, "
                f"in a batch of {wanted:,}); {way_out}"
            )
        rows += compared
        reporter.tell(rows)
        if compared < wanted:
            reporter.end()
            # Last, because a message that names the missed rows says more.
            check_mirror(session, mirrored, way_out=way_out)
            return rows
        batches.took(time.monotonic() - started)


def check_mirror(session: Session, mirrored: str, *, way_out: str) -> None:
    """Check that all mirror triggers exist and are ENABLE ALWAYS.

    Raises:
        CopyDiffersError: one is missing or disabled, so writes may have been missed.

    """
    session.cursor.execute(
        QUERIES["mirror_is_off"], {"table": ORIGINAL, "schema": WORKSHOP, "triggers": MIRROR_TRIGGERS}
    )
    if off := [name for (name,) in session.cursor.fetchall()]:
        raise CopyDiffersError(
            f"the triggers {', '.join(off)} of {ORIGINAL} are gone or not ENABLE ALWAYS any more, so that {mirrored} "
            f"may have missed writes; {way_out}"
        )
