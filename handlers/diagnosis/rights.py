"""Checks of what the migrations set up: the roles' rights, and the schema."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from handlers.diagnosis.model import Context, Finding, critical, ok, unknown, warning
from handlers.diagnosis.text import plural
from handlers.errors import DriftError
from handlers.migrator.ledger import QUERIES as LEDGER_QUERIES
from handlers.migrator.ledger import read_ledger
from handlers.migrator.plan import plan
from handlers.migrator.statement_progress import watch
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("rights.sql"))


def grants(context: Context) -> Iterable[Finding]:
    """Check that each role may log in and has its rights on the objects that exist, the doctor's own included."""
    faults = context.fetch(QUERIES["sign_in"], {})
    is_listed = context.fetch(QUERIES["is_listed"], {})[0]["is_listed"]
    wrong = context.fetch(QUERIES["wrong_rights"], {}) if is_listed else []
    for row in faults:
        # roles.sql restores every right but LOGIN, which an administrator may have revoked on purpose.
        value = f"{row['role_name']} {row['fault']}"
        if row["is_locked"]:
            yield critical(value, sql=f"ALTER ROLE {row['role_name']} LOGIN")
        else:
            yield critical(value, next=context.commands.migrate())
    # One finding a role: a restore without privileges loses all of them.
    for (role, is_wanted), group in groupby(wrong, key=lambda row: (row["role_name"], row["is_wanted"])):
        first, *others = group
        more = f", and so on {plural(len(others), 'other object')}" if others else ""
        right = f"{first['privileges']} on {first['object']}{more}"
        yield critical(
            f"{role} lacks {right}" if is_wanted else f"every role has {right}",
            next=context.commands.migrate(),
            why="" if is_wanted else "The function runs with its owner's rights, or creates objects.",
        )
    if not is_listed:
        yield unknown("no list of rights: roles.sql of this release has not run", next=context.commands.migrate())
    elif not faults and not wrong:
        yield ok("every role may log in and has its rights, and no other role has them through PUBLIC")


def migrations(context: Context) -> Iterable[Finding]:
    """Compare the ledger with the release. Without a release, find only migrations that stopped part way."""
    at_work = context.fetch(LEDGER_QUERIES["lock_holder"], {})
    with context.connection.cursor() as cursor:
        entries = read_ledger(cursor)
        doing = watch(cursor, at_work[0]["pid"]) if at_work else None
    newest = f"{entries[-1].version:03}_{entries[-1].name}" if entries else "none"
    if at_work:
        name, progress = at_work[0]["application_name"], f": {doing}" if doing else ""
        yield ok(f"{name} (pid {at_work[0]['pid']}) is at work{progress}; the newest is {newest}")
        return
    stopped = [entry for entry in entries if entry.applied_at is None]
    for entry in stopped:
        yield warning(
            f"{entry.version:03}_{entry.name} stopped after {len(entry.applied_statements)} statements",
            next=context.commands.migrate(),
        )
    if context.read_release is None:
        if not stopped:
            yield ok(f"the newest is {newest}; no release to compare with")
        return
    try:
        pending = [item.migration for item in plan(context.read_release(), entries)]
    except DriftError as error:
        # A deploy is refused for the same reason, so no command: the message says what to do.
        yield critical(str(error))
        return
    waiting = [item.file for item in pending if item.version not in {entry.version for entry in stopped}]
    if waiting:
        yield warning(f"pending: {', '.join(waiting)}", next=context.commands.migrate())
    elif not stopped:
        yield ok(f"all {len(entries)} applied, the newest is {newest}")
