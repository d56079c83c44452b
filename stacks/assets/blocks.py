"""The statements inside a DO block of PL/pgSQL."""

import re
from collections.abc import Iterator
from typing import Any

from pglast import ast, parse_plpgsql, parse_sql, parser

from stacks.assets.grammar import dotted

# What format() puts into dynamic SQL: a name, a literal, or text.
_PLACEHOLDER = re.compile(r"%(?:\d+\$)?-?\d*([IsL])")


class UnreadableBlockError(ValueError):
    """The block is in another language, or its parser does not understand it."""


def block_statements(text: str) -> list[tuple[str, Any]]:
    """Return the statements and expressions of a DO block, each with its node of the grammar.

    Dynamic SQL (EXECUTE) is among them where it is a constant, or the first argument of format().

    Raises:
        UnreadableBlockError: the parser does not understand the block.

    """
    node: Any = parse_sql(text)[0].stmt
    language = next((option.arg.sval for option in node.args if option.defname == "language"), "plpgsql")
    if language != "plpgsql":
        raise UnreadableBlockError(f"the block is in {language}")
    try:
        block = parse_plpgsql(text)
    except parser.ParseError as error:
        raise UnreadableBlockError(f"the parser of PL/pgSQL says: {error.args[0]}") from error
    return [
        (shown, statement.stmt)
        for shown, candidates in _queries(block)
        for statement in next(filter(None, map(_parsed, candidates)), ())
    ]


def _parsed(sql: str) -> tuple[Any, ...]:
    try:
        return tuple(parse_sql(sql))
    except parser.ParseError:  # an assignment, or an expression where a statement was looked for
        return ()


def _queries(tree: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each piece of SQL in PL/pgSQL's own tree, and what the grammar may read it as."""
    if isinstance(tree, dict):
        for kind, part in tree.items():
            if kind == "PLpgSQL_expr":
                yield part["query"], (part["query"], f"SELECT {part['query']}")
            elif kind in {"PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"}:
                query = part["query"]["PLpgSQL_expr"]["query"]
                yield f"EXECUTE {query}", (_dynamic_sql(query),)
            yield from _queries(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _queries(part)


def _dynamic_sql(expression: str) -> str:
    """Return the SQL that EXECUTE runs, with a placeholder as a name of its own; empty where it is not known."""
    for statement in _parsed(f"SELECT {expression}"):
        value: Any = statement.stmt.targetList[0].val
        if isinstance(value, ast.FuncCall) and dotted(value.funcname) == "format" and value.args:
            value = value.args[0]
        if isinstance(value, ast.A_Const) and isinstance(value.val, ast.String):
            return _PLACEHOLDER.sub(lambda found: "''" if found[1] == "L" else f'"{found[0]}"', str(value.val.sval))
    return ""
