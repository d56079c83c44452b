"""Makes the partitioned table that will replace the original, in a schema of its own and under its final names."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from psycopg2 import sql

from handlers.migrator.session import Session
from scannerdb.partition import definition as definitions
from scannerdb.partition import state as states
from scannerdb.partition.definition import Definition
from scannerdb.partition.locks import Locks, run_all, with_locks
from scannerdb.partition.names import (
    ORIGINAL,
    PARTITION_KEY,
    QUERIES,
    SHADOW,
    WORKSHOP,
    identifier,
    partition_names,
)


def create(session: Session, definition: Definition, modulus: int) -> None:
    """Make the empty table with its partitions, indexes and settings, and check that it can have the triggers.

    Raises:
        psycopg2.Error: PostgreSQL refuses a part of it; nothing has changed.

    """
    cursor = session.cursor
    cursor.execute("BEGIN")
    states.begin(cursor, modulus=modulus, definition=definition)
    run_all(cursor, _statements(definition, modulus))
    run_all(cursor, _markings(cursor, definition))
    cursor.execute("SAVEPOINT trial")
    for trigger in definition["triggers"]:
        cursor.execute(trigger["definition"].replace(f" ON {ORIGINAL} ", f" ON {SHADOW} ", 1))
    cursor.execute("ROLLBACK TO trial")
    cursor.execute("COMMIT")


def _statements(definition: Definition, modulus: int) -> Iterator[sql.Composable]:
    shadow = identifier(SHADOW)
    yield sql.SQL(
        "CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION) "
        "PARTITION BY HASH ({})"
    ).format(shadow, identifier(ORIGINAL), sql.Identifier(PARTITION_KEY))
    for constraint in definition["constraints"]:
        if constraint["type"] == "p":
            yield sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                shadow, sql.Identifier(constraint["name"]), sql.SQL(constraint["definition"])
            )
    partitions = partition_names(modulus)
    for remainder, partition in enumerate(partitions):
        yield sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES WITH (MODULUS {}, REMAINDER {}){}").format(
            identifier(partition), shadow, sql.Literal(modulus), sql.Literal(remainder), _options(definition["options"])
        )
    for index in definition["indexes"]:
        if not index["is_key"]:
            yield sql.SQL(index["definition"].replace(f" ON {ORIGINAL} ", f" ON {SHADOW} ", 1))
    for column in definition["columns"]:
        for table in (SHADOW, *partitions):
            yield from _column_settings(column, table)
    yield from definitions.comment_statements(definition, SHADOW)
    yield from definitions.constraint_comments([c for c in definition["constraints"] if c["type"] != "f"], SHADOW)
    yield sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}").format(
        sql.Identifier(WORKSHOP), sql.Identifier(definition["owner"])
    )
    for table in (SHADOW, *partitions):
        yield sql.SQL("ALTER TABLE {} OWNER TO {}").format(identifier(table), sql.Identifier(definition["owner"]))


def _options(options: list[str]) -> sql.Composable:
    if not options:
        return sql.SQL("")
    pairs = (option.partition("=") for option in options)
    return sql.SQL(" WITH ({})").format(
        sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.SQL(name), sql.Literal(value)) for name, _, value in pairs)
    )


def _column_settings(column: dict[str, Any], table: str) -> Iterator[sql.Composable]:
    alter = sql.SQL("ALTER TABLE ONLY {} ALTER COLUMN {} ").format(identifier(table), sql.Identifier(column["name"]))
    if column["statistics"] is not None:
        yield alter + sql.SQL("SET STATISTICS {}").format(sql.Literal(column["statistics"]))
    if column["options"]:
        yield alter + sql.SQL(f"SET ({column['options']})")


def _markings(cursor: Any, definition: Definition) -> Iterator[sql.Composable]:
    """Yield the replica identity and the index of CLUSTER, which only the partitions have."""
    cursor.execute(QUERIES["partitions"], {"table": SHADOW})
    partitions = [name for (name,) in cursor.fetchall()]
    if word := {"f": "FULL", "n": "NOTHING"}.get(definition["replica_identity"]):
        for table in (SHADOW, *partitions):
            yield sql.SQL("ALTER TABLE ONLY {} REPLICA IDENTITY {}").format(identifier(table), sql.SQL(word))
    for marked in definition["marked_indexes"]:
        name = marked["name"].rpartition(".")[2]
        if marked["identity"]:
            yield sql.SQL(f"ALTER TABLE ONLY {SHADOW} REPLICA IDENTITY USING INDEX {name}")
        cursor.execute(QUERIES["child_indexes"], {"index": f"{WORKSHOP}.{name}"})
        for partition, child in cursor.fetchall():
            if marked["identity"]:
                yield sql.SQL(f"ALTER TABLE {partition} REPLICA IDENTITY USING INDEX {child}")
            if marked["clustered"]:
                yield sql.SQL(f"ALTER TABLE {partition} CLUSTER ON {child}")


def add_foreign_keys(session: Session, definition: Definition, modulus: int) -> None:
    """Give the complete copy its foreign keys: NOT VALID on each partition, then validated while writers go on.

    The partitioned table's own key then takes theirs over without a scan. Before that the original's foreign key
    already checks every mirrored row, and the copy saves a lookup in `jobs` for each row.
    """
    partitions = partition_names(modulus)
    for key in (constraint for constraint in definition["constraints"] if constraint["type"] == "f"):
        name, text, referenced = sql.Identifier(key["name"]), sql.SQL(key["definition"]), key["references"]
        if _state(session, SHADOW, key["name"]) is not None:
            continue
        missing = [partition for partition in partitions if _state(session, partition, key["name"]) is None]
        if missing:
            add = [
                sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {} NOT VALID").format(identifier(partition), name, text)
                for partition in missing
            ]
            # ADD CONSTRAINT takes this lock on `jobs` itself; it does not block the lookups of foreign keys.
            tables = [(referenced, "SHARE ROW EXCLUSIVE"), *_members([SHADOW, *missing])]
            locks = Locks(gently=(referenced, *missing), tables=tables)
            with_locks(session, locks, partial(run_all, session.cursor, add), what=f"foreign key to {referenced}")
        session.report(f"checking the foreign key to {referenced} of {modulus} partitions")
        for partition in partitions:
            if not _state(session, partition, key["name"]):
                session.cursor.execute(
                    sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(identifier(partition), name)
                )
        whole: list[sql.Composable] = [
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(identifier(SHADOW), name, text)
        ]
        whole += definitions.constraint_comments([key], SHADOW)
        # An INSERT reads `jobs` before its trigger writes the copy: the exclusive lock on `jobs` comes first.
        tables = [(referenced, "ACCESS EXCLUSIVE"), *_members([SHADOW, *partitions])]
        locks = Locks(gently=(referenced, SHADOW, *partitions), tables=tables)
        with_locks(session, locks, partial(run_all, session.cursor, whole), what=f"foreign key to {referenced}")


def _members(tables: list[str]) -> list[tuple[str, str]]:
    """Return the locks of the partitioned table, then of its partitions: the order of writers."""
    return [(table, "SHARE ROW EXCLUSIVE") for table in tables]


def _state(session: Session, table: str, name: str) -> bool | None:
    """Return whether a constraint is validated; `None` when there is none."""
    session.cursor.execute(QUERIES["constraint_state"], {"table": table, "name": name})
    row = session.cursor.fetchone()
    return None if row is None else bool(row[0])
