"""Check of the triggers that count: each exists as the migrations made it, fires, and finds what it reads."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from handlers.diagnosis.model import Context, Finding, critical, ok, warning
from handlers.diagnosis.written import find_statement
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("triggers.sql"))
TABLES = ("job_objects", "findings")
# The transition tables of each trigger (003).
_TRANSITION_TABLES = {
    "insert": " REFERENCING NEW TABLE AS new_rows",
    "update": " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": " REFERENCING OLD TABLE AS old_rows",
    "truncate": "",
}
_EXPECTED = {f"track_{table}_{event}": (table, event) for table in TABLES for event in _TRANSITION_TABLES}
_COUNTING = ("track_job_objects", "track_findings", "compact_job_progress_deltas")
_BODY = re.compile(r"\$\$(.*)\$\$", re.DOTALL)


def triggers(context: Context) -> Iterable[Finding]:
    """Check that a trigger counts every statement on objects and findings, and fails none."""
    rows = context.fetch(QUERIES["triggers"], {})
    found = [*_columns(context), *_states(rows), *_functions(context), *_bypasses(context)]
    yield from found
    if not found:
        yield ok(f"all {len(_EXPECTED)} fire")


def _definition(name: str, table: str, event: str, on: str) -> str:
    return (
        f"TRIGGER {name} AFTER {event.upper()} ON {on}{_TRANSITION_TABLES[event]} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION public.track_{table}()"
    )


def _columns(context: Context) -> Iterator[Finding]:
    wrong: dict[str, list[str]] = {}
    for row in context.fetch(QUERIES["columns"], {}):
        is_missing = row["type"] is None
        fault = f"no column {row['column_name']}" if is_missing else f"{row['column_name']} of type {row['type']}"
        wrong.setdefault(row["table_name"], []).append(fault)
    for table, faults in wrong.items():
        names = ", ".join(f"DISABLE TRIGGER {name}" for name, (on, _) in _EXPECTED.items() if on == table)
        yield critical(
            f"the triggers fail every write: {table} has {', '.join(faults)}",
            sql=f"ALTER TABLE public.{table} {names}",
            why="The command lets writers go on, uncounted. Then give the column its name and type back, enable the "
            "triggers as the next examination says, and rebuild.",
        )


def _states(rows: list[dict[str, Any]]) -> Iterator[Finding]:
    for table in TABLES:
        ours = {row["name"]: row for row in rows if row["table_name"] == f"public.{table}"}
        expected = {name: event for name, (on, event) in _EXPECTED.items() if on == table}
        lost = [name for name in expected if name not in ours]
        moved = sorted({row["table_name"] for row in rows if row["name"] in lost})
        where = f"; {', '.join(moved)} has triggers of this name: was the table renamed?" if moved else ""
        changed = [
            name
            for name, event in expected.items()
            if name in ours
            and ours[name]["definition"] != f"CREATE {_definition(name, table, event, f'public.{table}')}"
        ]
        for state, names in (("missing", lost), ("not as the migration made it", changed)):
            if names:
                # One table and one transaction: writers wait once.
                creations = "; ".join(
                    f"CREATE OR REPLACE {_definition(name, table, expected[name], f'public.{table}')}" for name in names
                )
                yield critical(f"{state} on {table}: {', '.join(names)}{where}", sql=creations)
        disabled = [name for name in expected if name in ours and not ours[name]["is_enabled"] and name not in changed]
        if disabled:
            actions = ", ".join(f"ENABLE TRIGGER {name}" for name in disabled)
            yield critical(
                f"disabled on {table}: {', '.join(disabled)}",
                sql=f"ALTER TABLE public.{table} {actions}",
            )


def _functions(context: Context) -> Iterator[Finding]:
    """Compare the functions that count with the release, where it is known."""
    for row in context.fetch(QUERIES["functions"], {"names": list(_COUNTING)}):
        found = find_statement(context, rf"CREATE OR REPLACE FUNCTION (?:public\.)?{row['name']}\(")
        if found is None:
            continue
        file, statement = found
        body = _BODY.search(statement.sql)
        is_definer = "SECURITY DEFINER" in statement.sql
        if body and (row["body"], row["is_definer"]) != (body[1], is_definer):
            yield critical(
                f"the function {row['name']}() is not that of migrations/{file}, line {statement.line}",
                sql=statement.sql,
                why="It may miss changes, or fail writers. That statement of the migration runs again. Then rebuild.",
            )


def _bypasses(context: Context) -> Iterator[Finding]:
    """Find the ways in which rows are written without a statement on the table itself, or without its triggers."""
    for row in context.fetch(QUERIES["replica_sessions"], {}):
        yield critical(
            f"session_replication_role = replica is set for {row['sessions']}: no trigger fires for what they write",
            sql=row["reset"] or "",
            why="" if row["reset"] else "It is a parameter of the server: set it to origin there, then rebuild.",
        )
    for row in context.fetch(QUERIES["untracked_children"], {}):
        table = row["table_name"]
        creations = "; ".join(
            f"CREATE OR REPLACE {_definition(f'track_{table}_{event}', table, event, row['child'])}"
            for event in ("insert", "update", "delete")
        )
        yield critical(
            f"{row['child']} inherits from {table}: a statement on {row['child']} itself is not counted",
            sql=creations,
        )
    for row in context.fetch(QUERIES["instead_rules"], {}):
        yield warning(
            f"the rule {row['name']} replaces statements on {row['table_name']}",
            why="What it writes elsewhere is not counted. Its author can replace it by a trigger.",
        )
