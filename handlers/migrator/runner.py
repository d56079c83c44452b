"""Runs what is pending: a file in one transaction with its ledger row, or statement by statement where it must."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.errors

from handlers.errors import MigrationFailedError
from handlers.migrator import ledger
from handlers.migrator.plan import PendingMigration, plan
from handlers.migrator.release import Migration, Release, Statement

# A statement that waits for a strong lock makes every later writer wait behind it, so it gives up soon and tries again.
LOCK_TIMEOUT_MS = 500
LOCK_ATTEMPTS = 60
# A build CONCURRENTLY waits for old snapshots and blocks nobody meanwhile; a timeout would only leave it INVALID.
NO_TIMEOUT_MS = 0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run did: the names of the files that it applied, and how many were applied before."""

    release_sha256: str
    applied: tuple[str, ...]
    already_applied: int


def run(
    connection: "psycopg2.extensions.connection",
    release: Release,
    *,
    lock_timeout_s: float = 600,
    report: Callable[[str], None] = lambda _message: None,
) -> Result:
    """Bring a database to a release.

    Args:
        connection: a direct one (not through RDS Proxy), in autocommit mode, as the owner of the tables.
        release: what to bring it to.
        lock_timeout_s: how long to wait for another deployer.
        report: is told each step, for people.

    Raises:
        DeployInProgressError: another deployer worked for longer than `lock_timeout_s`.
        DriftError: release and ledger tell different histories; nothing was run.
        MigrationFailedError: PostgreSQL refused a statement; what is recorded as applied is applied, no more.

    """
    with connection.cursor() as cursor:
        ledger.acquire_lock(cursor, timeout_s=lock_timeout_s, report=report)
        pending = plan(release, ledger.read_ledger(cursor))
        _transaction(connection, "roles.sql", release.roles)
        cursor.execute(ledger.QUERIES["create_ledger"])
        for item in pending:
            started = time.monotonic()
            if item.migration.transactional:
                _run_in_transaction(connection, item.migration, release.sha256)
            else:
                _run_by_statement(connection, item, release.sha256, report)
            report(f"applied {item.migration.file} in {time.monotonic() - started:.1f} s")
    return Result(
        release_sha256=release.sha256,
        applied=tuple(item.migration.file for item in pending),
        already_applied=len(release.migrations) - len(pending),
    )


def _run_in_transaction(connection: Any, migration: Migration, release: str) -> None:
    def finish(cursor: Any, duration_ms: int) -> None:
        ledger.record(cursor, migration, migration.statements, duration_ms=duration_ms, release=release)

    _transaction(connection, migration.file, migration.statements, finish=finish)


def _run_by_statement(connection: Any, item: PendingMigration, release: str, report: Callable[[str], None]) -> None:
    migration = item.migration
    for position in range(item.first_statement, len(migration.statements)):
        statement = migration.statements[position]
        done = migration.statements[: position + 1]

        def finish(cursor: Any, duration_ms: int, done: tuple[Statement, ...] = done) -> None:
            ledger.record(cursor, migration, done, duration_ms=duration_ms, release=release)

        report(f"{migration.file}: statement {position + 1} of {len(migration.statements)}, {statement.kind}")
        if statement.in_transaction:
            _transaction(connection, migration.file, (statement,), finish=finish)
        else:
            _outside_transaction(connection, migration.file, statement, finish)


def _transaction(
    connection: Any,
    file: str,
    statements: tuple[Statement, ...],
    *,
    finish: Callable[[Any, int], None] = lambda _cursor, _duration_ms: None,
) -> None:
    """Run statements in one transaction, again from its start while a lock cannot be had."""
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        started = time.monotonic()
        statement = None
        try:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                for statement in statements:
                    cursor.execute(statement.sql)
                finish(cursor, round((time.monotonic() - started) * 1000))
                cursor.execute("COMMIT")
        except psycopg2.Error as error:
            _roll_back(connection)
            locked = isinstance(error, psycopg2.errors.LockNotAvailable)
            if not locked or attempt == LOCK_ATTEMPTS:
                raise _failure(file, statement, error) from error
            time.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - spreads retries, guards nothing
        else:
            return


def _outside_transaction(connection: Any, file: str, statement: Statement, finish: Callable[[Any, int], None]) -> None:
    started = time.monotonic()
    with connection.cursor() as cursor:
        try:
            cursor.execute(f"SET lock_timeout = {NO_TIMEOUT_MS}")
            if statement.index_name is not None:
                _drop_invalid_index(cursor, statement.index_name)
            cursor.execute(statement.sql)
            if statement.index_name is not None:
                _check_index(cursor, file, statement)
            finish(cursor, round((time.monotonic() - started) * 1000))
        except psycopg2.Error as error:
            raise _failure(file, statement, error) from error


def _drop_invalid_index(cursor: Any, name: str) -> None:
    """Remove what a killed build left, because `IF NOT EXISTS` would take it for an index."""
    cursor.execute(ledger.QUERIES["index_state"], {"index": name})
    if (row := cursor.fetchone()) and not row[0]:
        cursor.execute(f'DROP INDEX CONCURRENTLY "{name}"')


def _check_index(cursor: Any, file: str, statement: Statement) -> None:
    cursor.execute(ledger.QUERIES["index_state"], {"index": statement.index_name})
    row = cursor.fetchone()
    if not row or not row[0]:
        state = "INVALID" if row else "missing"
        raise MigrationFailedError(
            f"migrations/{file}, line {statement.line}: the index {statement.index_name} is {state} after its build; "
            "deploy again, which drops and rebuilds it"
        )


def _roll_back(connection: Any) -> None:
    if not connection.closed:
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK")


def _failure(file: str, statement: Statement | None, error: psycopg2.Error) -> MigrationFailedError:
    message = str(error).strip()
    if statement is None:
        return MigrationFailedError(f"migrations/{file}: {message}")
    return MigrationFailedError(
        f"migrations/{file}, line {statement.line}, {statement.kind}: {message}\n{statement.sql}\n"
        "Mend the file and deploy again; what is recorded in schema_migrations stays applied."
    )
