"""What a run would do: what it finds first, and the lock and the size of each statement."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from handlers.contract.parameters import ExpectedParameters
from handlers.contract.release import Index, Release, SqlStatement
from handlers.migrator import indexes
from handlers.migrator.connecting import connect_to_supported
from handlers.migrator.examination import ADOPTION, ExaminationFinding, examine_database
from handlers.migrator.ledger import QUERIES, read_ledger
from handlers.migrator.plan import PendingMigration, newest_to_undo, plan
from handlers.migrator.session import Connect, RunLimits

# Bytes of a B-tree entry besides its columns: tuple header and line pointer, on pages of 8 KiB that are 90 % full.
# https://www.postgresql.org/docs/17/btree.html#BTREE-IMPLEMENTATION
_ENTRY_OVERHEAD_BYTES = 12
_FILL_FACTOR = 0.9
_KEPT = "exists, and stays as it is"
_CHECKED = "exists, and is checked"
_INVALID = "a build left it INVALID: one that goes on is waited for, one that died is dropped and made again"


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
        note: what the database adds: an object that exists; how the lock is taken.
        changes: what becomes of the objects of an older deployment, a line each.
        losses: what data it loses, a phrase each.

    """

    file: str
    line: int
    title: str
    lock: str | None
    relations: tuple[str, ...]
    blocks_writers: bool
    estimate_bytes: int | None
    note: str
    changes: tuple[str, ...]
    losses: tuple[str, ...]

    def fields(self) -> dict[str, Any]:
        """Return the step as JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class MigrationPlan:
    """What an examination of the database found, and the steps of a run."""

    findings: tuple[ExaminationFinding, ...]
    steps: tuple[Step, ...]

    def fields(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "findings": [finding.fields() for finding in self.findings],
            "steps": [step.fields() for step in self.steps],
        }


def migration_plan(
    release: Release,
    connect: Connect | None = None,
    *,
    limits: RunLimits | None = None,
    expected: ExpectedParameters | None = None,
) -> MigrationPlan:
    """Return what a run of this release would find and do; all its steps when there is no database to ask.

    Args:
        release: what would be run.
        connect: opens a connection to the database; it is only read.
        limits: those of the run.
        expected: what a deployment expects of the server's parameters.

    Raises:
        DriftError: release and ledger contradict each other.
        ScannerDatabaseError: as `connect_to_supported`.

    """
    timeout_ms = (limits or RunLimits()).lock_timeout_ms
    if connect is None:
        return MigrationPlan(findings=(), steps=steps_without_database(plan(release, [])))
    connection = connect_to_supported(connect)
    try:
        with connection.cursor() as cursor:
            pending = plan(release, read_ledger(cursor))
            findings = examine_database(cursor, release, pending, expected=expected)
            return MigrationPlan(findings=tuple(findings), steps=tuple(_steps(pending, cursor, timeout_ms)))
    finally:
        connection.close()


def rollback_plan(release: Release, connect: Connect, *, limits: RunLimits | None = None) -> tuple[Step, ...]:
    """Return the steps that would take the newest migration back; the database is only read.

    Raises:
        NoRollbackError: nothing is applied, or the newest migration has no `.down.sql`.
        DriftError: release and ledger contradict each other.
        ScannerDatabaseError: as `connect_to_supported`.

    """
    timeout_ms = (limits or RunLimits()).lock_timeout_ms
    connection = connect_to_supported(connect)
    try:
        with connection.cursor() as cursor:
            down = newest_to_undo(release, read_ledger(cursor)).down
            assert down is not None
            return tuple(_step(down.file, statement, cursor, timeout_ms) for statement in down.statements)
    finally:
        connection.close()


def steps_without_database(pending: list[PendingMigration]) -> tuple[Step, ...]:
    """Return the steps of a run as the release alone tells them, under the usual limits."""
    return tuple(_steps(pending, None, RunLimits().lock_timeout_ms))


def _steps(pending: list[PendingMigration], cursor: Any, timeout_ms: int) -> Iterable[Step]:
    for item in pending:
        for statement in item.migration.statements[item.first_statement :]:
            yield _step(item.migration.file, statement, cursor, timeout_ms)


def _step(file: str, statement: SqlStatement, cursor: Any, timeout_ms: int) -> Step:
    relations, note = statement.relations, ""
    if cursor is not None:
        # A relation that the run creates has no writers yet.
        relations, note = tuple(name for name in relations if _exists(cursor, name)), _existing(cursor, statement)
    locks = note not in {_KEPT, _CHECKED} and (bool(relations) or not statement.relations)
    notes = [note] if note else []
    if locks and statement.blocks_writers:
        notes.append(f"tries for {timeout_ms} ms at a time, so that writers get through")
    if note != _CHECKED and not statement.in_transaction:
        notes.append("outside a transaction; the server goes on when the runner's time is up")
    builds = cursor is not None and statement.index is not None and note != _CHECKED
    return Step(
        file=file,
        line=statement.line,
        title=statement.title,
        lock=statement.lock if locks else None,
        relations=relations if locks else (),
        blocks_writers=locks and statement.blocks_writers,
        estimate_bytes=_estimate(cursor, statement.index) if builds and statement.index else None,
        note="; ".join(notes),
        changes=tuple(_adoption(cursor)) if cursor is not None and statement.sql == ADOPTION else (),
        losses=statement.losses,
    )


def _exists(cursor: Any, relation: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (relation,))
    return bool(cursor.fetchone()[0])


def _existing(cursor: Any, statement: SqlStatement) -> str:
    """Return what becomes of the object where it exists before its CREATE; empty where it does not."""
    if statement.index and (built := indexes.find(cursor, statement.index)):
        return _CHECKED if built.valid else _INVALID
    return _KEPT if statement.kind == "CREATE TABLE" and _exists(cursor, statement.name) else ""


def _adoption(cursor: Any) -> Iterable[str]:
    cursor.execute(QUERIES["adopted_views"])
    for name, kind, grants, replaced in cursor.fetchall():
        kept = f", with {grants} grant{'s' * (grants != 1)}" if grants else ""
        yield f"replaces the {kind} {name}{kept}" if replaced else f"builds the {kind} {name} again{kept}"
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
