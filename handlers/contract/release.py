"""The migrations release: what its manifest says, written where the release is built and read where it runs."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

MANIFEST = "manifest.json"
ROLES_FILE = "roles.sql"
RESTORE_FILE = "restore.sql"
# Counts up when a reader of the manifest must change.
FORMAT = 2


class FormatError(ValueError):
    """The manifest has a format that this code does not read."""


@dataclass(frozen=True, kw_only=True)
class IndexKey:
    """A key column of an index, by its name in the catalogue, and its order."""

    column: str
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, kw_only=True)
class Index:
    """The index that a statement builds: enough to find it again and to compare it with the catalogue.

    Attributes:
        name: of the index.
        table: as the statement names it.
        unique: whether it is.
        columns: the names of its plain key columns.
        method: its access method.
        keys: its key columns; `None` where an expression, a predicate or another part cannot be compared.
        definition: the same as SQL from `USING` on, for people.

    """

    name: str
    table: str
    unique: bool
    columns: tuple[str, ...]
    method: str
    keys: tuple[IndexKey, ...] | None
    definition: str | None


@dataclass(frozen=True, kw_only=True)
class SqlStatement:
    """One statement of a migration.

    Attributes:
        sql: its text, without comments around it.
        line: where it begins in its file, counted from 1.
        kind: for people, as `CREATE INDEX CONCURRENTLY`.
        name: what it makes or changes; empty when that has no name.
        lock: the strongest lock on an existing table or view, as PostgreSQL names it; `None` for none known.
        relations: what is locked.
        in_transaction: whether PostgreSQL lets it run inside a transaction block.
        blocks_writers: whether a writer of `relations` waits while it runs.
        index: set when it builds an index.
        every_row: whether it keeps its lock while it reads or writes each row, as a build does.
        losses: what data it loses, a phrase each.
        clause: its text on one line, where it loses data or blocks writers for the whole table; else empty.

    """

    sql: str
    line: int
    kind: str
    name: str
    lock: str | None
    relations: tuple[str, ...]
    in_transaction: bool
    blocks_writers: bool
    index: Index | None = None
    every_row: bool = False
    losses: tuple[str, ...] = ()
    clause: str = ""

    @property
    def title(self) -> str:
        """What the statement does and to what, for people."""
        return f"{self.kind} {self.name}".strip()

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class SqlFile:
    """One file of a release. `checksum` is the SHA-256 of its bytes, in hexadecimal."""

    file: str
    checksum: str
    statements: tuple[SqlStatement, ...]


NO_ROLES = SqlFile(file=ROLES_FILE, checksum="", statements=())
NO_RESTORE = SqlFile(file=RESTORE_FILE, checksum="", statements=())


@dataclass(frozen=True, kw_only=True)
class Migration(SqlFile):
    """One numbered file. `down` takes it back; `None` when nothing does, and on a `.down.sql` itself."""

    version: int
    name: str
    down: "Migration | None" = None

    @property
    def transactional(self) -> bool:
        """Whether the file runs in one transaction; one statement that refuses a transaction decides for all."""
        return all(statement.in_transaction for statement in self.statements)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is in a release.

    Attributes:
        roles: `roles.sql`, which runs before the numbered files with each release; no statements where it is missing.
        migrations: the numbered files in their order.
        restore: `restore.sql`, which runs after them in each run, statement by statement; no statements where it is
            missing.

    """

    roles: SqlFile
    migrations: tuple[Migration, ...]
    restore: SqlFile

    def to_json(self) -> bytes:
        """Return the content of `manifest.json`; equal manifests give equal bytes."""
        entries = {
            "format": FORMAT,
            "roles": _file_entry(self.roles) if self.roles.statements else None,
            "restore": _file_entry(self.restore) if self.restore.statements else None,
            "files": [
                {**_migration_entry(migration), "down": migration.down and _migration_entry(migration.down)}
                for migration in self.migrations
            ],
        }
        return json.dumps(entries, indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Manifest":
        """Read the content of `manifest.json`.

        Raises:
            FormatError: it has a format that this code does not read.
            KeyError, TypeError, ValueError: it is no manifest.

        """
        entries = json.loads(content)
        if entries["format"] != FORMAT:
            raise FormatError(f"has the format {entries['format']!r}, this runner reads {FORMAT}")
        return cls(
            roles=SqlFile(**_file_fields(entries["roles"])) if entries["roles"] else NO_ROLES,
            migrations=tuple(_migration(entry) for entry in entries["files"]),
            restore=SqlFile(**_file_fields(entries["restore"])) if entries["restore"] else NO_RESTORE,
        )


@dataclass(frozen=True, kw_only=True)
class Release(Manifest):
    """A whole release. `sha256` names it: the hash of its zip, in hexadecimal."""

    sha256: str


def _file_entry(file: SqlFile) -> dict[str, Any]:
    return {
        "file": file.file,
        "sha256": file.checksum,
        "statements": [asdict(statement) for statement in file.statements],
    }


def _migration_entry(migration: Migration) -> dict[str, Any]:
    fields = {
        "version": migration.version,
        "name": migration.name,
        # Not read: it follows from the statements.
        "transactional": migration.transactional,
    }
    return _file_entry(migration) | fields


def _file_fields(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "file": entry["file"],
        "checksum": entry["sha256"],
        "statements": tuple(_statement(statement) for statement in entry["statements"]),
    }


def _migration(entry: dict[str, Any]) -> Migration:
    down = entry.get("down")
    return Migration(
        **_file_fields(entry), version=entry["version"], name=entry["name"], down=_migration(down) if down else None
    )


def _statement(entry: dict[str, Any]) -> SqlStatement:
    index = entry["index"]
    lists = {name: tuple(entry[name]) for name in ("relations", "losses")}
    return SqlStatement(**entry | lists | {"index": _index(index) if index else None})


def _index(entry: dict[str, Any]) -> Index:
    keys = entry["keys"]
    lists = {
        "columns": tuple(entry["columns"]),
        "keys": None if keys is None else tuple(IndexKey(**key) for key in keys),
    }
    return Index(**entry | lists)
