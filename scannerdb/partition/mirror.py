"""The triggers that write a second table in the transaction of whoever writes the first."""

from psycopg2 import sql

from scannerdb.partition.definition import Definition
from scannerdb.partition.names import KEPT, ORIGINAL, SHADOW, TEMPLATES, TO_KEPT, TO_PARTITIONS, Columns, identifier


def to_partitions(definition: Definition, *, complete: bool) -> sql.Composable:
    """Return the function that writes the partitioned table while the original one has the name.

    Args:
        definition: of the original table.
        complete: whether every row is copied, and no snapshot is left that is older than the copy. Before that, a
            transaction above READ COMMITTED has to be kept from passing over what it does not see.

    """
    return _function(definition, TO_PARTITIONS, target=SHADOW, touch=not complete)


def to_kept(definition: Definition) -> sql.Composable:
    """Return the function that writes the original table after the swap."""
    return _function(definition, TO_KEPT, target=KEPT, touch=False)


def triggers(function: str) -> sql.Composable:
    """Return what hangs a function on whatever table has the name now."""
    return sql.SQL(TEMPLATES["create_triggers"]).format(source=identifier(ORIGINAL), function=identifier(function))


def no_triggers() -> sql.Composable:
    """Return what takes the triggers off again."""
    return sql.SQL(TEMPLATES["drop_triggers"]).format(source=identifier(ORIGINAL))


def _function(definition: Definition, function: str, *, target: str, touch: bool) -> sql.Composable:
    columns = Columns.of(definition)
    tables = {"source": identifier(ORIGINAL), "target": identifier(target)}
    first = columns.fill("touch", **tables) + sql.SQL(";") if touch else sql.SQL("")
    return columns.fill("create_mirror", function=identifier(function), touch=first, **tables)
