"""What one SQL statement is: its kind, the locks it takes, whether it may run in a transaction.

Classified with PostgreSQL's own grammar (pglast), never with a regular expression. Lock levels are those of
https://www.postgresql.org/docs/17/explicit-locking.html and of the page of each command.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pglast import ast, enums, parse_sql, parser
from pglast.stream import RawStream

from handlers.contract.release import Index, SqlStatement

# Lock levels that make a writer (ROW EXCLUSIVE) wait.
BLOCKS_WRITERS = frozenset({"SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"})

# ALTER TABLE takes ACCESS EXCLUSIVE but for these.
_GENTLE_ALTERATIONS = {
    enums.AlterTableType.AT_ValidateConstraint: "SHARE UPDATE EXCLUSIVE",
    enums.AlterTableType.AT_SetStatistics: "SHARE UPDATE EXCLUSIVE",
    enums.AlterTableType.AT_SetRelOptions: "SHARE UPDATE EXCLUSIVE",
    enums.AlterTableType.AT_ResetRelOptions: "SHARE UPDATE EXCLUSIVE",
    enums.AlterTableType.AT_AttachPartition: "SHARE UPDATE EXCLUSIVE",
    enums.AlterTableType.AT_EnableTrig: "SHARE ROW EXCLUSIVE",
    enums.AlterTableType.AT_DisableTrig: "SHARE ROW EXCLUSIVE",
}

# Statements that lock no table in use.
_HARMLESS = {
    ast.AlterDefaultPrivilegesStmt: "ALTER DEFAULT PRIVILEGES",
    ast.AlterFunctionStmt: "ALTER FUNCTION",
    ast.AlterRoleSetStmt: "ALTER ROLE SET",
    ast.AlterRoleStmt: "ALTER ROLE",
    ast.CommentStmt: "COMMENT",
    ast.CreateExtensionStmt: "CREATE EXTENSION",
    ast.CreateRoleStmt: "CREATE ROLE",
    ast.CreateSchemaStmt: "CREATE SCHEMA",
    ast.CreateSeqStmt: "CREATE SEQUENCE",
    ast.CreateStatsStmt: "CREATE STATISTICS",
    ast.DoStmt: "DO",
    ast.GrantRoleStmt: "GRANT ROLE",
    ast.GrantStmt: "GRANT",
}


# A name that PostgreSQL reads back as it is; any other is quoted.
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")


class UnsupportedStatementError(ValueError):
    """A statement that a migration may not contain, or that this module does not know."""


def split(sql: str) -> Iterator[SqlStatement]:
    """Yield the statements of a file.

    Raises:
        pglast.parser.ParseError: PostgreSQL's grammar refuses the text.
        UnsupportedStatementError: it holds a statement that a migration may not contain.

    """
    for part in parser.split(sql, with_parser=True, only_slices=True):
        text = sql[part]
        line = sql.count("\n", 0, part.start) + 1
        try:
            effect = _classify(parse_sql(text)[0].stmt)
        except UnsupportedStatementError as error:
            raise UnsupportedStatementError(f"line {line}: {error}") from error
        yield SqlStatement(
            sql=text,
            line=line,
            kind=effect.kind,
            name=", ".join(effect.relations) if effect.name is None else effect.name,
            lock=effect.lock,
            relations=effect.relations,
            in_transaction=effect.in_transaction,
            blocks_writers=effect.lock in BLOCKS_WRITERS,
            index=effect.index,
        )


@dataclass(frozen=True)
class _Effect:
    """What a node of the grammar does; `name` is that of its relations where it is not given."""

    kind: str
    lock: str | None = None
    relations: tuple[str, ...] = ()
    in_transaction: bool = True
    index: Index | None = None
    name: str | None = None


def _name(relation: Any) -> str:
    return ".".join(_quoted(part) for part in (relation.schemaname, relation.relname) if part)


def _quoted(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _names(relations: Any) -> tuple[str, ...]:
    return tuple(_name(relation) for relation in relations or ())


def _classify(node: Any) -> _Effect:  # noqa: C901, PLR0911, PLR0912 - one case a kind
    match node:
        case ast.IndexStmt():
            table = _name(node.relation)
            words: list[Any] = ["CREATE", node.unique and "UNIQUE", "INDEX", node.concurrent and "CONCURRENTLY"]
            lock = "SHARE UPDATE EXCLUSIVE" if node.concurrent else "SHARE"
            index = _index(node, table)
            return _Effect(" ".join(filter(None, words)), lock, (table,), not node.concurrent, index, index.name)
        case ast.DropStmt():
            return _classify_drop(node)
        case ast.ReindexStmt():
            relations = _names([node.relation] if node.relation else [])
            if any(option.defname == "concurrently" for option in node.params or ()):
                return _Effect("REINDEX CONCURRENTLY", "SHARE UPDATE EXCLUSIVE", relations, in_transaction=False)
            return _Effect("REINDEX", "ACCESS EXCLUSIVE", relations)
        case ast.CreateStmt():
            referenced = _names(
                constraint.pktable
                for element in node.tableElts or ()
                for constraint in (element.constraints or () if isinstance(element, ast.ColumnDef) else (element,))
                if getattr(constraint, "pktable", None)
            )
            lock_of_reference = "SHARE ROW EXCLUSIVE" if referenced else None
            return _Effect("CREATE TABLE", lock_of_reference, referenced, name=_name(node.relation))
        case ast.AlterTableStmt():
            return _classify_alter_table(node)
        case ast.RenameStmt() | ast.AlterOwnerStmt() | ast.AlterObjectSchemaStmt():
            relation = getattr(node, "relation", None)
            return _Effect("ALTER", "ACCESS EXCLUSIVE" if relation else None, _names([relation] if relation else []))
        case ast.CreateTrigStmt():
            return _Effect("CREATE TRIGGER", "SHARE ROW EXCLUSIVE", _names([node.relation]), name=str(node.trigname))
        case ast.ViewStmt():
            return _Effect("CREATE VIEW", "ACCESS EXCLUSIVE" if node.replace else None, _names([node.view]))
        case ast.CreateTableAsStmt():
            view = node.objtype == enums.ObjectType.OBJECT_MATVIEW
            kind = "CREATE MATERIALIZED VIEW" if view else "CREATE TABLE AS"
            return _Effect(kind, name=_name(node.into and node.into.rel))
        case ast.CreateFunctionStmt():
            return _Effect("CREATE FUNCTION", name=_dotted(node.funcname))
        case ast.RefreshMatViewStmt():
            lock = "EXCLUSIVE" if node.concurrent else "ACCESS EXCLUSIVE"
            return _Effect("REFRESH MATERIALIZED VIEW", lock, _names([node.relation]))
        case ast.TruncateStmt():
            return _Effect("TRUNCATE", "ACCESS EXCLUSIVE", _names(node.relations))
        case ast.LockStmt():
            return _Effect("LOCK TABLE", _lock_mode(node.mode), _names(node.relations))
        case ast.InsertStmt() | ast.UpdateStmt() | ast.DeleteStmt() | ast.MergeStmt():
            kind = type(node).__name__.removesuffix("Stmt").upper()
            return _Effect(kind, "ROW EXCLUSIVE", _names([node.relation]))
        case ast.SelectStmt():
            # The grammar cannot tell what a function locks.
            called = _called(node)
            return _Effect("SELECT", None if called else "ACCESS SHARE", name=called)
        case ast.VacuumStmt():
            relations = _names(item.relation for item in node.rels or ())
            kind = "VACUUM" if node.is_vacuumcmd else "ANALYZE"
            return _Effect(kind, "SHARE UPDATE EXCLUSIVE", relations, in_transaction=not node.is_vacuumcmd)
        case ast.TransactionStmt():
            raise UnsupportedStatementError("the runner opens and ends transactions; leave BEGIN, COMMIT and such out")
        case ast.VariableSetStmt():
            raise UnsupportedStatementError(
                f"SET {node.name}: the runner sets timeouts for each statement; leave the statement out"
            )
    for known, kind in _HARMLESS.items():
        if isinstance(node, known):
            return _Effect(kind)
    raise UnsupportedStatementError(
        f"{type(node).__name__} is not known to stacks/assets/sql_statements.py; say there which locks it takes"
    )


def _called(node: Any) -> str | None:
    """Return `f()` where the statement is `SELECT f(...)` and no more."""
    targets: Any = node.targetList or ()
    if len(targets) != 1 or node.fromClause or not isinstance(targets[0].val, ast.FuncCall):
        return None
    return f"{_dotted(targets[0].val.funcname)}()"


def _classify_drop(node: Any) -> _Effect:
    what = str(node.removeType.name).removeprefix("OBJECT_").replace("MATVIEW", "MATERIALIZED VIEW")
    names = tuple(_dotted(item) if isinstance(item, tuple) else RawStream()(item) for item in node.objects)
    if node.concurrent:
        return _Effect(f"DROP {what} CONCURRENTLY", "SHARE UPDATE EXCLUSIVE", names, in_transaction=False)
    locks = what in {"TABLE", "VIEW", "MATERIALIZED VIEW", "INDEX", "TRIGGER", "SEQUENCE", "POLICY", "RULE"}
    return _Effect(f"DROP {what}", "ACCESS EXCLUSIVE" if locks else None, names)


def _classify_alter_table(node: Any) -> _Effect:
    what = str(node.objtype.name).removeprefix("OBJECT_").replace("MATVIEW", "MATERIALIZED VIEW")
    relations = _names([node.relation])
    if any(isinstance(command.def_, ast.PartitionCmd) and command.def_.concurrent for command in node.cmds):
        return _Effect(f"ALTER {what}", "SHARE UPDATE EXCLUSIVE", relations, in_transaction=False)
    order = ["SHARE UPDATE EXCLUSIVE", "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"]
    locks = [_GENTLE_ALTERATIONS.get(command.subtype, "ACCESS EXCLUSIVE") for command in node.cmds]
    return _Effect(f"ALTER {what}", max(locks, key=order.index), relations)


def _index(node: Any, table: str) -> Index:
    if not node.idxname:
        raise UnsupportedStatementError("CREATE INDEX without a name; name it, so that a killed build can be found")
    plain = not (node.whereClause or node.indexIncludingParams or node.options or node.nulls_not_distinct)
    columns = [_index_column(element) for element in node.indexParams]
    keys = [column for column in columns if column is not None]
    comparable = plain and len(keys) == len(columns)
    return Index(
        name=str(node.idxname),
        table=table,
        unique=bool(node.unique),
        columns=tuple(element.name for element in node.indexParams if element.name),
        definition=f"USING {node.accessMethod} ({', '.join(keys)})" if comparable else None,
    )


def _index_column(element: Any) -> str | None:
    """Return a key column as `pg_get_indexdef` prints it, or `None` when it is more than a column and its order."""
    if element.expr or element.opclass or element.collation:
        return None
    descending = element.ordering == enums.SortByDir.SORTBY_DESC
    first = {enums.SortByNulls.SORTBY_NULLS_FIRST: True, enums.SortByNulls.SORTBY_NULLS_LAST: False}
    nulls_first = first.get(element.nulls_ordering, descending)
    nulls = "" if nulls_first == descending else f" NULLS {'FIRST' if nulls_first else 'LAST'}"
    return f"{element.name}{' DESC' if descending else ''}{nulls}"


def _dotted(names: Any) -> str:
    return ".".join(name.sval for name in names)


def _lock_mode(mode: Any) -> str:
    names = (
        *("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"),
        *("SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"),
    )
    return names[mode - 1]
