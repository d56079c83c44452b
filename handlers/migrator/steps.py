"""The statements that a run would execute: the lock of each, whether writers wait, and the size of an index."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from handlers.contract.release import Index, Release, SqlStatement
from handlers.migrator import indexes
from handlers.migrator.connecting import connect_to_supported
from handlers.migrator.ledger import QUERIES, read_ledger
from handlers.migrator.plan import PendingMigration, plan
from handlers.migrator.session import Connect, RunLimits

# Bytes of a B-tree entry besides its columns: tuple header and line pointer, on pages of 8 KiB that are 90 % full.
# https://www.postgresql.org/docs/17/btree.html#BTREE-IMPLEMENTATION
_ENTRY_OVERHEAD_BYTES = 12
_FILL_FACTOR = 0.9
# The statement of 002 that replaces an older deployment's views.
_ADOPTION = "SELECT adopt_older_views()"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One statement that would run.

    Attributes:
        file: the migration.
        line: where the statement begins in it.
        title: its kind and what it is about.
        lock: the strongest lock on an existing relation, as PostgreSQL names it; `None` for none known.
        relations: what is locked.
        blocks_writers: whether writers of these wait while it runs.
        estimate_bytes: the size of the index that it builds, from the table's statistics; `None` where it is unknown.
        note: what the database adds: an index that exists, views that are built again, how the lock is taken.

    """

    file: str
    line: int
    title: str
    lock: str | None
    relations: tuple[str, ...]
    blocks_writers: bool
    estimate_bytes: int | None
    note: str

    def fields(self) -> dict[str, Any]:
        """Return the step as JSON values."""
        return asdict(self)


def migration_steps(release: Release, connect: Connect | None = None, *, limits: RunLimits | None = None) -> list[Step]:
    """Return the steps that a run of this release would take; all of them when there is no database to ask.

    Args:
        release: what would be run.
        connect: opens a connection to the database; it is only read.
        limits: those of the run.

    Raises:
        DriftError: release and ledger contradict each other.
        ScannerDatabaseError: as `connect_to_supported`.

    """
    timeout_ms = (limits or RunLimits()).lock_timeout_ms
    if connect is None:
        return list(_steps(plan(release, []), None, timeout_ms))
    connection = connect_to_supported(connect)
    try:
        with connection.cursor() as cursor:
            return list(_steps(plan(release, read_ledger(cursor)), cursor, timeout_ms))
    finally:
        connection.close()


def _steps(pending: list[PendingMigration], cursor: Any, timeout_ms: int) -> Iterable[Step]:
    for item in pending:
        for statement in item.migration.statements[item.first_statement :]:
            notes = [] if cursor is None else list(_notes(cursor, statement))
            if statement.blocks_writers:
                notes.append(f"tries for {timeout_ms} ms at a time, so that writers get through")
            if not statement.in_transaction:
                notes.append("outside a transaction; the server goes on when the runner's time is up")
            yield Step(
                file=item.migration.file,
                line=statement.line,
                title=statement.title,
                lock=statement.lock,
                relations=statement.relations,
                blocks_writers=statement.blocks_writers,
                estimate_bytes=None if cursor is None or not statement.index else _estimate(cursor, statement.index),
                note="; ".join(notes),
            )


def _notes(cursor: Any, statement: SqlStatement) -> Iterable[str]:
    if statement.index and (built := indexes.find(cursor, statement.index)):
        yield "exists and is checked" if built.valid else "a build that died left it INVALID; it is dropped and rebuilt"
    if statement.sql == _ADOPTION:
        cursor.execute(QUERIES["adopted_views"])
        for name, kind, grants in cursor.fetchall():
            yield f"builds the {kind} {name} again, with {grants} grants"
        cursor.execute(QUERIES["adoption_changes"])
        for (change,) in cursor.fetchall():
            yield change


def _estimate(cursor: Any, index: Index) -> int | None:
    """Return the bytes of a B-tree over the table's rows as the last ANALYZE counted them."""
    cursor.execute(QUERIES["relation_size"], {"relation": index.table, "columns": list(index.columns)})
    row = cursor.fetchone()
    if row is None or row[1] is None:
        return None
    rows, width = int(row[0]), int(row[1])
    return round(rows * (width + _ENTRY_OVERHEAD_BYTES) / _FILL_FACTOR)
