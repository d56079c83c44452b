"""Names of tables, functions and triggers, and the columns that fill the templates of mirror.sql."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg2 import sql

from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
TEMPLATES = load_queries(Path(__file__).with_name("mirror.sql"))
GUARD = load_queries(Path(__file__).with_name("guard.sql"))

TABLE = "job_objects"
PARTITION_KEY = "job_id"
SCHEMA = "public"
# Holds the partitioned table until the swap, the state, and the trigger functions; dropped at the end.
WORKSHOP = "job_objects_partitioning"

ORIGINAL = f"{SCHEMA}.{TABLE}"
SHADOW = f"{WORKSHOP}.{TABLE}"
KEPT = f"{SCHEMA}.{TABLE}_before_partitioning"
STATE = f"{WORKSHOP}.state"
# The trigger functions before and after the swap.
TO_PARTITIONS = f"{WORKSHOP}.mirror_to_partitions"
TO_KEPT = f"{WORKSHOP}.mirror_to_kept"
# As `mirror.sql` creates them.
MIRROR_TRIGGERS = ["mirror_insert", "mirror_update", "mirror_delete", "mirror_truncate"]

# The columns of a primary key as text.
Key = list[str]

_LONGEST_NAME = 63


def partition_names(modulus: int) -> list[str]:
    """Return the qualified names of the partitions."""
    digits = len(str(modulus - 1))
    return [f"{ORIGINAL}_p{number:0{digits}}" for number in range(modulus)]


def kept_name(index: str, position: int) -> str:
    """Return the name of an index of the original table while that is kept."""
    name = f"{index}_before_partitioning"
    return name if len(name.encode()) <= _LONGEST_NAME else f"{TABLE}_before_partitioning_{position}"


def identifier(qualified: str) -> sql.Identifier:
    """Return a qualified name of this module, quoted."""
    return sql.Identifier(*qualified.split("."))


@dataclass(frozen=True)
class Columns:
    """The columns of the table, and which of them are its primary key; types as PostgreSQL prints them."""

    names: tuple[str, ...]
    key: tuple[str, ...]
    key_types: tuple[str, ...]

    @classmethod
    def of(cls, definition: dict[str, Any]) -> "Columns":
        """Take them from a table's definition."""
        types = {column["name"]: column["type"] for column in definition["columns"]}
        return cls(tuple(types), tuple(definition["key"]), tuple(types[name] for name in definition["key"]))

    def fill(self, template: str, **tables: sql.Composable) -> sql.Composed:
        """Fill in a template of `mirror.sql`: the columns, the key, and the arguments by name."""
        others = [name for name in self.names if name not in self.key]
        assignments = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others or self.key[:1]]
        return sql.SQL(TEMPLATES[template]).format(
            columns=_listed(self.names),
            key=_listed(self.key),
            gone_key=_listed(self.key, "gone"),
            source_is_gone=self._same("source", "gone"),
            copy_is_gone=self._same("copy", "gone"),
            source_is_changed=self._same("source", "changed"),
            assignments=sql.SQL(", ").join(assignments),
            partition_key=sql.Identifier(PARTITION_KEY),
            key_descending=sql.SQL(", ").join(sql.SQL("{} DESC").format(sql.Identifier(name)) for name in self.key),
            key_as_text=sql.SQL("ARRAY[{}]").format(
                sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in self.key)
            ),
            **tables,
        )

    def behind(self, key: Key | None) -> sql.Composable:
        """Return the condition that a row comes after a key; its parameters are `key_values`."""
        if key is None:
            return sql.SQL("true")
        # Key values are parameters, never part of the SQL; the types come from the catalogue.
        values = (
            sql.SQL("{}::{}").format(sql.Placeholder(f"key_{position}"), sql.SQL(type_))
            for position, type_ in enumerate(self.key_types)
        )
        return sql.SQL("({}) > ({})").format(_listed(self.key, "source"), sql.SQL(", ").join(values))

    def _same(self, one: str, other: str) -> sql.Composable:
        equal = (sql.SQL("{} = {}").format(sql.Identifier(one, key), sql.Identifier(other, key)) for key in self.key)
        return sql.SQL(" AND ").join(equal)


def key_values(key: Key | None) -> dict[str, str]:
    """Return the parameters of `Columns.behind`."""
    return {f"key_{position}": value for position, value in enumerate(key or ())}


def _listed(names: tuple[str, ...], table: str | None = None) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(table, name) if table else sql.Identifier(name) for name in names)
