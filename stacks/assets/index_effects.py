"""What the statements do that build an index, or rewrite a table: CREATE INDEX, REINDEX, VACUUM, CLUSTER."""

from typing import Any

from pglast import enums

from handlers.contract.release import Index, IndexKey
from stacks.assets.effect import Effect, UnsupportedStatementError
from stacks.assets.grammar import quoted, relation_name, relation_names


def create_index(node: Any) -> Effect:
    """Classify CREATE INDEX."""
    if not node.idxname:
        raise UnsupportedStatementError("CREATE INDEX without a name; name it, so that a killed build can be found")
    table = relation_name(node.relation)
    words: list[Any] = ["CREATE", node.unique and "UNIQUE", "INDEX", node.concurrent and "CONCURRENTLY"]
    return Effect(
        " ".join(filter(None, words)),
        "SHARE UPDATE EXCLUSIVE" if node.concurrent else "SHARE",
        (table,),
        in_transaction=not node.concurrent,
        index=_index(node, table),
        name=quoted(node.idxname),
        every_row=not node.concurrent,
    )


def _index(node: Any, table: str) -> Index:
    plain = not (node.whereClause or node.indexIncludingParams or node.options or node.nulls_not_distinct)
    keys = tuple(_index_key(element) for element in node.indexParams if not _is_more_than_a_column(element))
    comparable = plain and len(keys) == len(node.indexParams)
    return Index(
        name=str(node.idxname),
        table=table,
        unique=bool(node.unique),
        columns=tuple(element.name for element in node.indexParams if element.name),
        method=str(node.accessMethod),
        keys=keys if comparable else None,
        definition=f"USING {quoted(node.accessMethod)} ({', '.join(map(_key_text, keys))})" if comparable else None,
    )


def _is_more_than_a_column(element: Any) -> bool:
    return bool(element.expr or element.opclass or element.collation)


def _index_key(element: Any) -> IndexKey:
    descending = element.ordering == enums.SortByDir.SORTBY_DESC
    first = {enums.SortByNulls.SORTBY_NULLS_FIRST: True, enums.SortByNulls.SORTBY_NULLS_LAST: False}
    # NULLS FIRST is the default of DESC: https://www.postgresql.org/docs/17/sql-createindex.html
    return IndexKey(
        column=element.name, descending=descending, nulls_first=first.get(element.nulls_ordering, descending)
    )


def _key_text(key: IndexKey) -> str:
    nulls = "" if key.nulls_first == key.descending else f" NULLS {'FIRST' if key.nulls_first else 'LAST'}"
    return f"{quoted(key.column)}{' DESC' if key.descending else ''}{nulls}"


def reindex(node: Any) -> Effect:
    """Classify REINDEX of one index or one table."""
    if node.relation is None:
        what = str(node.kind.name).removeprefix("REINDEX_OBJECT_")
        raise UnsupportedStatementError(
            f"REINDEX {what} rebuilds every index of it; write REINDEX INDEX CONCURRENTLY for each one that needs it"
        )
    relations = relation_names([node.relation])
    if any(option.defname == "concurrently" for option in node.params or ()):
        return Effect("REINDEX CONCURRENTLY", "SHARE UPDATE EXCLUSIVE", relations, in_transaction=False)
    return Effect("REINDEX", "ACCESS EXCLUSIVE", relations, every_row=True)


def vacuum(node: Any) -> Effect:
    """Classify VACUUM and ANALYZE."""
    relations = relation_names(item.relation for item in node.rels or ())
    if not node.is_vacuumcmd:
        return Effect("ANALYZE", "SHARE UPDATE EXCLUSIVE", relations)
    full = any(option.defname == "full" and _is_on(option.arg) for option in node.options or ())
    if full and not relations:
        raise UnsupportedStatementError("VACUUM FULL without a table rewrites them all; name one table")
    if full:
        return Effect("VACUUM FULL", "ACCESS EXCLUSIVE", relations, in_transaction=False, every_row=True)
    return Effect("VACUUM", "SHARE UPDATE EXCLUSIVE", relations, in_transaction=False)


def _is_on(argument: Any) -> bool:
    """Return the value of a boolean option: on without an argument, and with any but these."""
    value = getattr(argument, "sval", getattr(argument, "ival", getattr(argument, "boolval", True)))
    return str(value).lower() not in {"false", "off", "0"}


def cluster(node: Any) -> Effect:
    """Classify CLUSTER of one table."""
    if node.relation is None:
        raise UnsupportedStatementError("CLUSTER without a table rewrites them all; name one table")
    return Effect("CLUSTER", "ACCESS EXCLUSIVE", relation_names([node.relation]), every_row=True)
