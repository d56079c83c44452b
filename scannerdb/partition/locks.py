"""Strong locks that block writers for less than a second: short timeouts with retries, after autovacuum has left."""

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import sql

from handlers.batches import BUSY
from handlers.migrator.ledger import QUERIES as LEDGER
from handlers.migrator.session import Session
from scannerdb.partition.errors import BusyTableError, MigrationInProgressError
from scannerdb.partition.names import QUERIES, identifier

# After deadlock_timeout, 1 s, PostgreSQL looks for a deadlock and may cancel a writer instead of this session. So every
# wait here that may be part of a cycle with a writer is shorter.
_MOST_MS = 900
# How long writers may queue behind a lock request of ours; the work under the locks comes on top.
LOCK_TIMEOUT_MS = 300


@dataclass(frozen=True, kw_only=True)
class Locks:
    """What one short transaction locks.

    Attributes:
        gently: tables locked SHARE UPDATE EXCLUSIVE first, to get vacuum out of the way. It conflicts with no writer,
            so waiting for it is harmless, and PostgreSQL cancels an autovacuum that blocks it after a second.
        views: views to lock before the tables, in the order of their readers; each with its owner. LOCK TABLE would
            lock the tables behind them too; ALTER VIEW ... OWNER TO its owner locks the view alone.
        tables: tables to lock then, each with its mode, in this order; one may come again with a stronger mode.

    """

    gently: Sequence[str] = ()
    views: Sequence[tuple[str, str]] = ()
    tables: Sequence[tuple[str, str]] = ()


def around(referenced: Iterable[str], tables: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the order in which to lock tables together with those that their foreign keys reference.

    A delete on `jobs` locks `jobs`, then `job_objects`; an insert into `job_objects` locks that, then reads `jobs`.
    Either order alone can deadlock with one of them. So: block deletes on `jobs`, which lets readers of it pass; lock
    the tables; then upgrade the lock on `jobs`.
    """
    first = [(table, "SHARE ROW EXCLUSIVE") for table in referenced]
    return [*first, *tables, *((table, "ACCESS EXCLUSIVE") for table, _ in first)]


def with_locks(session: Session, locks: Locks, work: Callable[[], Any], *, what: str) -> None:
    """Run `work` in a transaction that holds the locks; when they cannot be had, roll back and retry.

    Args:
        session: its `limits` give the timeout of a try, and how long to retry.
        locks: what to lock.
        work: statements that take no time.
        what: the step, for messages.

    Raises:
        BusyTableError: no try got the locks within `lock_patience_s`.

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
    """Send statements in one message, because under a lock each round trip costs writers."""
    if message := sql.SQL(";\n").join(statements).as_string(cursor):
        cursor.execute(message)


def _attempt(session: Session, locks: Locks, work: Callable[[], Any]) -> None:
    limits = session.limits
    session.cursor.execute(f"BEGIN; SET LOCAL lock_timeout = '{limits.lock_patience_s * 1000:.0f}ms'")
    for table in locks.gently:
        session.cursor.execute(sql.SQL("LOCK TABLE ONLY {} IN SHARE UPDATE EXCLUSIVE MODE").format(identifier(table)))
    # One budget for all locks: a writer behind the first one waits for the others too.
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
        f"{what}: no lock within {session.limits.lock_patience_s:.0f} s; at the end the tables were locked by "
        f"{', '.join(holders) or 'no other session'}; wait for them, or end them, and run the same command again"
    )


def acquire(session: Session, *, patience_s: float) -> None:
    """Take the migration lock, polling: deploys and partitionings exclude each other.

    Raises:
        MigrationInProgressError: another session still holds it after `patience_s`.

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
