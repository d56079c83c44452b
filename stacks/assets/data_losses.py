"""What a statement loses: rows, columns and values that it removes or overwrites, told by PostgreSQL's grammar.

The grammar sees no rows. So a statement loses data when it may, unless the files exclude that: a wider type, a batch
with a LIMIT, a table that the same file made.
"""

from collections.abc import Iterator
from typing import Any

from pglast import ast, enums, parser
from pglast.stream import RawStream

from stacks.assets.blocks import UnreadableBlockError, block_statements
from stacks.assets.column_types import ColumnTypes, column_type
from stacks.assets.grammar import dotted, dropped_name, nodes, quoted, relation_name, relation_names

_LOST_BY_DROP = {
    enums.ObjectType.OBJECT_TABLE: "the rows of {}",
    enums.ObjectType.OBJECT_SCHEMA: "the schema {} with its tables",
    enums.ObjectType.OBJECT_SEQUENCE: "the numbers that {} has reached",
    enums.ObjectType.OBJECT_EXTENSION: "what the extension {} keeps in tables of its own",
}
_COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})
_WRITES = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt, ast.CreateTableAsStmt)


class FileContext:
    """What the statements before tell: the types of columns, and the tables that the same file made."""

    def __init__(self, columns: ColumnTypes | None = None) -> None:
        self.columns = columns or ColumnTypes()
        self.made: set[str] = set()

    def learn(self, node: Any) -> None:
        """Take in a statement after it was judged."""
        self.columns.learn(node)
        if isinstance(node, ast.CreateStmt) and not node.if_not_exists:
            self.made.add(relation_name(node.relation))
        elif isinstance(node, ast.CreateTableAsStmt) and not node.if_not_exists:
            self.made.add(relation_name(node.into and node.into.rel))


def losses(node: Any, text: str, context: FileContext) -> tuple[tuple[str, ...], str]:
    """Return what a statement loses, a phrase each, and the clause that loses it; nothing where no data is lost.

    Args:
        node: its node of the grammar.
        text: its SQL.
        context: what the statements before it tell.

    """
    try:
        parts = block_statements(text) if isinstance(node, ast.DoStmt) else [(text, node)]
    except UnreadableBlockError as error:
        return (f"it is not known what: {error}",), one_line(text)
    found = [(phrase, one_line(sql)) for sql, part in parts for phrase in _losses(part, context)]
    return tuple(dict.fromkeys(phrase for phrase, _ in found)), "; ".join(dict.fromkeys(clause for _, clause in found))


def one_line(sql: str) -> str:
    """Return a statement on one line, without its comments; what stands in quotes stays as it is."""
    words: list[str] = []
    end = -1
    for token in parser.scan(sql):
        if token.name not in _COMMENTS:
            words.append(" " if words and token.start > end + 1 else "")
            words.append(sql[token.start : token.end + 1])
            end = token.end
    return "".join(words)


def _losses(node: Any, context: FileContext) -> Iterator[str]:  # noqa: C901 - one case a kind
    match node:
        case ast.DropStmt():
            yield from _of_drop(node, context)
        case ast.DropOwnedStmt():
            yield f"all that {', '.join(str(RawStream()(role)) for role in node.roles or ())} owns"
        case ast.TruncateStmt():
            if tables := [name for name in relation_names(node.relations) if name not in context.made]:
                yield f"the rows of {', '.join(tables)}"
                if node.behavior == enums.DropBehavior.DROP_CASCADE:
                    yield f"the rows of each table that references {', '.join(tables)} (CASCADE)"
        case ast.AlterTableStmt() if relation_name(node.relation) not in context.made:
            for command in node.cmds or ():
                yield from _of_alteration(command, relation_name(node.relation), context)
        case ast.AlterDomainStmt(behavior=enums.DropBehavior.DROP_CASCADE):
            yield f"what depends on {dotted(node.typeName)} (CASCADE)"
        case _ if isinstance(node, _WRITES):
            for inner in nodes(node):
                yield from _of_write(inner, context)


def _of_drop(node: Any, context: FileContext) -> Iterator[str]:
    names = [name for name in map(dropped_name, node.objects) if name not in context.made]
    if not names:
        return
    if what := _LOST_BY_DROP.get(node.removeType):
        yield what.format(", ".join(names))
    if node.behavior == enums.DropBehavior.DROP_CASCADE:
        yield f"what depends on {', '.join(names)} (CASCADE)"


def _of_alteration(command: Any, table: str, context: FileContext) -> Iterator[str]:
    kinds = enums.AlterTableType
    if command.subtype == kinds.AT_DropColumn:
        yield f"the column {quoted(command.name)} of {table}"
    elif command.subtype == kinds.AT_AlterColumnType:
        old, new = context.columns.find(table, command.name), column_type(command.def_.typeName)
        column = f"{quoted(command.name)} of {table}"
        if command.def_.raw_default is not None:
            yield f"the values of {column} that USING replaces"
        elif not new.holds(old):
            yield f"what does not fit {new.text} in {column} (now {old.text if old else 'of a type not known here'})"
    elif command.subtype == kinds.AT_SetUnLogged:
        yield f"the rows of {table} when the server crashes"
    if command.behavior == enums.DropBehavior.DROP_CASCADE:
        yield f"what depends on {f'{quoted(command.name)} of ' if command.name else ''}{table} (CASCADE)"


def _of_write(node: Any, context: FileContext) -> Iterator[str]:  # noqa: C901 - one case a kind
    relation = getattr(node, "relation", None)
    if not isinstance(node, _WRITES) or relation is None or relation_name(relation) in context.made:
        return
    if any(isinstance(inner, ast.SelectStmt) and _is_limited(inner) for inner in nodes(node)):
        return
    table = relation_name(relation)
    match node:
        case ast.DeleteStmt():
            yield f"rows of {table}, without a batch"
        case ast.UpdateStmt():
            yield f"values of {_columns(node.targetList)} in {table}, without a batch"
        case ast.InsertStmt() if node.onConflictClause and node.onConflictClause.targetList:
            source: Any = node.selectStmt
            if not source.valuesLists:
                yield f"values of {_columns(node.onConflictClause.targetList)} in {table}, without a batch"
        case ast.MergeStmt():
            for clause in node.mergeWhenClauses or ():
                if clause.commandType == enums.CmdType.CMD_DELETE:
                    yield f"rows of {table}, without a batch"
                elif clause.commandType == enums.CmdType.CMD_UPDATE:
                    yield f"values of {_columns(clause.targetList)} in {table}, without a batch"


def _is_limited(select: Any) -> bool:
    limit = select.limitCount
    return limit is not None and not (isinstance(limit, ast.A_Const) and limit.isnull)


def _columns(targets: Any) -> str:
    return ", ".join(dict.fromkeys(quoted(target.name) for target in targets))
