"""The types of columns, as the statements of a release leave them, and whether a new type can hold each old value."""

from dataclasses import dataclass
from typing import Any

from pglast import ast, enums
from pglast.stream import RawStream

from stacks.assets.grammar import relation_name

_ALIASES = {"smallserial": "int2", "serial2": "int2", "serial": "int4", "serial4": "int4", "bigserial": "int8"}
_ALIASES |= {"serial8": "int8", "bpchar": "char"}
# Each type can hold each value of those before it.
_WIDER = (("int2", "int4", "int8", "numeric"), ("float4", "float8"), ("date", "timestamp"))


@dataclass(frozen=True)
class ColumnType:
    """A type: its name without `pg_catalog`, its modifiers such as a length, whether it is an array, and its text."""

    name: str
    modifiers: tuple[int, ...] | None
    array: bool
    text: str

    def holds(self, other: "ColumnType | None") -> bool:
        """Return whether a cast from `other` to this type keeps each value; `None` is a type that is not known."""
        # The input function of a type reads its own output, so a text keeps all of a value. char(n) drops blanks.
        if self.name in {"text", "varchar"} and not self.modifiers and not self.array:
            return other is None or other.name != "char" or other.array
        if other is None or self.array != other.array or self.modifiers is None or other.modifiers is None:
            return False
        if self.name == other.name:
            return self._is_longer(other.modifiers)
        order = next((types for types in _WIDER if {self.name, other.name} <= set(types)), ())
        return bool(order) and not self.modifiers and order.index(self.name) > order.index(other.name)

    def _is_longer(self, modifiers: tuple[int, ...]) -> bool:
        if not self.modifiers or self.modifiers == modifiers:
            return True
        if not modifiers:
            return False
        if self.name == "numeric":
            (digits, scale), (old_digits, old_scale) = (*self.modifiers, 0)[:2], (*modifiers, 0)[:2]
            return scale >= old_scale and digits - scale >= old_digits - old_scale
        return self.name in {"varchar", "varbit", "timestamp", "timestamptz", "time", "timetz"} and (
            self.modifiers > modifiers
        )


class ColumnTypes:
    """What is known of the columns of tables; it learns from one statement after the other."""

    def __init__(self, types: dict[tuple[str, str], ColumnType] | None = None) -> None:
        self._types = dict(types or {})

    def copy(self) -> "ColumnTypes":
        """Return what is known now; what the copy learns stays with it."""
        return ColumnTypes(self._types)

    def find(self, table: str, column: str) -> ColumnType | None:
        """Return a column's type; `None` where no statement told it."""
        return self._types.get((_unqualified(table), column))

    def learn(self, node: Any) -> None:  # noqa: C901 - one case a kind
        """Take in what a statement makes of columns."""
        match node:
            case ast.CreateStmt():
                for element in node.tableElts or ():
                    if isinstance(element, ast.ColumnDef):
                        # IF NOT EXISTS keeps a table that is there, with types of its own.
                        self._set(relation_name(node.relation), element.colname, element.typeName)
            case ast.AlterTableStmt():
                for command in node.cmds or ():
                    table = relation_name(node.relation)
                    if command.subtype == enums.AlterTableType.AT_AddColumn:
                        self._set(table, command.def_.colname, command.def_.typeName)
                    elif command.subtype == enums.AlterTableType.AT_AlterColumnType:
                        self._set(table, command.name, command.def_.typeName)
            case ast.RenameStmt(renameType=enums.ObjectType.OBJECT_COLUMN, relation=relation) if relation is not None:
                table, column = _unqualified(relation_name(relation)), str(node.subname)
                if known := self._types.pop((table, column), None):
                    self._types[table, str(node.newname)] = known
            case ast.RenameStmt(renameType=enums.ObjectType.OBJECT_TABLE):
                old, new = _unqualified(relation_name(node.relation)), str(node.newname)
                self._types = {
                    (new if table == old else table, column): kind for (table, column), kind in self._types.items()
                }

    def _set(self, table: str, column: Any, type_name: Any) -> None:
        self._types[_unqualified(table), column] = column_type(type_name)


def column_type(node: Any) -> ColumnType:
    """Return the type that a `TypeName` of the grammar says."""
    names = [part.sval for part in node.names]
    name = ".".join(names[1:] if names[0] == "pg_catalog" else names)
    constants = [getattr(getattr(modifier, "val", None), "ival", None) for modifier in node.typmods or ()]
    return ColumnType(
        name=_ALIASES.get(name, name),
        modifiers=None if None in constants else tuple(number for number in constants if number is not None),
        array=bool(node.arrayBounds),
        text=str(RawStream()(node)),
    )


def _unqualified(table: str) -> str:
    return table.removeprefix("public.")
