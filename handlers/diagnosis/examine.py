"""Runs the checks one after the other over one connection, within a time limit. A check that fails stops no other."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import psycopg2
from psycopg2.extras import RealDictCursor

from handlers.contract.alarms.answers import EVENTS_LOOK
from handlers.contract.parameters import ExpectedParameters
from handlers.contract.release import Release
from handlers.contract.thresholds import Thresholds
from handlers.contract.timeouts import DOCTOR, DOCTOR_LOCK_S
from handlers.diagnosis.alarms import look_at_instance
from handlers.diagnosis.checks import CHECKS
from handlers.diagnosis.commands import Commands
from handlers.diagnosis.model import Context, Finding, critical, unknown, warning, worst_first
from handlers.diagnosis.sessions import check_proxy
from handlers.diagnosis.watchdog import ConnectionWatchdog
from handlers.errors import DatabaseUnavailableError, PoolerError, ScannerDatabaseError
from handlers.migrator.advice import is_exhausted
from handlers.migrator.connecting import refuse_pooler
from handlers.migrator.session import Connect

CHECK_LIMIT_S = DOCTOR.statement_s
LOCK_TIMEOUT_S = DOCTOR_LOCK_S
# With less time left no check is begun: the server's clock may end the one before a little early.
LEAST_S = 0.05
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
_LOGIN_REFUSED = (
    "authentication failed",
    "does not exist",
    "permission denied for database",
    "certificate verify failed",
)
# A host that answers "nothing listens here", and a server that is not up yet or going down.
_NOT_UP = ("Connection refused", "the database system is ", "server closed the connection")
_PROXY_WITHOUT_DATABASE = "The proxy has no database to connect to; it serves again when the database does."
# Sent in one message with the statement, so both are one transaction and the settings end with it: a pooler may give
# the session to another client next. Names are printed with their schema. Rows that a policy hides are an error instead
# of a wrong number.
_PREPARE = """
SELECT set_config('transaction_read_only', 'on', true),
       set_config('statement_timeout', %(_statement_ms)s, true),
       set_config('lock_timeout', %(_lock_ms)s, true),
       set_config('search_path', 'pg_catalog, pg_temp', true),
       set_config('quote_all_identifiers', 'off', true),
       set_config('row_security', 'off', true);
"""


_IS_MIGRATED = """
SELECT to_regclass('public.schema_migrations') IS NOT NULL
       OR to_regclass('public.job_progress_source') IS NOT NULL
       OR to_regprocedure('public.expected_rights()') IS NOT NULL AS is_migrated
"""


def examine(
    connect: Connect,
    thresholds: Thresholds,
    *,
    commands: Commands,
    checks: Sequence[str] = tuple(CHECKS),
    read_release: Callable[[], Release] | None = None,
    connect_proxy: Connect | None = None,
    expected: ExpectedParameters | None = None,
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
        expected: what the deployment expects of the server's parameters.
        time_limit_s: how long all checks may take together; a check that would start later is `unknown`.

    Returns:
        The findings, the worst first, then in the order of the checks. A check that cannot be made is `unknown`. When
        the connection is lost, what was found until then, and a finding of the check `connection`.

    """
    try:
        connection = connect()
    except (DatabaseUnavailableError, psycopg2.Error) as error:
        findings = [_named("connection", _unreachable(str(error), commands), commands)]
        if "proxy" in checks:
            # A deploy mends no database that is away.
            answers = any(sign in str(error) for sign in _LOGIN_REFUSED)
            known = {"next": commands.mend_proxy()} if answers else {"next": "", "why": _PROXY_WITHOUT_DATABASE}
            findings.extend(_named("proxy", finding, commands) for finding in check_proxy(connect_proxy, **known))
        return worst_first([*findings, look_at_instance(commands)])
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
            read_release=cache(read_release) if read_release else None,
            connect_proxy=connect_proxy,
            expected=expected,
        )
        findings.extend(_run(context, fetch, checks, time.monotonic() + time_limit_s))
    except PoolerError as error:
        pooler = unknown(str(error), why="Nothing was examined, and nothing was set.")
        findings.append(_named("connection", pooler, commands))
    finally:
        fetch.watchdog.stop()
        with contextlib.suppress(psycopg2.Error):
            connection.close()
    return worst_first(findings)


def _run(context: Context, fetch: "_Fetch", checks: Sequence[str], ends_at: float) -> Iterator[Finding]:
    is_migrated = True
    for name in checks:
        left_s = min(ends_at - time.monotonic(), CHECK_LIMIT_S)
        if left_s <= LEAST_S:
            yield _named(name, unknown("not checked: the other checks used up the time"), context.commands)
            continue
        fetch.start(left_s)
        try:
            if CHECKS[name].needs_schema:
                if is_migrated and not (is_migrated := _is_migrated(context)):
                    yield _named("migrations", _not_migrated(context.commands), context.commands)
                if not is_migrated:
                    continue
            for finding in CHECKS[name].check(context):
                yield _named(name, finding, context.commands)
        except Exception as error:  # noqa: BLE001 - the other checks go on after any error
            if context.connection.closed:
                reason = "no answer in time" if fetch.watchdog.is_lost else _first_line(error)
                lost = critical(f"lost during {name}: {reason}", next=context.commands.look(EVENTS_LOOK))
                yield _named("connection", lost, context.commands)
                yield look_at_instance(context.commands)
                return
            with contextlib.suppress(psycopg2.Error):
                context.connection.rollback()
            yield _named(name, _impossible(error, context.commands), context.commands)


def _is_migrated(context: Context) -> bool:
    """Whether a run of `migrate` has begun here: without one, each check of the schema would miss the same thing."""
    return bool(context.fetch(_IS_MIGRATED, {})[0]["is_migrated"])


def _not_migrated(commands: Commands) -> Finding:
    return warning(
        "this database was never migrated: there is no ledger schema_migrations and no list of rights",
        next=commands.migrate(),
        why="The checks of progress, rights and indexes need this schema. `scannerdb plan` shows what a run would do.",
    )


def _named(name: str, finding: Finding, commands: Commands) -> Finding:
    why = finding.why or ("" if finding.state == "ok" else CHECKS[name].why)
    next_ = commands.repair(name, finding.sql) if finding.sql else finding.next
    return replace(finding, check=name, why=why, next=next_)


def _impossible(error: Exception, commands: Commands) -> Finding:
    reason = _first_line(error)
    if isinstance(error, psycopg2.errors.InsufficientPrivilege) and "row-level security" in reason:
        return unknown(reason, why="Policies hide rows from the role that counts: `row-security` says how to end that.")
    if isinstance(error, _NOT_THERE_YET):
        return unknown(reason, next=commands.migrate(), why="A migration is pending, or a right was revoked.")
    if isinstance(error, psycopg2.errors.QueryCanceled):
        return unknown(f"gave up: {reason}", why="The check took longer than it may; the server may be overloaded.")
    if isinstance(error, psycopg2.Error | ScannerDatabaseError):
        return unknown(reason, why="The check could not be made.")
    return unknown(f"{type(error).__name__}: {reason}", why="The check itself failed.")


def _unreachable(message: str, commands: Commands) -> Finding:
    reason = " ".join(message.split())
    if is_exhausted(reason):
        return critical(
            f"every connection is in use, also those reserved for the doctor: {reason}",
            next=commands.end_idle(),
            why="New clients are refused. The command logs in as the owner, for whom RDS reserves connections, names "
            "the application with most idle sessions, and ends these.",
        )
    if any(sign in reason for sign in _LOGIN_REFUSED):
        return critical(f"the login is refused: {reason}", next=commands.migrate())
    if any(sign in reason for sign in _NOT_UP):
        return critical(
            f"the server refuses connections: {reason}",
            next=commands.look(EVENTS_LOOK),
            why="The way to it works, so it starts, stops or fails over. A failover ends within two minutes.",
        )
    return critical(
        f"no answer: {reason}",
        next=commands.look(EVENTS_LOOK),
        why="Either the server is down, or a security group or route between here and it is wrong.",
    )


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
            limits = {"_statement_ms": str(left_ms), "_lock_ms": str(1000 * LOCK_TIMEOUT_S)}
            cursor.execute(_PREPARE + query, {**parameters, **limits})
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []
