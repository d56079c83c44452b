"""Helpers for PostgreSQL's parse tree (pglast): names as a statement writes them, and a walk over all nodes."""

import re
from collections.abc import Iterator
from typing import Any

from pglast import ast
from pglast.keywords import COL_NAME_KEYWORDS, RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS
from pglast.stream import RawStream

# quote_ident() quotes each name that is not lower case and plain, and each keyword that is not unreserved.
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_KEYWORDS = COL_NAME_KEYWORDS | RESERVED_KEYWORDS | TYPE_FUNC_NAME_KEYWORDS


def quoted(name: Any) -> str:
    """Return a name as `quote_ident()` writes it."""
    plain = _PLAIN_NAME.fullmatch(name) and name not in _KEYWORDS
    return str(name) if plain else '"' + name.replace('"', '""') + '"'


def relation_name(relation: Any) -> str:
    """Return a relation's name, with its schema where the statement has one."""
    return dotted(part for part in (relation.schemaname, relation.relname) if part)


def relation_names(relations: Any) -> tuple[str, ...]:
    """Return the name of each relation."""
    return tuple(relation_name(relation) for relation in relations or ())


def dotted(parts: Any) -> str:
    """Return a qualified name from its parts."""
    return ".".join(quoted(part if isinstance(part, str) else part.sval) for part in parts)


def dropped_name(item: Any) -> str:
    """Return the name of an object of a DROP, with the types of its arguments where it is a function."""
    if isinstance(item, tuple | ast.String):
        return dotted(item if isinstance(item, tuple) else (item,))
    return str(RawStream()(item))


def object_words(kind: Any) -> str:
    """Return an `ObjectType` as SQL writes it, such as `MATERIALIZED VIEW`."""
    return str(kind.name).removeprefix("OBJECT_").replace("MATVIEW", "MATERIALIZED_VIEW").replace("_", " ")


def nodes(tree: Any) -> Iterator[Any]:
    """Yield a node and all nodes below it."""
    if isinstance(tree, ast.Node):
        yield tree
        for attribute in tree:
            yield from nodes(getattr(tree, attribute))
    elif isinstance(tree, tuple):
        for part in tree:
            yield from nodes(part)
