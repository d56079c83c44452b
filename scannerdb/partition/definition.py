"""A table's definition from the catalogue: compared before and after, and turned into DDL for the other table."""

from collections.abc import Iterator
from typing import Any

from psycopg2 import sql

from scannerdb.partition.errors import ChangedTableError
from scannerdb.partition.names import QUERIES, WORKSHOP, identifier

Definition = dict[str, Any]

# The copy is made from these; a change of them is refused. The rest is carried over at the swap, as it is then.
STRUCTURE = ("columns", "key", "constraints", "indexes", "options", "owner", "replica_identity", "marked_indexes")
# A partitioned table has these on its partitions, not on itself.
PARTITIONS_ONLY = ("options", "marked_indexes")

_SWITCH = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "D": "DISABLE"}


def read(cursor: Any, table: str) -> Definition:
    """Return the definition of a table."""
    cursor.execute(QUERIES["definition"], {"table": table, "schema": WORKSHOP})
    definition: Definition = cursor.fetchone()[0]
    return definition


def check_same(now: Definition, then: Definition, parts: tuple[str, ...], *, way_out: str) -> None:
    """Compare two definitions.

    Raises:
        ChangedTableError: they differ; the message names each part, what it was and what it is.

    """
    if changes := [part for part in parts if now[part] != then[part]]:
        details = "; ".join(f"{part}: {_difference(then[part], now[part])}" for part in changes)
        raise ChangedTableError(f"job_objects was changed since the copy was made ({details}); {way_out}")


def compared_parts(definition: Definition) -> tuple[str, ...]:
    """Return the parts that a partitioned table has as well as a plain one."""
    return tuple(part for part in definition if part not in PARTITIONS_ONLY)


def _difference(then: Any, now: Any) -> str:
    if isinstance(then, list) and isinstance(now, list):
        gone = [str(item) for item in then if item not in now]
        new = [str(item) for item in now if item not in then]
        return " ".join(filter(None, (f"was {', '.join(gone)}" if gone else "", f"is {', '.join(new)}" if new else "")))
    return f"was {then}, is {now}"


def trigger_statements(definition: Definition, table: str) -> Iterator[sql.Composable]:
    """Yield the DDL that creates the triggers again, on the table name that `definition` was read under."""
    for trigger in definition["triggers"]:
        yield sql.SQL(trigger["definition"])
    yield from trigger_switches(definition, table)
    for trigger in definition["triggers"]:
        if trigger["comment"] is not None:
            yield sql.SQL("COMMENT ON TRIGGER {} ON {} IS {}").format(
                sql.Identifier(trigger["name"]), identifier(table), sql.Literal(trigger["comment"])
            )


def trigger_switches(definition: Definition, table: str, *, state: str | None = None) -> Iterator[sql.Composable]:
    """Yield the DDL that enables or disables each trigger as it was, or all as `state`."""
    for trigger in definition["triggers"]:
        switch = _SWITCH[state or trigger["enabled"]]
        yield sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(
            identifier(table), sql.SQL(switch), sql.Identifier(trigger["name"])
        )


def view_statements(definition: Definition) -> Iterator[sql.Composable]:
    """Yield the DDL that rebinds views, and functions with an SQL body, to the table that has the name now."""
    for view in definition["views"]:
        options = f"WITH ({view['options']}) " if view["options"] else ""
        yield sql.SQL(f"CREATE OR REPLACE VIEW {view['name']} {options}AS {view['definition']}".rstrip(";"))
    for function in definition["functions"]:
        yield sql.SQL(function)


def grant_statements(have: Definition, want: Definition, table: str) -> Iterator[sql.Composable]:
    """Yield the GRANT and REVOKE statements from the grants of `have` to those of `want`."""
    for grant in have["grants"]:
        if grant not in want["grants"]:
            yield sql.SQL("REVOKE {} ON {} FROM {} CASCADE").format(
                _privilege(grant), identifier(table), _grantee(grant)
            )
    for grant in want["grants"]:
        if grant not in have["grants"]:
            option = sql.SQL(" WITH GRANT OPTION" if grant["is_grantable"] else "")
            yield sql.SQL("GRANT {} ON {} TO {}{}").format(
                _privilege(grant), identifier(table), _grantee(grant), option
            )


def comment_statements(definition: Definition, table: str) -> Iterator[sql.Composable]:
    """Yield COMMENT statements of the table, its columns and indexes."""
    schema = table.partition(".")[0]
    yield table_comment(definition, table)
    for column in definition["columns"]:
        name = sql.Identifier(*table.split("."), column["name"])
        yield sql.SQL("COMMENT ON COLUMN {} IS {}").format(name, sql.Literal(column["comment"]))
    for index in definition["indexes"]:
        name = sql.Identifier(schema, index["name"])
        yield sql.SQL("COMMENT ON INDEX {} IS {}").format(name, sql.Literal(index["comment"]))


def table_comment(definition: Definition, table: str) -> sql.Composable:
    """Return the COMMENT statement of the table itself."""
    return sql.SQL("COMMENT ON TABLE {} IS {}").format(identifier(table), sql.Literal(definition["comment"]))


def constraint_comments(constraints: list[dict[str, Any]], table: str) -> list[sql.Composable]:
    """Return COMMENT statements of some constraints."""
    return [
        sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(
            sql.Identifier(constraint["name"]), identifier(table), sql.Literal(constraint["comment"])
        )
        for constraint in constraints
        if constraint["comment"] is not None
    ]


def _privilege(grant: dict[str, Any]) -> sql.Composable:
    columns = sql.SQL(" ({})").format(sql.Identifier(grant["column_name"])) if grant["column_name"] else sql.SQL("")
    return sql.SQL(grant["privilege"]) + columns


def _grantee(grant: dict[str, Any]) -> sql.Composable:
    return sql.Identifier(grant["grantee"]) if grant["grantee"] else sql.SQL("PUBLIC")
