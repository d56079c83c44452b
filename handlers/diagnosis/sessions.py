"""Checks of the sessions: connections, lock waits, transactions that stay open."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg2

from handlers.contract import postgres_versions
from handlers.diagnosis.model import Context, Finding, critical, ok, warning
from handlers.diagnosis.text import duration, plural, session, statement
from handlers.diagnosis.watchdog import ConnectionWatchdog
from handlers.errors import DatabaseUnavailableError
from handlers.migrator.session import Connect
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("sessions.sql"))
# More would hide the first.
MAX_LISTED = 3
# RDS Proxy itself waits two minutes for a connection to the database.
PROXY_LIMIT_S = 5


def connection(context: Context) -> Iterable[Finding]:
    """Name the server that answers, and refuse a version that is not supported. `examine` reports a silent server."""
    started = time.monotonic()
    (row,) = context.fetch(QUERIES["connection"], {})
    answered_ms = 1000 * (time.monotonic() - started)
    if (reason := postgres_versions.unsupported(context.connection.server_version)) is not None:
        yield critical(reason, why="The other checks, and migrations, may be wrong about it.")
        return
    yield ok(f"PostgreSQL {row['version']}, up for {duration(row['up_seconds'])}, answers in {answered_ms:.0f} ms")


def proxy(context: Context) -> Iterable[Finding]:
    """Connect through RDS Proxy, where there is one."""
    return check_proxy(context.connect_proxy, next=context.commands.mend_proxy())


def check_proxy(connect_proxy: Connect | None, *, next: str, why: str = "") -> Iterable[Finding]:  # noqa: A002
    """Run a statement through RDS Proxy, because it accepts clients also without a connection to the database.

    Args:
        connect_proxy: opens a connection through it; `None` where there is none.
        next: the command that mends it; empty where the proxy is not at fault.
        why: the reason, where it is known.

    """
    if connect_proxy is None:
        return
    started = time.monotonic()
    try:
        connection = connect_proxy()
    except (DatabaseUnavailableError, psycopg2.Error) as error:
        yield critical(f"no connection: {str(error).strip()}", next=next, why=why)
        return
    watchdog = ConnectionWatchdog(connection)
    watchdog.start(PROXY_LIMIT_S)
    try:
        connection.cursor().execute("SELECT 1")
    except psycopg2.Error as error:
        reason = f"none within {PROXY_LIMIT_S} s" if watchdog.is_lost else str(error).strip()
        yield critical(f"accepts clients, but does not answer: {reason}", next=next, why=why)
    else:
        yield ok(f"connects and answers in {1000 * (time.monotonic() - started):.0f} ms")
    finally:
        watchdog.stop()
        with contextlib.suppress(psycopg2.Error):
            connection.close()


def connections(context: Context) -> Iterable[Finding]:
    """Compare the number of sessions with `max_connections`, and name the users with most of them."""
    rows = context.fetch(QUERIES["sessions"], {})
    used, most = sum(row["sessions"] for row in rows), rows[0]["max_connections"]
    percent = 100 * used / most
    named = [f"{row['usename']} {row['application_name']}".strip() + f" {row['sessions']}" for row in rows[:MAX_LISTED]]
    value = f"{used} of {most} in use ({percent:.0f} %): {', '.join(named)}"
    if percent < context.thresholds.connections_percent:
        yield ok(value)
        return
    # RDS lets no client end a session of a superuser.
    idlest = max(rows, key=lambda row: (not row["is_superuser"], row["idle"]))
    holder = f"{idlest['usename']} {idlest['application_name']}".strip()
    yield critical(f"{value}; {idlest['idle']} of {holder} idle", next=context.commands.end_idle(idlest))


def lock_waits(context: Context) -> Iterable[Finding]:
    """Find the sessions that others wait for and that do not wait themselves."""
    sessions = {row["pid"]: row for row in context.fetch(QUERIES["lock_waits"], {})}
    waiters: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sessions.values():
        if row["blockers"]:
            waiters[_root(sessions, row["pid"])].append(row)
    findings = 0
    for pid, behind in waiters.items():
        longest_s = max(row["wait_seconds"] for row in behind)
        if longest_s >= context.thresholds.lock_wait_s:
            findings += 1
            yield _blocker(context, sessions.get(pid), behind)
    if not findings:
        waiting = [row["wait_seconds"] for row in sessions.values() if row["blockers"]]
        longest = f", the longest for {duration(max(waiting))}" if waiting else ""
        yield ok(f"{plural(len(waiting), 'session')} waiting for a lock{longest}")


def long_transactions(context: Context) -> Iterable[Finding]:
    """Name the transactions that are open for longer than the threshold."""
    rows = context.fetch(QUERIES["long_transactions"], {"seconds": context.thresholds.transaction_s})
    for row in rows[:MAX_LISTED]:
        yield warning(
            f"{session(row)} for {duration(row['seconds'])}, {row['state']}: {statement(row['query'])}",
            next=context.commands.end(row),
        )
    if not rows:
        yield ok(f"none older than {duration(context.thresholds.transaction_s)}")


def idle_in_transaction(context: Context) -> Iterable[Finding]:
    """Name the sessions that are idle in a transaction."""
    rows = context.fetch(QUERIES["idle_in_transaction"], {"seconds": context.thresholds.lock_wait_s})
    for row in rows[:MAX_LISTED]:
        yield warning(
            f"{session(row)} idle for {duration(row['seconds'])} after: {statement(row['query'])}",
            next=context.commands.end(row),
        )
    if not rows:
        yield ok(f"none for longer than {duration(context.thresholds.lock_wait_s)}")


def _root(sessions: Mapping[int, Mapping[str, Any]], pid: int) -> int:
    """Return the session at the head of a waiter's queue. In a deadlock, which PostgreSQL ends, one of the circle."""
    seen: set[int] = set()
    while pid not in seen and pid in sessions and sessions[pid]["blockers"]:
        seen.add(pid)
        pid = sessions[pid]["blockers"][0]
    return pid


def _blocker(context: Context, root: Mapping[str, Any] | None, behind: list[Mapping[str, Any]]) -> Finding:
    behind = sorted(behind, key=lambda row: -row["wait_seconds"])
    queue = ", ".join(f"{row['pid']} for {duration(row['wait_seconds'])}" for row in behind[:MAX_LISTED])
    blocked = f"{plural(len(behind), 'session')} blocked ({queue}: {statement(behind[0]['query'])})"
    if root is None:
        return _prepared(context, blocked)
    doing = f"{root['state']} for {duration(root['state_seconds'])}: {statement(root['query'])}"
    value = f"{blocked} by {session(root)}, {doing}"
    if not root["is_client"]:
        return critical(value)
    # A cancel ends the statement and with it the transaction; a session that runs none has nothing to cancel.
    is_at_work = root["state"] == "active"
    others = "1 other" if len(behind) == 1 else f"{len(behind)} others"
    why = f"Session {root['pid']} blocks {others}. End it: they continue, its uncommitted work is lost."
    return critical(value, next=context.commands.end(root, cancel=is_at_work), why=why)


def _prepared(context: Context, blocked: str) -> Finding:
    """Return the finding of waiters behind no session: behind a prepared transaction, or one that just ended."""
    rows = context.fetch(QUERIES["prepared"], {})
    if not rows:
        return critical(f"{blocked} by a session that just ended", why="Examine again.")
    oldest = rows[0]
    gid = oldest["gid"].replace("'", "''")
    return critical(
        f"{blocked} by a prepared transaction: {oldest['gid']} of {oldest['owner']}, {duration(oldest['seconds'])} old",
        sql=f"ROLLBACK PREPARED '{gid}'",
        why="No session holds it, and no timeout ends it. Its work is lost; what waits continues.",
    )
