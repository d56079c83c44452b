"""The statements of a file of SQL, each with its kind, its locks and what it loses.

Split and classified with PostgreSQL's own grammar (pglast), never with a regular expression.
"""

import unicodedata
from collections.abc import Iterator
from typing import Any

from pglast import parse_sql, parser

from handlers.contract.release import SqlStatement
from stacks.assets.data_losses import FileContext, losses, one_line
from stacks.assets.effect import BLOCKS_WRITERS, UnsupportedStatementError
from stacks.assets.statement_kinds import classify

# Spaces and invisible characters beyond ASCII: PostgreSQL takes them for letters of a name.
_UNSEEN = frozenset({"Zs", "Zl", "Zp", "Cf", "Cc"})


def split(sql: str, context: FileContext | None = None) -> Iterator[SqlStatement]:
    """Yield the statements of a file.

    Args:
        sql: the file's text.
        context: what earlier files tell; it learns from this one.

    Raises:
        pglast.parser.ParseError: PostgreSQL's grammar refuses the text.
        UnsupportedStatementError: it holds a statement that a migration may not contain.

    """
    context = context or FileContext()
    _refuse_unseen(sql)
    for part in parser.split(sql, with_parser=True, only_slices=True):
        text = sql[part]
        line = sql.count("\n", 0, part.start) + 1
        node: Any = parse_sql(text)[0].stmt
        try:
            effect = classify(node)
        except UnsupportedStatementError as error:
            raise UnsupportedStatementError(f"line {line}: {error}") from error
        lost, clause = losses(node, text, context)
        blocks_writers = effect.lock in BLOCKS_WRITERS
        yield SqlStatement(
            sql=text,
            line=line,
            kind=effect.kind,
            name=", ".join(effect.relations) if effect.name is None else effect.name,
            lock=effect.lock,
            relations=effect.relations,
            in_transaction=effect.in_transaction,
            blocks_writers=blocks_writers,
            index=effect.index,
            every_row=effect.every_row,
            losses=lost,
            clause=clause or (one_line(text) if blocks_writers and effect.every_row else ""),
        )
        context.learn(node)


def _refuse_unseen(sql: str, first_line: int = 1) -> None:
    """Refuse a character that looks like a space, or like nothing, and that PostgreSQL takes for part of a name.

    Quoted text and comments may hold such characters. A function's body is code, in quotes of dollars.
    """
    for token in parser.scan(sql):
        text = sql[token.start : token.end + 1]
        line = first_line + sql.count("\n", 0, token.start)
        if token.name == "SCONST" and text.startswith("$"):
            tag = text[: text.index("$", 1) + 1]
            try:
                _refuse_unseen(text[len(tag) : -len(tag)], line)
            except parser.ParseError:  # it is text, no code
                continue
        elif token.name == "IDENT" and not text.startswith('"'):
            for character in text:
                if unicodedata.category(character) in _UNSEEN:
                    raise UnsupportedStatementError(
                        f"line {line}: {text!r} holds U+{ord(character):04X} {unicodedata.name(character, 'unnamed')}, "
                        "which PostgreSQL takes for part of the name; write a plain space, or quote the name"
                    )
