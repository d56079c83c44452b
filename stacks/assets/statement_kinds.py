"""Classifies a statement: its kind, the locks that it takes, and whether it may run in a transaction.

Lock levels are those of https://www.postgresql.org/docs/17/explicit-locking.html and of the page of each command.
"""

from typing import Any

from pglast import ast, enums
from pglast.stream import RawStream

from stacks.assets.effect import Effect, UnsupportedStatementError
from stacks.assets.grammar import dotted, object_words, quoted, relation_name, relation_names
from stacks.assets.index_effects import cluster, create_index, reindex, vacuum
from stacks.assets.table_effects import alter_table, create_table, drop

# Statements that lock no table in use.
_HARMLESS = {
    ast.AlterCollationStmt: "ALTER COLLATION",
    ast.AlterDatabaseSetStmt: "ALTER DATABASE SET",
    ast.AlterDefaultPrivilegesStmt: "ALTER DEFAULT PRIVILEGES",
    ast.AlterEnumStmt: "ALTER TYPE",
    ast.AlterEventTrigStmt: "ALTER EVENT TRIGGER",
    ast.AlterExtensionContentsStmt: "ALTER EXTENSION",
    ast.AlterExtensionStmt: "ALTER EXTENSION",
    ast.AlterFdwStmt: "ALTER FOREIGN DATA WRAPPER",
    ast.AlterForeignServerStmt: "ALTER SERVER",
    ast.AlterFunctionStmt: "ALTER FUNCTION",
    ast.AlterObjectDependsStmt: "ALTER",
    ast.AlterOperatorStmt: "ALTER OPERATOR",
    ast.AlterRoleSetStmt: "ALTER ROLE SET",
    ast.AlterRoleStmt: "ALTER ROLE",
    ast.AlterStatsStmt: "ALTER STATISTICS",
    ast.AlterTSConfigurationStmt: "ALTER TEXT SEARCH CONFIGURATION",
    ast.AlterTSDictionaryStmt: "ALTER TEXT SEARCH DICTIONARY",
    ast.AlterTypeStmt: "ALTER TYPE",
    ast.AlterUserMappingStmt: "ALTER USER MAPPING",
    ast.CommentStmt: "COMMENT",
    ast.CompositeTypeStmt: "CREATE TYPE",
    ast.CreateCastStmt: "CREATE CAST",
    ast.CreateConversionStmt: "CREATE CONVERSION",
    ast.CreateDomainStmt: "CREATE DOMAIN",
    ast.CreateEnumStmt: "CREATE TYPE",
    ast.CreateEventTrigStmt: "CREATE EVENT TRIGGER",
    ast.CreateExtensionStmt: "CREATE EXTENSION",
    ast.CreateFdwStmt: "CREATE FOREIGN DATA WRAPPER",
    ast.CreateForeignServerStmt: "CREATE SERVER",
    ast.CreateForeignTableStmt: "CREATE FOREIGN TABLE",
    ast.CreateOpClassStmt: "CREATE OPERATOR CLASS",
    ast.CreateOpFamilyStmt: "CREATE OPERATOR FAMILY",
    ast.CreateRangeStmt: "CREATE TYPE",
    ast.CreateRoleStmt: "CREATE ROLE",
    ast.CreateSchemaStmt: "CREATE SCHEMA",
    ast.CreateSeqStmt: "CREATE SEQUENCE",
    ast.CreateStatsStmt: "CREATE STATISTICS",
    ast.CreateTransformStmt: "CREATE TRANSFORM",
    ast.CreateUserMappingStmt: "CREATE USER MAPPING",
    ast.DoStmt: "DO",
    ast.DropRoleStmt: "DROP ROLE",
    ast.DropUserMappingStmt: "DROP USER MAPPING",
    ast.GrantRoleStmt: "GRANT ROLE",
    ast.GrantStmt: "GRANT",
    ast.NotifyStmt: "NOTIFY",
    ast.SecLabelStmt: "SECURITY LABEL",
}

_FORBIDDEN = {
    ast.TransactionStmt: "the runner opens and ends transactions; leave BEGIN, COMMIT and such out",
    ast.VariableSetStmt: "SET: the runner sets timeouts for each statement; leave the statement out",
    ast.DiscardStmt: "DISCARD gives up the lock of the run; leave the statement out",
    ast.CopyStmt: "COPY needs a client or a file of the server, and the runner has neither; write INSERT ... VALUES",
}


def classify(node: Any) -> Effect:
    """Return what a statement does.

    Raises:
        UnsupportedStatementError: a migration may not contain it, or it is not known here.

    """
    for known, reason in _FORBIDDEN.items():
        if isinstance(node, known):
            raise UnsupportedStatementError(reason)
    for known, kind in _HARMLESS.items():
        if isinstance(node, known):
            return Effect(kind, name=_name_of_harmless(node))
    if (effect := _of_tables(node) or _of_objects(node) or _of_rows(node)) is None:
        raise UnsupportedStatementError(
            f"{type(node).__name__} is not known to stacks/assets/statement_kinds.py; say there which locks it takes"
        )
    return effect


def _of_tables(node: Any) -> Effect | None:  # noqa: PLR0911 - one case a kind
    match node:
        case ast.IndexStmt():
            return create_index(node)
        case ast.DropStmt():
            return drop(node)
        case ast.ReindexStmt():
            return reindex(node)
        case ast.CreateStmt():
            return create_table(node)
        case ast.AlterTableStmt():
            return alter_table(node)
        case ast.VacuumStmt():
            return vacuum(node)
        case ast.ClusterStmt():
            return cluster(node)
        case ast.RenameStmt() | ast.AlterOwnerStmt() | ast.AlterObjectSchemaStmt():
            relation = getattr(node, "relation", None)
            lock = "ACCESS EXCLUSIVE" if relation else None
            return Effect("ALTER", lock, relation_names([relation] if relation else []))
    return None


def _of_objects(node: Any) -> Effect | None:  # noqa: C901, PLR0911 - one case a kind
    match node:
        case ast.AlterDomainStmt():
            return _alter_domain(node)
        case ast.AlterSeqStmt():
            return Effect("ALTER SEQUENCE", "SHARE ROW EXCLUSIVE", relation_names([node.sequence]))
        case ast.CreatePolicyStmt() | ast.AlterPolicyStmt():
            tables = relation_names([node.table])
            return Effect(f"{_verb(node)} POLICY", "ACCESS EXCLUSIVE", tables, name=quoted(node.policy_name))
        case ast.RuleStmt():
            tables = relation_names([node.relation])
            return Effect("CREATE RULE", "ACCESS EXCLUSIVE", tables, name=quoted(node.rulename))
        case ast.CreatePublicationStmt() | ast.AlterPublicationStmt():
            tables = relation_names(each.pubtable.relation for each in node.pubobjects or () if each.pubtable)
            lock = "SHARE UPDATE EXCLUSIVE" if tables else None
            return Effect(f"{_verb(node)} PUBLICATION", lock, tables, name=quoted(node.pubname))
        case ast.CreateTrigStmt():
            tables = relation_names([node.relation])
            return Effect("CREATE TRIGGER", "SHARE ROW EXCLUSIVE", tables, name=quoted(node.trigname))
        case ast.ViewStmt():
            return Effect("CREATE VIEW", "ACCESS EXCLUSIVE" if node.replace else None, relation_names([node.view]))
        case ast.CreateFunctionStmt():
            return Effect(f"CREATE {'PROCEDURE' if node.is_procedure else 'FUNCTION'}", name=dotted(node.funcname))
        case ast.DefineStmt():
            return Effect(f"CREATE {object_words(node.kind)}", name=dotted(node.defnames))
        case ast.DropOwnedStmt() | ast.ReassignOwnedStmt():
            kind = "DROP OWNED" if isinstance(node, ast.DropOwnedStmt) else "REASSIGN OWNED"
            return Effect(kind, name=", ".join(str(RawStream()(role)) for role in node.roles or ()))
    return None


def _of_rows(node: Any) -> Effect | None:  # noqa: PLR0911 - one case a kind
    match node:
        case ast.CallStmt():
            # In a transaction block the procedure could not COMMIT: https://www.postgresql.org/docs/17/sql-call.html
            called: Any = node.funccall
            return Effect("CALL", in_transaction=False, name=f"{dotted(called.funcname)}()")
        case ast.CreateTableAsStmt():
            view = node.objtype == enums.ObjectType.OBJECT_MATVIEW
            kind = "CREATE MATERIALIZED VIEW" if view else "CREATE TABLE AS"
            return Effect(kind, name=relation_name(node.into and node.into.rel))
        case ast.RefreshMatViewStmt():
            lock = "EXCLUSIVE" if node.concurrent else "ACCESS EXCLUSIVE"
            return Effect("REFRESH MATERIALIZED VIEW", lock, relation_names([node.relation]))
        case ast.TruncateStmt():
            return Effect("TRUNCATE", "ACCESS EXCLUSIVE", relation_names(node.relations))
        case ast.LockStmt():
            return Effect("LOCK TABLE", _lock_mode(node.mode), relation_names(node.relations))
        case ast.InsertStmt() | ast.UpdateStmt() | ast.DeleteStmt() | ast.MergeStmt():
            kind = type(node).__name__.removesuffix("Stmt").upper()
            return Effect(kind, "ROW EXCLUSIVE", relation_names([node.relation]))
        case ast.SelectStmt():
            # The grammar cannot tell what a function locks.
            function = _called(node)
            return Effect("SELECT", None if function else "ACCESS SHARE", name=function)
    return None


def _verb(node: Any) -> str:
    return "CREATE" if type(node).__name__.startswith("Create") else "ALTER"


def _alter_domain(node: Any) -> Effect:
    # A constraint is checked in each table that uses the domain, under SHARE; the grammar does not know these tables.
    adds = node.subtype in {"C", "O"} and not getattr(node.def_, "skip_validation", False)
    checks = adds or node.subtype == "V"
    return Effect("ALTER DOMAIN", "SHARE" if checks else None, name=dotted(node.typeName), every_row=checks)


def _name_of_harmless(node: Any) -> str | None:
    """Return the name of a type or a domain; statements of other kinds have none."""
    match node:
        case ast.AlterEnumStmt() | ast.CreateEnumStmt() | ast.CreateRangeStmt() | ast.AlterTypeStmt():
            return dotted(node.typeName)
        case ast.CompositeTypeStmt():
            return relation_name(node.typevar)
        case ast.CreateDomainStmt():
            return dotted(node.domainname)
        case ast.CreateSeqStmt():
            return relation_name(node.sequence)
    return None


def _called(node: Any) -> str | None:
    """Return `f()` where the statement is `SELECT f(...)` and no more."""
    targets: Any = node.targetList or ()
    if len(targets) != 1 or node.fromClause or not isinstance(targets[0].val, ast.FuncCall):
        return None
    return f"{dotted(targets[0].val.funcname)}()"


def _lock_mode(mode: Any) -> str:
    names = (
        *("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"),
        *("SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"),
    )
    return names[mode - 1]
