"""Runs the checks one after the other over one connection, within a time limit. A check that fails stops no other."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg2
from psycopg2.extras import RealDictCursor

from handlers.contract.release import Release
from handlers.contract.thresholds import Thresholds
from handlers.contract.timeouts import DOCTOR, DOCTOR_LOCK_S
from handlers.diagnosis.alarms import look_at_instance
from handlers.diagnosis.checks import CHECKS
from handlers.diagnosis.commands import Commands, psql
from handlers.diagnosis.model import Context, Finding, critical, unknown
from handlers.diagnosis.sessions import check_proxy
from handlers.diagnosis.watchdog import ConnectionWatchdog
from handlers.errors import DatabaseUnavailableError, PoolerError, ScannerDatabaseError
from handlers.migrator.connecting import refuse_pooler
from handlers.migrator.session import Connect

CHECK_LIMIT_S = DOCTOR.statement_s
LOCK_TIMEOUT_S = DOCTOR_LOCK_S
# The function's timeout, less what the function needs itself.
TIME_LIMIT_S = 45
# The server cancels first. The watchdog ends the wait for a server that does not answer at all.
SILENCE_S = DOCTOR.client_s - DOCTOR.statement_s

_NOT_THERE_YET = (
    psycopg2.errors.UndefinedTable,
    psycopg2.errors.UndefinedFunction,
    psycopg2.errors.UndefinedColumn,
    psycopg2.errors.UndefinedObject,
    psycopg2.errors.InsufficientPrivilege,
)
_EXHAUSTED = ("remaining connection slots", "too many clients", "too many connections")
_LOGIN_REFUSED = (
    "authentication failed",
    "does not exist",
    "permission denied for database",
    "certificate verify failed",
)
# When every slot is taken, this works as soon as one session has ended.
_END_IDLE_SESSIONS = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE state = 'idle' AND usesysid NOT IN (SELECT oid FROM pg_roles WHERE rolsuper)"
)
_PREPARE = """
SELECT set_config('statement_timeout', %(statement_ms)s, false),
       set_config('lock_timeout', %(lock_ms)s, false),
       set_config('default_transaction_read_only', 'on', false)
"""


def examine(
    connect: Connect,
    thresholds: Thresholds,
    *,
    commands: Commands,
    checks: Sequence[str] = tuple(CHECKS),
    read_release: Callable[[], Release] | None = None,
    connect_proxy: Connect | None = None,
    time_limit_s: float = TIME_LIMIT_S,
) -> list[Finding]:
    """Examine a database. Nothing is changed in it.

    Args:
        connect: opens a direct connection in autocommit mode, as `scanner_doctor` or the owner of the tables.
        thresholds: what the database is held against.
        commands: makes the commands that the findings name.
        checks: the names of the checks to run.
        read_release: reads the migrations that should be applied; `None` when they are not known.
        connect_proxy: opens a connection through RDS Proxy.
        time_limit_s: how long all checks may take together; a check that would start later is `unknown`.

    Returns:
        The findings, in the order of the checks. A check that cannot be made is `unknown`. When the connection is lost,
        what was found until then, and a finding of the check `connection`.

    """
    try:
        connection = connect()
    except (DatabaseUnavailableError, psycopg2.Error) as error:
        findings = [_named("connection", _unreachable(str(error), commands))]
        if "proxy" in checks:
            findings.extend(_named("proxy", finding) for finding in check_proxy(connect_proxy, commands))
        return [*findings, look_at_instance(commands)]
    findings = []
    fetch = _Fetch(connection)
    try:
        fetch.start(CHECK_LIMIT_S)
        with contextlib.suppress(psycopg2.Error):  # the first check tells
            refuse_pooler(connection)
        context = Context(
            connection=connection,
            fetch=fetch,
            thresholds=thresholds,
            commands=commands,
            read_release=read_release,
            connect_proxy=connect_proxy,
        )
        findings.extend(_run(context, fetch, checks, time.monotonic() + time_limit_s))
    except PoolerError as error:
        findings.append(_named("connection", unknown(str(error), why="Nothing was examined, and nothing was set.")))
    finally:
        fetch.watchdog.stop()
        with contextlib.suppress(psycopg2.Error):
            connection.close()
    return findings


def _run(context: Context, fetch: "_Fetch", checks: Sequence[str], ends_at: float) -> Iterator[Finding]:
    for name in checks:
        left_s = min(ends_at - time.monotonic(), CHECK_LIMIT_S)
        if left_s <= 0:
            yield _named(name, unknown("not checked: the other checks used up the time"))
            continue
        fetch.start(left_s)
        try:
            for finding in CHECKS[name].check(context):
                yield _named(name, finding)
        except Exception as error:  # noqa: BLE001 - the other checks go on after any error
            if context.connection.closed:
                reason = "no answer in time" if fetch.watchdog.is_lost else _first_line(error)
                yield _named("connection", critical(f"lost during {name}: {reason}"))
                yield look_at_instance(context.commands)
                return
            with contextlib.suppress(psycopg2.Error):
                context.connection.rollback()
            yield _named(name, _impossible(error, context.commands))


def _named(name: str, finding: Finding) -> Finding:
    why = finding.why or ("" if finding.state == "ok" else CHECKS[name].why)
    return replace(finding, check=name, why=why)


def _impossible(error: Exception, commands: Commands) -> Finding:
    reason = _first_line(error)
    if isinstance(error, _NOT_THERE_YET):
        return unknown(reason, next=commands.migrate(), why="A migration is pending, or a right was revoked.")
    if isinstance(error, psycopg2.errors.QueryCanceled):
        return unknown(f"gave up: {reason}", why="The check took longer than it may; the server may be overloaded.")
    if isinstance(error, psycopg2.Error | ScannerDatabaseError):
        return unknown(reason, why="The check could not be made.")
    return unknown(f"{type(error).__name__}: {reason}", why="The check itself failed.")


def _unreachable(message: str, commands: Commands) -> Finding:
    reason = " ".join(message.split())
    if any(sign in reason for sign in _EXHAUSTED):
        return critical(
            f"every connection is in use: {reason}",
            next=psql(_END_IDLE_SESSIONS),
            why="New clients are refused. Repeat the command until it connects: it ends idle sessions, whose clients "
            "connect again.",
        )
    if any(sign in reason for sign in _LOGIN_REFUSED):
        return critical(f"the login is refused: {reason}", next=commands.migrate())
    return critical(f"no connection: {reason}")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


class _Fetch:
    """Runs the statements of the checks, each within the time that its check has left."""

    def __init__(self, connection: Any) -> None:
        self.watchdog = ConnectionWatchdog(connection)
        self._connection = connection
        self._ends_at = 0.0

    def start(self, limit_s: float) -> None:
        """Begin a check that may take `limit_s` seconds."""
        self._ends_at = time.monotonic() + limit_s
        self.watchdog.start(limit_s + SILENCE_S)

    def __call__(self, query: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run one statement and return its rows."""
        left_ms = max(round(1000 * (self._ends_at - time.monotonic())), 1)
        with self._connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(_PREPARE, {"statement_ms": str(left_ms), "lock_ms": str(1000 * LOCK_TIMEOUT_S)})
            cursor.execute(query, parameters)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []
