"""Sessions that an on-call ends: finds one or the idle ones of an application, shows and ends them."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg2.extras import RealDictCursor

from handlers.diagnosis.text import duration, plural, session, statement
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("sessions.sql"))
# The on-call waits for it, and a server that is out of connections may be busy.
_LIMITS = "SET statement_timeout = '30s'; SET lock_timeout = '2s'"

Row = dict[str, Any]


def find_session(connection: Any, pid: int) -> Row | None:
    """Return the session of a client; `None` when it has ended, or the pid is none of a client."""
    rows = _fetch(connection, "session", {"pid": pid})
    return rows[0] if rows else None


def find_idle(connection: Any, *, user: str | None = None, application: str | None = None) -> list[Row]:
    """Return the idle sessions by user and application, most first.

    Args:
        connection: of the owner of the tables, in autocommit mode.
        user: of this one only; `None`: of each.
        application: of this one only; `None`: of each.

    """
    return _fetch(connection, "idle", {"user": user, "application": application})


def end_session(connection: Any, pid: int, began: datetime, *, cancel: bool = False) -> bool:
    """End a session, or cancel its statement; return whether there was one to end, and it ended.

    Raises:
        psycopg2.errors.InsufficientPrivilege: it is a superuser's.

    """
    rows = _fetch(connection, "cancel" if cancel else "terminate", {"pid": pid, "began": began})
    return bool(rows and rows[0]["is_done"])


def end_idle(connection: Any, who: Mapping[str, Any]) -> int:
    """End the idle sessions of a row of `find_idle`; return how many."""
    return int(_fetch(connection, "terminate_idle", who)[0]["ended"])


def session_lines(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a session is and does, for a person who decides whether it may end. Literals are left out."""
    client = f" from {row['client']}" if row["client"] else ""
    open_for = f", its transaction is {duration(row['transaction_seconds'])} old" if row["transaction_seconds"] else ""
    return (
        f"{session(row)}{client}, connected since {row['began']:%Y-%m-%d %H:%M:%S %Z}".rstrip(),
        f"{row['state'] or 'no state'} for {duration(row['state_seconds'] or 0)}{open_for}",
        f"blocks {plural(row['blocked'], 'other session')}",
        f"last statement: {statement(row['query'] or '') or 'none'}",
    )


def idle_line(row: Mapping[str, Any]) -> str:
    """Return how many sessions a user and an application have, and how many of them are idle."""
    name = row["application_name"] or "without an application name"
    return f"{row['usename']}, {name}: {plural(row['sessions'], 'session')}, {row['idle']} idle"


def _fetch(connection: Any, name: str, parameters: Mapping[str, Any]) -> list[Row]:
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(_LIMITS)
        cursor.execute(QUERIES[name], parameters)
        return [dict(row) for row in cursor.fetchall()]
