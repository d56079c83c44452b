"""Copies the rows that were there before the triggers, in the order of the primary key, a few thousand at a time."""

import random
import time

import psycopg2
import psycopg2.errors
from psycopg2 import sql

from handlers.migrator.session import Session
from scannerdb.partition import state as states
from scannerdb.partition.batches import FEWEST_ROWS, Batches
from scannerdb.partition.definition import Definition
from scannerdb.partition.errors import BusyTableError
from scannerdb.partition.locks import BUSY
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

# A writer may wait for a batch, for less than a second whatever happens.
LOCK_TIMEOUT_MS = 100
STATEMENT_TIMEOUT_MS = 600

# Statistics of the copy, and with them the plans of those who write it, are renewed whenever it has grown by this much.
FIRST_ANALYZE_ROWS, ANALYZE_GROWTH = 2000, 3

_TOO_SLOW = (*BUSY, psycopg2.errors.QueryCanceled)


class Copier:
    """Copies from where the state says on.

    Args:
        session: works in autocommit mode, a transaction for each batch.
        definition: of the original table.

    """

    def __init__(self, session: Session, definition: Definition) -> None:
        self._session, self._cursor = session, session.cursor
        self._columns = Columns.of(definition)
        self._batches = Batches()

    def run(self, state: states.State) -> None:
        """Copy until the end, and note that.

        Raises:
            BusyTableError: some rows stayed locked for longer than the patience.

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
        """Let writers plan anew what they write to the copy: by a plan for a small table they would read all of it."""
        for partition in partition_names(modulus):
            self._cursor.execute(sql.SQL("ANALYZE {}").format(identifier(partition)))

    def copy_next(self, after: Key | None) -> tuple[int, Key | None, bool]:
        """Copy the next rows; return how many are copied over all, the last one, and whether there are no more."""
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
        # The fewest rows take what they take: a server where they need more than the timeout must come to an end too.
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
            f"the rows behind {' '.join(after) if after else 'the beginning'} stayed locked for "
            f"{self._session.limits.lock_patience_s:.0f} s; open transactions: {holders or 'none'}; wait for them, or "
            "end them, and run the same command again: it goes on there"
        )
