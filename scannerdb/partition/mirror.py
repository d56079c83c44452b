"""Triggers that repeat each write on the second table, in the writer's transaction."""

from psycopg2 import sql

from scannerdb.partition.definition import Definition
from scannerdb.partition.names import KEPT, ORIGINAL, SHADOW, TEMPLATES, TO_KEPT, TO_PARTITIONS, Columns, identifier


def to_partitions(definition: Definition, *, complete: bool) -> sql.Composable:
    """Return the trigger function that writes the partitioned table, before the swap.

    Args:
        definition: of the original table.
        complete: whether every row is copied and no snapshot is older than the copy. Before that, a delete above
            READ COMMITTED may not see a copied row: see `touch` in mirror.sql.

    """
    return _function(definition, TO_PARTITIONS, target=SHADOW, touch=not complete)


def to_kept(definition: Definition) -> sql.Composable:
    """Return the trigger function that writes the original table, after the swap."""
    return _function(definition, TO_KEPT, target=KEPT, touch=False)


def triggers(function: str) -> sql.Composable:
    """Return the DDL of the triggers on the table that has the name now."""
    return sql.SQL(TEMPLATES["create_triggers"]).format(source=identifier(ORIGINAL), function=identifier(function))


def no_triggers() -> sql.Composable:
    """Return the DDL that drops the triggers."""
    return sql.SQL(TEMPLATES["drop_triggers"]).format(source=identifier(ORIGINAL))


def _function(definition: Definition, function: str, *, target: str, touch: bool) -> sql.Composable:
    columns = Columns.of(definition)
    tables = {"source": identifier(ORIGINAL), "target": identifier(target)}
    first = columns.fill("touch", **tables) + sql.SQL(";") if touch else sql.SQL("")
    delete = columns.fill("delete_gone", touch=first, **tables)
    return columns.fill("create_mirror", function=identifier(function), delete_gone=delete, **tables)
