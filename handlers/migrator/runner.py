"""Brings a database to a release, and rolls its newest migration back."""

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg2
import psycopg2.errors

from handlers.contract.parameters import ExpectedParameters
from handlers.contract.release import Index, Migration, Release, SqlStatement
from handlers.errors import MigrationFailedError, NoRollbackError
from handlers.migrator import indexes, ledger
from handlers.migrator.advice import INSUFFICIENT_PRIVILEGE, next_step
from handlers.migrator.connecting import RESET
from handlers.migrator.examination import examine_database, refuse
from handlers.migrator.plan import PendingMigration, newest_to_undo, plan
from handlers.migrator.session import Connect, Report, RunLimits, Session

# A statement and its parameters, as the cursor takes them.
Record = tuple[str, dict[str, Any]]
# Another session has the lock; the file is right.
_BUSY = (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run did: the names of the files that it applied, and how many were applied before."""

    release_sha256: str
    applied: tuple[str, ...]
    already_applied: int


def _silent(_message: str, **_fields: Any) -> None:
    pass


def run(
    connect: Connect,
    release: Release,
    *,
    limits: RunLimits | None = None,
    report: Report = _silent,
    expected: ExpectedParameters | None = None,
) -> Result:
    """Bring a database to a release.

    Args:
        connect: opens a direct connection (not through RDS Proxy) in autocommit mode, as the owner of the tables.
        release: what to bring it to.
        limits: those of the run.
        report: called with each step.
        expected: what a deployment expects of the server's parameters.

    Raises:
        DeployInProgressError: another deployer still worked at the deadline.
        StillRunningError: the deadline came while the server runs a statement; the next run continues.
        DriftError: release and ledger contradict each other; nothing was run.
        UnfitDatabaseError: the database has what would break a writer or stop a migration; nothing was run.
        MigrationFailedError: PostgreSQL refused a statement; what is recorded as applied is applied, no more.

    """
    with Session(connect, limits=limits or RunLimits(), report=report) as session, _advised(session, "migrate again"):
        session.acquire_lock()
        pending = plan(release, ledger.read_ledger(session.cursor))
        _examine(session, release, pending, expected)
        _in_transaction(session, release.roles.file, release.roles.statements)
        session.cursor.execute(ledger.QUERIES["create_ledger"])
        for item in pending:
            started = time.monotonic()
            _apply(session, item, release.sha256)
            report(f"applied {item.migration.file} in {time.monotonic() - started:.1f} s")
        for statement in release.restore.statements:
            _in_transaction(session, release.restore.file, (statement,))
    return Result(
        release_sha256=release.sha256,
        applied=tuple(item.migration.file for item in pending),
        already_applied=len(release.migrations) - len(pending),
    )


def rollback(
    connect: Connect,
    release: Release,
    *,
    agreed: str | None = None,
    limits: RunLimits | None = None,
    report: Report = _silent,
) -> str:
    """Take the newest migration back with its `.down.sql`, and return that file's name.

    Args:
        connect: as for `run`.
        release: the one that is deployed; its files must be those that were applied.
        agreed: the only `.down.sql` that may run; `None`: that of the newest migration.
        limits: those of the run.
        report: called with each step.

    Raises:
        NoRollbackError: nothing is applied, or the newest migration has no `.down.sql`, or another one than `agreed`.
        DriftError: release and ledger contradict each other; nothing was run.
        DeployInProgressError, StillRunningError, MigrationFailedError: as for `run`.

    """
    with Session(connect, limits=limits or RunLimits(), report=report) as session, _advised(session, "roll back again"):
        session.acquire_lock()
        newest = newest_to_undo(release, ledger.read_ledger(session.cursor))
        assert newest.down is not None
        if agreed not in {None, newest.down.file}:
            raise NoRollbackError(
                f"{newest.down.file} would run now, not {agreed}, because another deployer was faster; look again"
            )
        forget = (ledger.QUERIES["forget"], {"version": newest.version})
        if newest.down.transactional:
            _in_transaction(session, newest.down.file, newest.down.statements, forget)
        else:
            # Together with the first statement, so that a rollback that fails there has changed nothing.
            reopen = (ledger.QUERIES["reopen"], {"version": newest.version})
            if not newest.down.statements[0].in_transaction:
                session.cursor.execute(*reopen)
            for position in range(len(newest.down.statements)):
                _one(session, newest.down, position, reopen)
            session.cursor.execute(*forget)
        report(f"rolled back {newest.file}")
        return newest.down.file


def _examine(
    session: Session, release: Release, pending: list[PendingMigration], expected: ExpectedParameters | None
) -> None:
    """Report what does not refuse, and raise what does."""
    findings = examine_database(session.cursor, release, pending, expected=expected)
    refuse(findings)
    for finding in findings:
        session.report(f"found {finding}")


def _apply(session: Session, item: PendingMigration, release: str) -> None:
    """Run the remaining statements of a file, and record each as it is done."""
    migration, started_at = item.migration, datetime.now(UTC)

    def record(done: int) -> Record:
        return ledger.record(migration, done, started_at=started_at, release=release)

    rest = migration.statements[item.first_statement :]
    if migration.transactional or not rest:
        # Includes a file that failed outside a transaction and was changed into one that fits a transaction.
        _in_transaction(session, migration.file, rest, record(len(migration.statements)))
        return
    for position in range(item.first_statement, len(migration.statements)):
        _one(session, migration, position, record(position + 1))
        started_at = datetime.now(UTC)


def _one(session: Session, migration: Migration, position: int, record: Record) -> None:
    """Run one statement of a file outside a transaction, and then record it."""
    statement = migration.statements[position]
    count = len(migration.statements)
    session.report(f"{migration.file}: statement {position + 1} of {count}, {statement.title}")
    if statement.in_transaction:
        _in_one_message(session, migration.file, statement, record)
        return
    if statement.kind == "CALL":
        _call(session, migration.file, statement)
        session.cursor.execute(*record)
        return
    try:
        if statement.index:
            _build(session, statement, statement.index)
        else:
            session.execute(statement.sql, what=statement.title, may_outlive=True)
    except (psycopg2.Error, MigrationFailedError) as error:
        raise _failure(session, migration.file, statement, error) from error
    session.cursor.execute(*record)


def _call(session: Session, file: str, statement: SqlStatement) -> None:
    """Call a procedure outside a transaction block, so that it may COMMIT. It gives up on a lock as DDL does."""

    def attempt() -> None:
        session.cursor.execute(f"SET lock_timeout = {session.limits.lock_timeout_ms}")
        try:
            session.execute(statement.sql, what=statement.title, may_outlive=True)
        except psycopg2.Error as error:
            raise _failure(session, file, statement, error) from error
        session.cursor.execute(RESET)

    _with_patience(session, attempt, waits_for=statement.title)


def _build(session: Session, statement: SqlStatement, index: Index) -> None:
    """Build an index, unless an earlier run has built it, or the server has finished the build of that run.

    No lock_timeout: the build waits for old transactions, and blocks no other session while it waits.
    """
    built = indexes.find(session.cursor, index)
    if built is not None and not built.valid:
        session.report(f"dropping {index.name}, which a build that died left INVALID")
        drop = f"DROP INDEX CONCURRENTLY {built.qualified_name}"
        session.execute(drop, what=drop, may_outlive=True)
        built = None
    if built is None:
        session.execute(statement.sql, what=statement.title, may_outlive=True)
        built = indexes.find(session.cursor, index)
    indexes.check(built, index)


def _in_one_message(session: Session, file: str, statement: SqlStatement, record: Record) -> None:
    """Run one statement with its ledger row in one transaction and one message.

    The server runs a message to its end also when the client has disconnected, so this may outlive the deadline.
    """
    recorded = session.cursor.mogrify(*record).decode()
    message = f"BEGIN; {_lock_timeout(session)};\n{statement.sql}\n;{RESET};\n{recorded};\nCOMMIT"

    def attempt() -> None:
        try:
            session.execute(message, what=statement.title, may_outlive=True)
        except psycopg2.Error as error:
            raise _failure(session, file, statement, error) from error

    _with_patience(session, attempt, waits_for=statement.title)


def _in_transaction(
    session: Session, file: str, statements: tuple[SqlStatement, ...], record: Record | None = None
) -> None:
    """Run a whole file in one transaction, with its ledger row."""

    def attempt() -> None:
        session.cursor.execute(f"BEGIN; {_lock_timeout(session)}")
        for statement in statements:
            try:
                session.execute(statement.sql, what=f"{file}: {statement.title}", may_outlive=False)
                # What it set, or a function that it called, ends with it.
                session.cursor.execute(f"{RESET};\n{_lock_timeout(session)}")
            except psycopg2.Error as error:
                raise _failure(session, file, statement, error) from error
        try:
            if record:
                session.cursor.execute(*record)
            session.cursor.execute("COMMIT")
        except psycopg2.Error as error:
            raise _failure(session, file, None, error) from error

    _with_patience(session, attempt, waits_for=file)


def _with_patience(session: Session, attempt: Any, *, waits_for: str) -> None:
    """Retry while another session has the lock. Each try ends after `lock_timeout_ms`, so that writers get through."""
    patient_until = time.monotonic() + session.limits.lock_patience_s
    while True:
        try:
            attempt()
        except MigrationFailedError as error:
            with contextlib.suppress(psycopg2.Error):  # the connection may be what was lost
                session.cursor.execute("ROLLBACK")
            if not isinstance(error.__cause__, _BUSY) or time.monotonic() > patient_until or session.time_is_up():
                raise
            session.report(f"{waits_for}: the table is busy, trying again")
            time.sleep(random.uniform(0.2, 1.5))  # noqa: S311 - spreads retries, guards nothing
        else:
            return


def _lock_timeout(session: Session) -> str:
    return f"SET LOCAL lock_timeout = {session.limits.lock_timeout_ms}"


def _failure(session: Session, file: str, statement: SqlStatement | None, error: Exception) -> MigrationFailedError:
    again, state = (
        ("roll back again", "A migrate before that applies the migration again.")
        if file.endswith(".down.sql")
        else ("migrate again", "What is recorded in schema_migrations stays applied.")
    )
    refused = isinstance(error, psycopg2.Error) and error.pgcode == INSUFFICIENT_PRIVILEGE
    owners = session.owners(statement.relations) if refused and statement else {}
    advice = next_step(error, again=again, user=session.user, owners=owners)
    where, sql = (f"line {statement.line}, {statement.title}", f"{statement.sql}\n") if statement else ("its end", "")
    return MigrationFailedError(f"migrations/{file}, {where}: {str(error).strip()}\n{sql}{f'{advice} {state}'.strip()}")


@contextlib.contextmanager
def _advised(session: Session, again: str) -> Iterator[None]:
    """Add the next step to an error of the runner's own queries."""
    try:
        yield
    except psycopg2.Error as error:
        advice = next_step(error, again=again, user=session.user, owners={})
        raise MigrationFailedError(f"{str(error).strip()}\n{advice}") from error
