"""Swaps the two tables in one short transaction, swaps them back, and drops the one that is no longer needed."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from psycopg2 import sql

from handlers.migrator.session import Session
from scannerdb.partition import definition as definitions
from scannerdb.partition import mirror, preflight
from scannerdb.partition import state as states
from scannerdb.partition.definition import STRUCTURE, Definition
from scannerdb.partition.locks import Locks, around, run_all, with_locks
from scannerdb.partition.names import (
    GUARD,
    KEPT,
    ORIGINAL,
    QUERIES,
    SCHEMA,
    SHADOW,
    TABLE,
    TO_KEPT,
    WORKSHOP,
    identifier,
    kept_name,
    partition_names,
)
from scannerdb.partition.state import Phase, State
from scannerdb.partition.steps import AGAIN, index_scans
from scannerdb.partition.verify import check_mirror, verify

_FINISH = "keep the partitioned table with --finish"
_UNDO = f"undo that, and run --revert again; or {_FINISH}"
# Advise an UPDATE, which is mirrored; an INSERT into the kept table could restore rows that a writer deletes.
_COPY_OVER = (
    f"{_FINISH}; or, while its mirror_* triggers are there, ENABLE ALWAYS them, copy what {KEPT} misses (an UPDATE of "
    "those rows to key = key does), delete there what is there only, run --revert again, and then `scannerdb rebuild`, "
    "because the progress misses the same writes"
)


def swap(session: Session, state: State) -> None:
    """Rename the partitioned table to the original's name; the original is kept and still gets every write.

    Only names change: both tables hold the same rows since the copy ended. A reader of a view locks the view before the
    table, so views are locked first.

    Raises:
        ChangedTableError: the original was changed since the copy was made, or the partitioned one would differ.
        CannotCarryError: a new object depends on the original, and cannot be carried over.
        CopyDiffersError: a trigger was disabled since the tables were compared.
        BusyTableError: no lock within `lock_patience_s`.

    """
    cursor = session.cursor
    empty = definitions.read(cursor, SHADOW)

    def work() -> None:
        original = definitions.read(cursor, ORIGINAL)
        definitions.check_same(original, state.definition, STRUCTURE, way_out=AGAIN)
        preflight.check_obstacles(cursor)
        check_mirror(session, SHADOW, way_out=AGAIN)
        run_all(cursor, _forth(original, empty))
        swapped = definitions.read(cursor, ORIGINAL)
        # Checked before the commit makes it visible.
        definitions.check_same(swapped, original, definitions.compared_parts(original), way_out=AGAIN)
        states.keep_definition(cursor, original)
        states.enter(cursor, Phase.SWAPPED)

    views = _views(definitions.read(cursor, ORIGINAL))
    referenced = _referenced(state.definition)
    tables = around(referenced, [(ORIGINAL, "ACCESS EXCLUSIVE"), (SHADOW, "ACCESS EXCLUSIVE")])
    session.report("exchanging the tables")
    with_locks(session, Locks(gently=[*referenced, ORIGINAL], views=views, tables=tables), work, what="swap")


def _forth(original: Definition, empty: Definition) -> Iterator[sql.Composable]:
    yield mirror.no_triggers()
    # The triggers that count would count the mirrored rows a second time.
    yield from definitions.trigger_switches(original, ORIGINAL, state="D")
    # Deletes in the partitioned table are mirrored. With a cascade into both tables, a delete of a job and a writer of
    # its objects could lock the rows of the two tables in opposite order, a deadlock.
    for key in _foreign_keys(original):
        yield sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(identifier(ORIGINAL), sql.Identifier(key["name"]))
    for position, index in enumerate(original["indexes"]):
        yield _rename_index(index["name"], kept_name(index["name"], position))
    yield sql.SQL("ALTER TABLE {} RENAME TO {}").format(identifier(ORIGINAL), sql.Identifier(KEPT.partition(".")[2]))
    yield sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(identifier(SHADOW), sql.Identifier(SCHEMA))
    yield from definitions.trigger_statements(original, ORIGINAL)
    yield mirror.to_kept(original)
    yield mirror.triggers(TO_KEPT)
    yield sql.SQL(GUARD["create"]).format(source=identifier(ORIGINAL))
    yield definitions.table_comment(original, ORIGINAL)
    yield from definitions.grant_statements(empty, original, ORIGINAL)
    yield from definitions.view_statements(original)


def swap_back(session: Session, state: State) -> None:
    """Rename the original table back, after a check that it holds every row: a write may have bypassed the triggers.

    Raises:
        ChangedTableError: the table was changed since the swap, and the original does not have the change.
        CopyDiffersError: the original lacks a write since the swap.
        BusyTableError: no lock within `lock_patience_s`.

    """
    cursor, original = session.cursor, state.definition

    def check_unchanged() -> None:
        now = definitions.read(cursor, ORIGINAL)
        definitions.check_same(now, original, definitions.compared_parts(original), way_out=_UNDO)

    def work() -> None:
        check_unchanged()
        check_mirror(session, KEPT, way_out=_COPY_OVER)
        run_all(cursor, _back(original))
        restored = definitions.read(cursor, ORIGINAL)
        for constraint in restored["constraints"]:
            constraint["definition"] = constraint["definition"].removesuffix(" NOT VALID")
        definitions.check_same(restored, original, tuple(original), way_out=_UNDO)
        states.enter(cursor, Phase.DISCARDING)

    check_unchanged()
    with index_scans(cursor):
        verify(session, original, KEPT, way_out=_COPY_OVER)
    views = _views(definitions.read(cursor, ORIGINAL))
    referenced = _referenced(original)
    tables = around(referenced, [(ORIGINAL, "ACCESS EXCLUSIVE"), (KEPT, "ACCESS EXCLUSIVE")])
    session.report("exchanging the tables")
    with_locks(session, Locks(gently=[*referenced, KEPT], views=views, tables=tables), work, what="swap back")


def _back(original: Definition) -> Iterator[sql.Composable]:
    yield mirror.no_triggers()
    # Until the partitioned table is dropped, deletes of jobs cascade into it; they must not be counted twice.
    for trigger in original["triggers"]:
        yield sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(trigger["name"]), identifier(ORIGINAL))
    yield sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(identifier(ORIGINAL), sql.Identifier(WORKSHOP))
    for position, index in enumerate(original["indexes"]):
        yield _rename_index(kept_name(index["name"], position), index["name"])
    yield sql.SQL("ALTER TABLE {} RENAME TO {}").format(identifier(KEPT), sql.Identifier(TABLE))
    keys = _foreign_keys(original)
    for key in keys:
        yield sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {} NOT VALID").format(
            identifier(ORIGINAL), sql.Identifier(key["name"]), sql.SQL(key["definition"])
        )
    yield from definitions.constraint_comments(keys, ORIGINAL)
    yield from definitions.trigger_switches(original, ORIGINAL)
    yield from definitions.view_statements(original)


def validate(session: Session, state: State) -> None:
    """Validate the foreign keys that the original got back as NOT VALID, while writers go on."""
    for key in _foreign_keys(state.definition):
        session.cursor.execute(QUERIES["constraint_state"], {"table": ORIGINAL, "name": key["name"]})
        if session.cursor.fetchone() == (False,):
            session.report(f"checking the foreign key to {key['references']}")
            session.cursor.execute(
                sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(
                    identifier(ORIGINAL), sql.Identifier(key["name"])
                )
            )


def stop_mirroring(session: Session, phase: Phase) -> None:
    """Drop the triggers, so that writers write one table only, and enter the phase that drops the other."""

    def work() -> None:
        run_all(session.cursor, [mirror.no_triggers()])
        states.enter(session.cursor, phase)

    gently = [ORIGINAL] if phase is Phase.DISCARDING else []  # a partitioned table is not vacuumed itself
    with_locks(
        session, Locks(gently=gently, tables=[(ORIGINAL, "ACCESS EXCLUSIVE")]), work, what="end of the mirroring"
    )


def drop_partitions(session: Session, state: State) -> None:
    """Drop the partitioned table, which gets no more writes, and the schema of this tool.

    Its foreign key is dropped first and alone, because that locks the referenced table, which writers use.
    """
    cursor = session.cursor
    cursor.execute(QUERIES["relation_kind"], {"table": SHADOW})
    if cursor.fetchone() is not None:
        members = [SHADOW, *partition_names(state.modulus)]
        for key in _foreign_keys(state.definition):
            name = sql.Identifier(key["name"])
            # That of the partitioned table first: a partition cannot drop an inherited constraint.
            drops = [
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(identifier(member), name)
                for member in members
            ]
            tables = [(table, "ACCESS EXCLUSIVE") for table in (key["references"], *members)]
            locks = Locks(gently=[key["references"], *members], tables=tables)
            with_locks(session, locks, partial(run_all, cursor, drops), what=f"foreign key to {key['references']}")
    drop(session, SHADOW)


def drop(session: Session, table: str) -> None:
    """Drop a table without foreign keys, and the schema of this tool with everything in it."""
    dropped = sql.SQL("DROP TABLE IF EXISTS {}").format(identifier(table))
    emptied = sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(WORKSHOP))
    run_all(session.cursor, [dropped, emptied])


def _foreign_keys(definition: Definition) -> list[dict[str, Any]]:
    return [constraint for constraint in definition["constraints"] if constraint["type"] == "f"]


def _referenced(definition: Definition) -> list[str]:
    """Return the tables that the foreign keys reference."""
    return sorted({key["references"] for key in _foreign_keys(definition)})


def _views(definition: Definition) -> list[tuple[str, str]]:
    return [(view["name"], view["owner"]) for view in definition["views"]]


def _rename_index(name: str, new_name: str) -> sql.Composable:
    return sql.SQL("ALTER INDEX {} RENAME TO {}").format(sql.Identifier(SCHEMA, name), sql.Identifier(new_name))
