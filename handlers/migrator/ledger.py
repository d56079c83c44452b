"""The ledger `public.schema_migrations`: what was applied, and how far a file has come."""

from datetime import datetime
from pathlib import Path
from typing import Any

from handlers.contract.release import Migration
from handlers.errors import ForeignLedgerError, SecondLedgerError
from handlers.migrator.plan import LedgerEntry
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("ledger.sql"))


def read_ledger(cursor: Any) -> list[LedgerEntry]:
    """Return the ledger's rows in the order of their versions; none when there is no ledger yet.

    Raises:
        ForeignLedgerError: a table of this name exists and is not ours.
        SecondLedgerError: another schema has a ledger too.

    """
    cursor.execute(QUERIES["other_ledgers"])
    if others := cursor.fetchall():
        found = ", ".join(f"{name} (of {owner})" for name, owner in others)
        first = others[0][0]
        raise SecondLedgerError(
            f"{found} is a ledger as public.schema_migrations is: an earlier run built in that schema, which its "
            "search_path named. Migrations build in public only. Look at what is in that schema; when nothing uses it, "
            f"DROP TABLE {first}, and migrate again"
        )
    cursor.execute(QUERIES["ledger_columns"])
    columns = cursor.fetchone()[0]
    if columns is None:
        return []
    if "applied_statements" not in columns:
        raise ForeignLedgerError(
            f"the table public.schema_migrations has the columns {', '.join(columns)}: another tool made it; "
            "rename it (ALTER TABLE public.schema_migrations RENAME TO ...) and migrate again"
        )
    cursor.execute(QUERIES["read_ledger"])
    return [
        LedgerEntry(
            version=version, name=name, checksum=checksum, applied_statements=tuple(statements), applied_at=applied_at
        )
        for version, name, checksum, statements, applied_at in cursor.fetchall()
    ]


def record(migration: Migration, done: int, *, started_at: datetime, release: str) -> tuple[str, dict[str, Any]]:
    """Return the statement, and its parameters, that records the first `done` statements of a file as applied.

    Args:
        migration: the file.
        done: how many of its statements are done, from the first on.
        started_at: when the last of them began.
        release: the hash of the release.

    """
    return QUERIES["record_statements"], {
        "version": migration.version,
        "name": migration.name,
        "checksum": migration.checksum,
        "applied_statements": [statement.checksum for statement in migration.statements[:done]],
        "done": done == len(migration.statements),
        "started_at": started_at,
        "release": release,
    }
