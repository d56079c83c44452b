"""The ledger `schema_migrations`, and the lock that lets one deployer work at a time."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handlers.errors import DeployInProgressError
from handlers.migrator.plan import LedgerEntry
from handlers.migrator.release import Migration, Statement
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("ledger.sql"))
POLL_INTERVAL_S = 1.0


def acquire_lock(cursor: Any, *, timeout_s: float, report: Callable[[str], None]) -> None:
    """Take the migration lock for this session, polling, with no transaction open while it waits.

    Args:
        cursor: of a connection in autocommit mode.
        timeout_s: how long to wait for another deployer.
        report: is told who holds the lock, whenever that changes.

    Raises:
        DeployInProgressError: another deployer holds the lock still.

    """
    deadline = time.monotonic() + timeout_s
    reported = ""
    while True:
        cursor.execute(QUERIES["try_lock"])
        if cursor.fetchone()[0]:
            return
        cursor.execute(QUERIES["lock_holder"])
        row = cursor.fetchone()
        holder = (
            f"{row[1]} (pid {row[0]}, since {row[2]:%Y-%m-%d %H:%M:%S} UTC)" if row else "a session that just ended"
        )
        if time.monotonic() >= deadline:
            raise DeployInProgressError(
                f"another deployer works on this database: {holder}; deploy again when it is done"
            )
        if holder != reported:
            report(f"waiting for {holder}")
            reported = holder
        time.sleep(POLL_INTERVAL_S * random.uniform(0.5, 1.0))  # noqa: S311 - spreads pollers, guards nothing


def read_ledger(cursor: Any) -> list[LedgerEntry]:
    """Return the ledger's rows in the order of their versions; none when there is no ledger yet."""
    cursor.execute(QUERIES["ledger_exists"])
    if not cursor.fetchone()[0]:
        return []
    cursor.execute(QUERIES["read_ledger"])
    return [
        LedgerEntry(
            version=version, name=name, checksum=checksum, applied_statements=tuple(statements), applied_at=applied_at
        )
        for version, name, checksum, statements, applied_at in cursor.fetchall()
    ]


def record(
    cursor: Any, migration: Migration, statements: tuple[Statement, ...], *, duration_ms: int, release: str
) -> None:
    """Record that the first `statements` of a file are done, in the caller's transaction.

    Args:
        cursor: where the statements ran.
        migration: the file.
        statements: those of its statements that are done, from the first on.
        duration_ms: what the statements since the last record took.
        release: the hash of the release.

    """
    cursor.execute(
        QUERIES["record_statements"],
        {
            "version": migration.version,
            "name": migration.name,
            "checksum": migration.checksum,
            "applied_statements": [statement.checksum for statement in statements],
            "done": len(statements) == len(migration.statements),
            "duration_ms": duration_ms,
            "release": release,
        },
    )
