"""Checks of the sessions: who is connected, who waits for whom, who keeps a transaction open."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg2

from handlers.contract import postgres_versions
from handlers.diagnosis.commands import Commands, psql
from handlers.diagnosis.model import Case, Finding, critical, ok, warning
from handlers.diagnosis.patience import Patience
from handlers.diagnosis.text import duration, plural, session, statement
from handlers.errors import DatabaseUnavailableError
from handlers.migrator.session import Connect
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("sessions.sql"))
# More would hide the first.
MAX_LISTED = 3
# RDS Proxy itself waits for two minutes for a connection to the database.
PROXY_LIMIT_S = 5


def connection(case: Case) -> Iterable[Finding]:
    """Say which server answers, and whether it is of a version that this works with."""
    started = time.monotonic()
    (row,) = case.fetch(QUERIES["connection"], {})
    answered_ms = 1000 * (time.monotonic() - started)
    if (reason := postgres_versions.unsupported(case.connection.server_version)) is not None:
        yield critical(reason, why="The other checks, and migrations, may be wrong about it.")
        return
    yield ok(f"PostgreSQL {row['version']}, up for {duration(row['up_seconds'])}, answers in {answered_ms:.0f} ms")


def proxy(case: Case) -> Iterable[Finding]:
    """Connect through RDS Proxy, where there is one."""
    return look_through(case.connect_proxy, case.commands)


def look_through(connect_proxy: Connect | None, commands: Commands) -> Iterable[Finding]:
    """Ask through RDS Proxy for an answer: it lets clients in also while it has no connection to the database."""
    if connect_proxy is None:
        return
    started = time.monotonic()
    try:
        connection = connect_proxy()
    except (DatabaseUnavailableError, psycopg2.Error) as error:
        yield critical(f"no connection: {str(error).strip()}", next=commands.deploy())
        return
    patience = Patience(connection)
    patience.start(PROXY_LIMIT_S)
    try:
        connection.cursor().execute("SELECT 1")
    except psycopg2.Error as error:
        reason = f"none within {PROXY_LIMIT_S} s" if patience.is_lost else str(error).strip()
        yield critical(f"connects, but there is no answer: {reason}", next=commands.deploy())
    else:
        yield ok(f"connects and answers in {1000 * (time.monotonic() - started):.0f} ms")
    finally:
        patience.stop()
        with contextlib.suppress(psycopg2.Error):
            connection.close()


def connections(case: Case) -> Iterable[Finding]:
    """Hold the sessions against `max_connections`, and name who has most of them."""
    rows = case.fetch(QUERIES["sessions"], {})
    used, most = sum(row["sessions"] for row in rows), rows[0]["max_connections"]
    percent = 100 * used / most
    named = [f"{row['usename']} {row['application_name']}".strip() + f" {row['sessions']}" for row in rows[:MAX_LISTED]]
    value = f"{used} of {most} in use ({percent:.0f} %): {', '.join(named)}"
    if percent < case.limits.connections_percent:
        yield ok(value)
        return
    # Nobody on RDS may end a session of a superuser.
    idlest = max(rows, key=lambda row: (not row["is_superuser"], row["idle"]))
    end_idle = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "  # noqa: S608 - quoted, and for a person
        f"WHERE state = 'idle' AND usename = '{_quoted(idlest['usename'])}' "
        f"AND application_name = '{_quoted(idlest['application_name'])}'"
    )
    yield critical(f"{value}; {idlest['idle']} of {idlest['usename']} idle", next=psql(end_idle))


def lock_waits(case: Case) -> Iterable[Finding]:
    """Find the sessions that others wait for, and do not wait themselves."""
    sessions = {row["pid"]: row for row in case.fetch(QUERIES["lock_waits"], {})}
    waiters: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sessions.values():
        if row["blockers"]:
            waiters[_root(sessions, row["pid"])].append(row)
    findings = 0
    for pid, behind in waiters.items():
        longest_s = max(row["wait_seconds"] for row in behind)
        if longest_s >= case.limits.lock_wait_s:
            findings += 1
            yield _blocker(sessions.get(pid), behind)
    if not findings:
        waiting = [row["wait_seconds"] for row in sessions.values() if row["blockers"]]
        longest = f", the longest for {duration(max(waiting))}" if waiting else ""
        yield ok(f"{plural(len(waiting), 'session')} waiting for a lock{longest}")


def long_transactions(case: Case) -> Iterable[Finding]:
    """Name the transactions that are open for longer than an alarm allows."""
    rows = case.fetch(QUERIES["long_transactions"], {"seconds": case.limits.transaction_s})
    for row in rows[:MAX_LISTED]:
        yield warning(
            f"{session(row)} for {duration(row['seconds'])}, {row['state']}: {statement(row['query'])}",
            next=_terminate(row["pid"]),
        )
    if not rows:
        yield ok(f"none older than {duration(case.limits.transaction_s)}")


def idle_in_transaction(case: Case) -> Iterable[Finding]:
    """Name the sessions that keep a transaction open and do nothing."""
    rows = case.fetch(QUERIES["idle_in_transaction"], {"seconds": case.limits.lock_wait_s})
    for row in rows[:MAX_LISTED]:
        yield warning(
            f"{session(row)} idle for {duration(row['seconds'])} after: {statement(row['query'])}",
            next=_terminate(row["pid"]),
        )
    if not rows:
        yield ok(f"none for longer than {duration(case.limits.lock_wait_s)}")


def _root(sessions: Mapping[int, Mapping[str, Any]], pid: int) -> int:
    """Follow a waiter to the session at the head of its queue; a circle, which ends itself, ends where it began."""
    seen: set[int] = set()
    while pid not in seen and pid in sessions and sessions[pid]["blockers"]:
        seen.add(pid)
        pid = sessions[pid]["blockers"][0]
    return pid


def _blocker(root: Mapping[str, Any] | None, behind: list[Mapping[str, Any]]) -> Finding:
    behind = sorted(behind, key=lambda row: -row["wait_seconds"])
    queue = ", ".join(f"{row['pid']} for {duration(row['wait_seconds'])}" for row in behind[:MAX_LISTED])
    blocked = f"{plural(len(behind), 'session')} blocked ({queue}: {statement(behind[0]['query'])})"
    if root is None:
        return critical(
            f"{blocked} by a prepared transaction or a session that just ended",
            next=psql("SELECT gid, prepared, owner FROM pg_prepared_xacts"),
        )
    doing = f"{root['state']} for {duration(root['state_seconds'])}: {statement(root['query'])}"
    # A cancel ends the statement and with it the transaction; a session that runs none has nothing to cancel.
    end = _cancel if root["state"] == "active" else _terminate
    return critical(f"{blocked} by {session(root)}, {doing}", next=end(root["pid"]) if root["is_client"] else "")


def _cancel(pid: int) -> str:
    return psql(f"SELECT pg_cancel_backend({pid})")


def _terminate(pid: int) -> str:
    return psql(f"SELECT pg_terminate_backend({pid})")


def _quoted(name: str) -> str:
    return name.replace("'", "''")
