"""The actions `end` and `repair`: of the function `migrate`, and of the command line with a connection of its own."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from handlers.contract.events import MigrateAction, MigrateEvent
from handlers.contract.release import Release
from handlers.contract.thresholds import Thresholds
from handlers.diagnosis import CHECKS, Commands, examine
from handlers.diagnosis.text import plural
from handlers.errors import InvalidRequestError, ScannerDatabaseError
from handlers.migrator.session import Connect
from handlers.remedies import sessions
from handlers.remedies.repairs import run_repair


class NothingDoneError(ScannerDatabaseError):
    """What was to be ended or repaired is not there any more."""


def end(event: MigrateEvent, connect: Connect) -> dict[str, Any]:
    """End sessions, or say which ones would be.

    Args:
        event: names the sessions.
        connect: as the owner of the tables, in autocommit mode.

    Returns:
        `{"done": what was done}`; for a dry run, or a pid without its beginning, `{"would": [a line for people, ...],
        "event": the event that does it}`.

    Raises:
        InvalidRequestError: the event names no session.
        NothingDoneError: there is no such session, or it does not end.
        psycopg2.Error: no connection, or no right to end it.

    """
    connection = connect()
    try:
        return _end_idle(event, connection) if event.get("idle") else _end_session(event, connection)
    finally:
        connection.close()


def repair(
    event: MigrateEvent,
    connect: Connect,
    *,
    thresholds: Thresholds,
    commands: Commands,
    read_release: Callable[[], Release],
    limit_s: float | None = None,
) -> dict[str, Any]:
    """Run a statement that a check of the doctor names now, or return the findings that have one.

    Args:
        event: names the check, and the statement.
        connect: as the owner of the tables, in autocommit mode.
        thresholds: what the database is held against.
        commands: of the deployment.
        read_release: reads the release that should be applied.
        limit_s: how long the statement may take; `None`: until its end.

    Returns:
        `{"done": the statement}`; for a dry run `{"would": [a finding with its "sql", ...]}`.

    Raises:
        InvalidRequestError: there is no such check.
        NothingDoneError: the check does not name this statement now.
        ScannerDatabaseError, psycopg2.Error: as `run_repair`.

    """
    check = event.get("check", "")
    if check not in CHECKS:
        raise InvalidRequestError("unknown_check", f"check {check!r} is none of {', '.join(CHECKS)}")
    findings = examine(connect, thresholds, commands=commands, checks=[check], read_release=read_release)
    if event.get("dry_run"):
        return {"would": [{**finding.fields(), "sql": finding.sql} for finding in findings if finding.sql]}
    sql = event.get("sql", "")
    if not sql or sql not in {finding.sql for finding in findings}:
        said = "; ".join(f"{finding.check} {finding.state}: {finding.value}" for finding in findings)
        raise NothingDoneError(f"the check {check} does not name this statement now, so it was not run. It says {said}")
    run_repair(connect, sql, limit_s=limit_s)
    return {"done": sql}


def _end_session(event: MigrateEvent, connection: Any) -> dict[str, Any]:
    if "pid" not in event:
        raise InvalidRequestError("no_session", "name a session with pid and began, or idle ones with idle: true")
    row = sessions.find_session(connection, event["pid"])
    if row is None or ("began" in event and row["began"] != datetime.fromisoformat(event["began"])):
        raise NothingDoneError(f"there is no session {event['pid']} of a client any more: nothing was done")
    if event.get("dry_run") or "began" not in event:
        # Without its beginning a pid may be another session's by now: a person looks first.
        known = {"action": MigrateAction.END, "pid": row["pid"], "began": row["began"].isoformat()}
        return {"would": list(sessions.session_lines(row)), "event": known}
    cancel = bool(event.get("cancel"))
    if not sessions.end_session(connection, row["pid"], row["began"], cancel=cancel):
        raise NothingDoneError(f"session {row['pid']} was asked to end and has not yet: run the same command again")
    return {"done": f"{'cancelled the statement of' if cancel else 'ended'} {sessions.session_lines(row)[0]}"}


def _end_idle(event: MigrateEvent, connection: Any) -> dict[str, Any]:
    found = sessions.find_idle(connection, user=event.get("user"), application=event.get("application"))
    if not found:
        raise NothingDoneError("no session is idle: nothing was done")
    first = found[0]
    if event.get("dry_run"):
        known = {"user": first["usename"], "application": first["application_name"]}
        lines = [sessions.idle_line(row) for row in found]
        return {"would": lines, "event": {"action": MigrateAction.END, "idle": True, **known}}
    ended = sessions.end_idle(connection, first)
    return {"done": f"ended {plural(ended, 'idle session')} of {sessions.idle_line(first)}"}
