"""What CREATE TABLE, ALTER TABLE and DROP lock.

Lock levels are those of https://www.postgresql.org/docs/17/explicit-locking.html and of the page of each command.
"""

from dataclasses import replace
from typing import Any

from pglast import ast, enums

from stacks.assets.effect import Effect
from stacks.assets.grammar import dotted, dropped_name, nodes, object_words, relation_name, relation_names

_ORDER = ["SHARE UPDATE EXCLUSIVE", "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"]

_Alteration = enums.AlterTableType
# ALTER TABLE takes ACCESS EXCLUSIVE but for these.
_GENTLE_ALTERATIONS = {
    _Alteration.AT_ValidateConstraint: "SHARE UPDATE EXCLUSIVE",
    _Alteration.AT_SetStatistics: "SHARE UPDATE EXCLUSIVE",
    _Alteration.AT_SetOptions: "SHARE UPDATE EXCLUSIVE",
    _Alteration.AT_ResetOptions: "SHARE UPDATE EXCLUSIVE",
    _Alteration.AT_SetRelOptions: "SHARE UPDATE EXCLUSIVE",
    _Alteration.AT_ResetRelOptions: "SHARE UPDATE EXCLUSIVE",
    _Alteration.AT_ClusterOn: "SHARE UPDATE EXCLUSIVE",
    _Alteration.AT_DropCluster: "SHARE UPDATE EXCLUSIVE",
    _Alteration.AT_AttachPartition: "SHARE UPDATE EXCLUSIVE",
    _Alteration.AT_EnableTrig: "SHARE ROW EXCLUSIVE",
    _Alteration.AT_DisableTrig: "SHARE ROW EXCLUSIVE",
}
# These read or write every row under their lock.
_OF_EVERY_ROW = frozenset(
    {
        _Alteration.AT_AlterColumnType,
        _Alteration.AT_SetAccessMethod,
        _Alteration.AT_SetLogged,
        _Alteration.AT_SetNotNull,
        _Alteration.AT_SetTableSpace,
        _Alteration.AT_SetUnLogged,
    }
)
_BUILDS_INDEX = frozenset(
    {enums.ConstrType.CONSTR_PRIMARY, enums.ConstrType.CONSTR_UNIQUE, enums.ConstrType.CONSTR_EXCLUSION}
)

# DROP takes ACCESS EXCLUSIVE on these, and on the table of a trigger, a policy or a rule.
_LOCKED_BY_DROP = frozenset({"TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "INDEX", "SEQUENCE"})
_PARTS_OF_TABLES = frozenset({"TRIGGER", "POLICY", "RULE"})


def create_table(node: Any) -> Effect:
    """Classify CREATE TABLE: it locks the tables that it references, and its parents."""
    referenced = relation_names(
        constraint.pktable
        for element in node.tableElts or ()
        for constraint in (element.constraints or () if isinstance(element, ast.ColumnDef) else (element,))
        if getattr(constraint, "pktable", None)
    )
    # A parent that gets a partition is locked as its DEFAULT partition is: ACCESS EXCLUSIVE.
    # https://www.postgresql.org/docs/17/sql-createtable.html
    parents = relation_names(node.inhRelations)
    lock = ("ACCESS EXCLUSIVE" if node.partbound else "SHARE UPDATE EXCLUSIVE") if parents else None
    if referenced and lock != "ACCESS EXCLUSIVE":
        lock = "SHARE ROW EXCLUSIVE"
    return Effect("CREATE TABLE", lock, (*parents, *referenced), name=relation_name(node.relation))


def drop(node: Any) -> Effect:
    """Classify DROP of any kind of object."""
    what = object_words(node.removeType)
    if what in _PARTS_OF_TABLES:
        (names,) = node.objects
        return Effect(f"DROP {what}", "ACCESS EXCLUSIVE", (dotted(names[:-1]),), name=dotted(names[-1:]))
    names = tuple(dropped_name(item) for item in node.objects)
    if node.concurrent:
        return Effect(f"DROP {what} CONCURRENTLY", "SHARE UPDATE EXCLUSIVE", names, in_transaction=False)
    if what in _LOCKED_BY_DROP:
        return Effect(f"DROP {what}", "ACCESS EXCLUSIVE", names)
    return Effect(f"DROP {what}", name=", ".join(names))


def alter_table(node: Any) -> Effect:
    """Classify ALTER TABLE, and ALTER INDEX, VIEW and TYPE: the strongest lock of a clause counts."""
    kind, relations = f"ALTER {object_words(node.objtype)}", relation_names([node.relation])
    if node.objtype == enums.ObjectType.OBJECT_TYPE:
        return Effect(kind, name=", ".join(relations))  # its lock is that of the type; no table's
    if any(isinstance(command.def_, ast.PartitionCmd) and command.def_.concurrent for command in node.cmds):
        return Effect(kind, "SHARE UPDATE EXCLUSIVE", relations, in_transaction=False)
    parts = [_alteration(command) for command in node.cmds]
    referenced = (name for part in parts for name in part.relations)
    return Effect(
        kind,
        max((part.lock or _ORDER[0] for part in parts), key=_ORDER.index),
        tuple(dict.fromkeys((*relations, *referenced))),
        name=", ".join(relations),
        every_row=any(part.every_row for part in parts),
    )


def _alteration(command: Any) -> Effect:
    """Return what one clause does; `relations` are those that it locks beside its table."""
    clause = Effect("", _GENTLE_ALTERATIONS.get(command.subtype, "ACCESS EXCLUSIVE"))
    constraints = [each for each in nodes(command.def_) if isinstance(each, ast.Constraint)]
    referenced = relation_names(each.pktable for each in constraints if each.pktable)
    added = command.subtype in {_Alteration.AT_AddConstraint, _Alteration.AT_AddColumn}
    if command.subtype == _Alteration.AT_AddConstraint and referenced:
        clause = replace(clause, lock="SHARE ROW EXCLUSIVE")
    every_row = command.subtype in _OF_EVERY_ROW or any(
        (each.contype in _BUILDS_INDEX and not each.indexname)
        or (command.subtype == _Alteration.AT_AddConstraint and not each.skip_validation and not each.indexname)
        for each in constraints
        if added
    )
    return replace(clause, relations=referenced, every_row=every_row)
