"""Strong locks that writers hardly notice: asked for briefly, again and again, and with vacuum out of the way."""

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.errors
from psycopg2 import sql

from handlers.migrator.ledger import QUERIES as LEDGER
from handlers.migrator.session import Session
from scannerdb.partition.errors import BusyTableError, MigrationInProgressError
from scannerdb.partition.names import QUERIES, identifier

# Somebody else was faster. Whoever waits longer than a second is looked at by the deadlock detector, which may end a
# writer instead of us: every wait of ours that a writer may be part of is shorter.
BUSY = (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected)
_MOST_MS = 900
# How long a writer may wait behind us, unless somebody says otherwise: what is done under the locks comes on top.
LOCK_TIMEOUT_MS = 300


@dataclass(frozen=True, kw_only=True)
class Locks:
    """What one short transaction locks.

    Attributes:
        gently: tables that vacuum is to leave first. SHARE UPDATE EXCLUSIVE conflicts with no writer, so it may be
            waited for, and PostgreSQL ends an autovacuum that is in its way after a second.
        views: views to lock before the tables, as their readers do; each with its owner. LOCK TABLE would lock the
            tables behind them too; giving a view to its owner locks it alone.
        tables: tables to lock then, each with its mode, in this order; one may come again with a stronger mode.

    """

    gently: Sequence[str] = ()
    views: Sequence[tuple[str, str]] = ()
    tables: Sequence[tuple[str, str]] = ()


def around(referenced: Iterable[str], tables: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the order in which tables are locked together with those that their foreign keys reference.

    Whoever deletes a job holds `jobs` and comes to `job_objects`; whoever inserts an object holds `job_objects` and
    looks into `jobs`. Neither order alone is free of meeting one of them half way, and both would stand still until our
    patience ends. So first no new job is deleted, which lets those who look pass; then the tables; then all.
    """
    first = [(table, "SHARE ROW EXCLUSIVE") for table in referenced]
    return [*first, *tables, *((table, "ACCESS EXCLUSIVE") for table, _ in first)]


def with_locks(session: Session, locks: Locks, work: Callable[[], Any], *, what: str) -> None:
    """Run `work` in a transaction that holds the locks; while they cannot be had, give up and try again.

    Args:
        session: whose `limits` say how long a writer may wait behind us, and for how long to go on trying.
        locks: what to lock.
        work: statements that take no time.
        what: for people.

    Raises:
        BusyTableError: the patience is over.

    """
    patient_until = time.monotonic() + session.limits.lock_patience_s
    while True:
        try:
            _attempt(session, locks, work)
        except BUSY as error:
            session.cursor.execute("ROLLBACK")
            if time.monotonic() > patient_until:
                raise _busy(session, locks, what) from error
            session.report(f"{what}: the table is busy, trying again")
            time.sleep(random.uniform(0.2, 1.5))  # noqa: S311 - spreads retries, guards nothing
        except BaseException:
            with contextlib.suppress(psycopg2.Error):  # the connection may be what was lost
                session.cursor.execute("ROLLBACK")
            raise
        else:
            return


def run_all(cursor: Any, statements: Iterable[sql.Composable]) -> None:
    """Send statements in one message: under a lock, a round trip each would add up."""
    if message := sql.SQL(";\n").join(statements).as_string(cursor):
        cursor.execute(message)


def _attempt(session: Session, locks: Locks, work: Callable[[], Any]) -> None:
    limits = session.limits
    session.cursor.execute(f"BEGIN; SET LOCAL lock_timeout = '{limits.lock_patience_s * 1000:.0f}ms'")
    for table in locks.gently:
        session.cursor.execute(sql.SQL("LOCK TABLE ONLY {} IN SHARE UPDATE EXCLUSIVE MODE").format(identifier(table)))
    # Whoever waits behind the first lock waits for the others too: all of them together have that much time.
    ends_at = time.monotonic() + min(limits.lock_timeout_ms, _MOST_MS) / 1000
    for lock in _strong(locks):
        left_ms = max(int((ends_at - time.monotonic()) * 1000), 1)
        run_all(session.cursor, [sql.SQL(f"SET LOCAL lock_timeout = {left_ms}"), lock])
    work()
    session.cursor.execute("COMMIT")


def _strong(locks: Locks) -> Iterator[sql.Composable]:
    for view, owner in locks.views:
        yield sql.SQL(f"ALTER VIEW {view} OWNER TO {{}}").format(sql.Identifier(owner))
    for table, mode in locks.tables:
        yield sql.SQL(f"LOCK TABLE ONLY {{}} IN {mode} MODE").format(identifier(table))


def _busy(session: Session, locks: Locks, what: str) -> BusyTableError:
    holders: list[str] = []
    for table, _ in locks.tables:
        session.cursor.execute(QUERIES["locked_by"], {"table": table})
        holders += [holder for (holder,) in session.cursor.fetchall() if holder not in holders]
    return BusyTableError(
        f"{what}: no lock within {session.limits.lock_patience_s:.0f} s; at the end the tables were held by "
        f"{', '.join(holders) or 'nobody'}; wait for them, or end them, and run the same command again"
    )


def acquire(session: Session, *, patience_s: float) -> None:
    """Take the lock that migrations take, polling: of deployers and partitionings one works at a time.

    Raises:
        MigrationInProgressError: another session holds it still after `patience_s`.

    """
    patient_until = time.monotonic() + patience_s
    while True:
        session.cursor.execute(LEDGER["try_lock"])
        if session.cursor.fetchone()[0]:
            return
        session.cursor.execute(LEDGER["lock_holder"])
        pid, name, since = session.cursor.fetchone() or (None, None, None)
        holder = (
            f"{name or 'unnamed'} (pid {pid}, since {since:%Y-%m-%d %H:%M:%S} UTC)" if pid and since else "a session"
        )
        if time.monotonic() > patient_until:
            raise MigrationInProgressError(
                f"{holder} migrates or partitions this database; run the same command again when it has ended"
            )
        session.report(f"waiting for {holder}")
        time.sleep(random.uniform(0.3, 0.6))  # noqa: S311 - spreads pollers
