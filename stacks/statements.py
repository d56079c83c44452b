"""What one SQL statement is: its kind, the locks it takes, whether it may run in a transaction.

Classified with PostgreSQL's own grammar (pglast), never with a regular expression. Lock levels are those of
https://www.postgresql.org/docs/17/explicit-locking.html and of the page of each command.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pglast import ast, enums, parse_sql, parser
from pglast.stream import RawStream

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

# Statements that take no lock on a table which anybody else uses.
_HARMLESS = {
    ast.AlterDefaultPrivilegesStmt: "ALTER DEFAULT PRIVILEGES",
    ast.AlterFunctionStmt: "ALTER FUNCTION",
    ast.AlterRoleSetStmt: "ALTER ROLE SET",
    ast.AlterRoleStmt: "ALTER ROLE",
    ast.CommentStmt: "COMMENT",
    ast.CreateExtensionStmt: "CREATE EXTENSION",
    ast.CreateFunctionStmt: "CREATE FUNCTION",
    ast.CreateRoleStmt: "CREATE ROLE",
    ast.CreateSchemaStmt: "CREATE SCHEMA",
    ast.CreateSeqStmt: "CREATE SEQUENCE",
    ast.CreateStatsStmt: "CREATE STATISTICS",
    ast.DoStmt: "DO",
    ast.GrantRoleStmt: "GRANT ROLE",
    ast.GrantStmt: "GRANT",
}


class UnsupportedStatementError(ValueError):
    """A statement that a migration may not contain, or that this module does not know."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """The index that a statement builds: enough to find it again and to compare it with the catalogue.

    Attributes:
        name: of the index.
        table: as the statement names it.
        unique: whether it is.
        columns: the names of its plain key columns.
        definition: what `pg_get_indexdef` says from `USING` on; `None` for expressions, predicates and the like, whose
            text PostgreSQL rewrites.

    """

    name: str
    table: str
    unique: bool
    columns: tuple[str, ...]
    definition: str | None


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a migration.

    Attributes:
        sql: its text, without comments around it.
        line: where it begins in its file, counted from 1.
        kind: for people, as `CREATE INDEX CONCURRENTLY`.
        lock: the strongest lock on an existing table or view, as PostgreSQL names it; `None` for none known.
        relations: what is locked, or named by the statement.
        in_transaction: whether PostgreSQL lets it run inside a transaction block.
        blocks_writers: whether a writer of `relations` waits while it runs.
        index: set when it builds an index.

    """

    sql: str
    line: int
    kind: str
    lock: str | None
    relations: tuple[str, ...]
    in_transaction: bool
    blocks_writers: bool
    index: Index | None = None

    def as_manifest(self) -> dict[str, Any]:
        """Return the statement as it stands in the release's manifest."""
        return asdict(self)


def split(sql: str) -> Iterator[Statement]:
    """Yield the statements of a file.

    Raises:
        pglast.parser.ParseError: PostgreSQL's grammar refuses the text.
        UnsupportedStatementError: it holds a statement that a migration may not contain.

    """
    for part in parser.split(sql, with_parser=True, only_slices=True):
        text = sql[part]
        line = sql.count("\n", 0, part.start) + 1
        try:
            yield _classify(parse_sql(text)[0].stmt, text, line)
        except UnsupportedStatementError as error:
            raise UnsupportedStatementError(f"line {line}: {error}") from error


def _statement(
    text: str,
    line: int,
    kind: str,
    *,
    lock: str | None = None,
    relations: tuple[str, ...] = (),
    in_transaction: bool = True,
    index: Index | None = None,
) -> Statement:
    return Statement(
        sql=text,
        line=line,
        kind=kind,
        lock=lock,
        relations=relations,
        in_transaction=in_transaction,
        blocks_writers=lock in BLOCKS_WRITERS,
        index=index,
    )


def _name(relation: Any) -> str:
    return f"{relation.schemaname}.{relation.relname}" if relation.schemaname else str(relation.relname)


def _names(relations: Any) -> tuple[str, ...]:
    return tuple(_name(relation) for relation in relations or ())


def _has_option(options: Any, name: str) -> bool:
    return any(option.defname == name for option in options or ())


def _classify(node: Any, text: str, line: int) -> Statement:  # noqa: C901, PLR0911, PLR0912 - one case a kind
    lock: str | None
    match node:
        case ast.IndexStmt():
            table = _name(node.relation)
            kind = " ".join(
                [
                    "CREATE",
                    *(["UNIQUE"] if node.unique else []),
                    "INDEX",
                    *(["CONCURRENTLY"] if node.concurrent else []),
                ]
            )
            return _statement(
                text,
                line,
                kind,
                lock="SHARE UPDATE EXCLUSIVE" if node.concurrent else "SHARE",
                relations=(table,),
                in_transaction=not node.concurrent,
                index=_index(node, table),
            )
        case ast.DropStmt():
            return _classify_drop(node, text, line)
        case ast.ReindexStmt():
            concurrently = _has_option(node.params, "concurrently")
            kind = "REINDEX CONCURRENTLY" if concurrently else "REINDEX"
            lock = "SHARE UPDATE EXCLUSIVE" if concurrently else "ACCESS EXCLUSIVE"
            relations = _names([node.relation] if node.relation else [])
            return _statement(text, line, kind, lock=lock, relations=relations, in_transaction=not concurrently)
        case ast.CreateStmt():
            referenced = _names(
                constraint.pktable
                for element in node.tableElts or ()
                for constraint in (element.constraints or () if isinstance(element, ast.ColumnDef) else (element,))
                if getattr(constraint, "pktable", None)
            )
            lock = "SHARE ROW EXCLUSIVE" if referenced else None
            return _statement(text, line, "CREATE TABLE", lock=lock, relations=referenced)
        case ast.AlterTableStmt():
            return _classify_alter_table(node, text, line)
        case ast.RenameStmt() | ast.AlterOwnerStmt() | ast.AlterObjectSchemaStmt():
            relation = getattr(node, "relation", None)
            lock = "ACCESS EXCLUSIVE" if relation else None
            relations = _names([relation] if relation else [])
            return _statement(text, line, "ALTER", lock=lock, relations=relations)
        case ast.CreateTrigStmt():
            relations = _names([node.relation])
            return _statement(text, line, "CREATE TRIGGER", lock="SHARE ROW EXCLUSIVE", relations=relations)
        case ast.ViewStmt():
            lock = "ACCESS EXCLUSIVE" if node.replace else None
            return _statement(text, line, "CREATE VIEW", lock=lock, relations=(_name(node.view),))
        case ast.CreateTableAsStmt():
            view = node.objtype == enums.ObjectType.OBJECT_MATVIEW
            return _statement(text, line, "CREATE MATERIALIZED VIEW" if view else "CREATE TABLE AS")
        case ast.RefreshMatViewStmt():
            lock = "EXCLUSIVE" if node.concurrent else "ACCESS EXCLUSIVE"
            relations = _names([node.relation])
            return _statement(text, line, "REFRESH MATERIALIZED VIEW", lock=lock, relations=relations)
        case ast.TruncateStmt():
            relations = _names(node.relations)
            return _statement(text, line, "TRUNCATE", lock="ACCESS EXCLUSIVE", relations=relations)
        case ast.LockStmt():
            relations = _names(node.relations)
            return _statement(text, line, "LOCK TABLE", lock=_lock_mode(node.mode), relations=relations)
        case ast.InsertStmt() | ast.UpdateStmt() | ast.DeleteStmt() | ast.MergeStmt():
            kind = type(node).__name__.removesuffix("Stmt").upper()
            return _statement(text, line, kind, lock="ROW EXCLUSIVE", relations=(_name(node.relation),))
        case ast.SelectStmt():
            return _statement(text, line, "SELECT", lock="ACCESS SHARE")
        case ast.VacuumStmt():
            vacuum = bool(node.is_vacuumcmd)
            relations = _names(item.relation for item in node.rels or ())
            return _statement(
                text,
                line,
                "VACUUM" if vacuum else "ANALYZE",
                lock="SHARE UPDATE EXCLUSIVE",
                relations=relations,
                in_transaction=not vacuum,
            )
        case ast.TransactionStmt():
            raise UnsupportedStatementError(
                f"{text.split(maxsplit=1)[0].upper()}: the runner opens and ends transactions; leave the statement out"
            )
        case ast.VariableSetStmt():
            raise UnsupportedStatementError(
                f"SET {node.name}: the runner sets timeouts for each statement; leave the statement out"
            )
    for known, kind in _HARMLESS.items():
        if isinstance(node, known):
            return _statement(text, line, kind)
    raise UnsupportedStatementError(
        f"{type(node).__name__} is not known to stacks/statements.py; say there which locks it takes"
    )


def _classify_drop(node: Any, text: str, line: int) -> Statement:
    what = str(node.removeType.name).removeprefix("OBJECT_").replace("MATVIEW", "MATERIALIZED VIEW")
    names = tuple(RawStream()(item) if not isinstance(item, tuple) else _dotted(item) for item in node.objects)
    if node.concurrent:
        kind, lock = f"DROP {what} CONCURRENTLY", "SHARE UPDATE EXCLUSIVE"
        return _statement(text, line, kind, lock=lock, relations=names, in_transaction=False)
    locks = what in {"TABLE", "VIEW", "MATERIALIZED VIEW", "INDEX", "TRIGGER", "SEQUENCE", "POLICY", "RULE"}
    return _statement(text, line, f"DROP {what}", lock="ACCESS EXCLUSIVE" if locks else None, relations=names)


def _classify_alter_table(node: Any, text: str, line: int) -> Statement:
    order = ["SHARE UPDATE EXCLUSIVE", "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"]
    locks = [_GENTLE_ALTERATIONS.get(command.subtype, "ACCESS EXCLUSIVE") for command in node.cmds]
    lock = max(locks, key=order.index)
    in_transaction = True
    for command in node.cmds:
        if isinstance(command.def_, ast.PartitionCmd) and command.def_.concurrent:
            lock, in_transaction = "SHARE UPDATE EXCLUSIVE", False
    what = str(node.objtype.name).removeprefix("OBJECT_").replace("MATVIEW", "MATERIALIZED VIEW")
    relations = _names([node.relation])
    return _statement(text, line, f"ALTER {what}", lock=lock, relations=relations, in_transaction=in_transaction)


def _index(node: Any, table: str) -> Index | None:
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


def _dotted(names: tuple[Any, ...]) -> str:
    return ".".join(name.sval for name in names)


def _lock_mode(mode: Any) -> str:
    names = (
        *("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"),
        *("SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"),
    )
    return names[mode - 1]
