"""Copies the rows that are older than the triggers, in batches in the order of the primary key."""

import random
import time

import psycopg2
import psycopg2.errors
from psycopg2 import sql

from handlers.batches import BUSY, FEWEST_ROWS, Batches
from handlers.migrator.session import Session
from scannerdb.partition import state as states
from scannerdb.partition.definition import Definition
from scannerdb.partition.errors import BusyTableError
from scannerdb.partition.names import (
    ORIGINAL,
    QUERIES,
    SHADOW,
    STATE,
    Columns,
    Key,
    identifier,
    key_values,
    partition_names,
)
from scannerdb.partition.progress_reporter import ProgressReporter

# A writer waits for a batch for less than a second, even when the server is slow.
LOCK_TIMEOUT_MS = 100
STATEMENT_TIMEOUT_MS = 600

# The copy is analyzed each time that it has grown by this factor, because its size changes the plans of its writers.
FIRST_ANALYZE_ROWS, ANALYZE_GROWTH = 2000, 3

_TOO_SLOW = (*BUSY, psycopg2.errors.QueryCanceled)


class Copier:
    """Continues the copy from the state's last key.

    Args:
        session: in autocommit mode; each batch is a transaction.
        definition: of the original table.

    """

    def __init__(self, session: Session, definition: Definition) -> None:
        self._session, self._cursor = session, session.cursor
        self._columns = Columns.of(definition)
        self._batches = Batches()

    def run(self, state: states.State) -> None:
        """Copy to the end, and enter the next phase.

        Raises:
            BusyTableError: rows stayed locked for longer than `lock_patience_s`.

        """
        self._cursor.execute(QUERIES["size"], {"table": ORIGINAL})
        reporter = ProgressReporter(
            self._session.report, "copying", total=self._cursor.fetchone()[1], done=state.copied_rows
        )
        after, ended, analyze_at = state.last_key, False, FIRST_ANALYZE_ROWS
        while not ended:
            copied, after, ended = self.copy_next(after)
            reporter.tell(copied)
            if copied >= analyze_at:
                self._analyze(state.modulus)
                analyze_at = copied * ANALYZE_GROWTH
        reporter.end()
        states.end_copy(self._cursor)

    def _analyze(self, modulus: int) -> None:
        """Make writers replan: a plan made while the copy was small would scan all of it."""
        for partition in partition_names(modulus):
            self._cursor.execute(sql.SQL("ANALYZE {}").format(identifier(partition)))

    def copy_next(self, after: Key | None) -> tuple[int, Key | None, bool]:
        """Copy the next rows; return how many are copied in all, the last key, and whether it was the last batch."""
        patient_until = time.monotonic() + self._session.limits.lock_patience_s
        while True:
            try:
                return self._batch(after)
            except _TOO_SLOW as error:
                self._cursor.execute("ROLLBACK")
                if time.monotonic() > patient_until:
                    raise BusyTableError(self._complaint(after)) from error
                self._batches.failed()
                time.sleep(random.uniform(0.02, 0.3))  # noqa: S311 - spreads retries, guards nothing

    def _batch(self, after: Key | None) -> tuple[int, Key | None, bool]:
        started = time.monotonic()
        rows = self._batches.rows
        # No timeout for the smallest batch: on a server that needs longer for it, the copy could never end.
        timeout_ms = STATEMENT_TIMEOUT_MS if rows > FEWEST_ROWS else 0
        self._cursor.execute(
            f"BEGIN; SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL statement_timeout = {timeout_ms}"
        )
        query = self._columns.fill(
            "copy_batch",
            behind=self._columns.behind(after),
            source=identifier(ORIGINAL),
            target=identifier(SHADOW),
            state=identifier(STATE),
        )
        self._cursor.execute(query, {**key_values(after), "rows": rows})
        copied, last_key, read = self._cursor.fetchone()
        self._cursor.execute("COMMIT")
        self._batches.took(time.monotonic() - started)
        return copied, last_key, read < rows

    def _complaint(self, after: Key | None) -> str:
        self._cursor.execute(QUERIES["long_transactions"], {"seconds": 1, "before": None})
        holders = ", ".join(holder for (holder,) in self._cursor.fetchall())
        return (
            f"the rows after {' '.join(after) if after else 'the beginning'} stayed locked for "
            f"{self._session.limits.lock_patience_s:.0f} s; open transactions: {holders or 'none'}; wait for them, or "
            "end them, and run the same command again: it continues there"
        )
