"""The migrations release: its SQL files, and a manifest that says what is in them.

The manifest is built where the release is built, with PostgreSQL's own grammar, so that the Lambda that runs the
release ships no parser and `plan` can be printed with no database at hand.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from pglast.parser import ParseError

from handlers.contract.release import (
    MANIFEST,
    NO_RESTORE,
    NO_ROLES,
    RESTORE_FILE,
    ROLES_FILE,
    Manifest,
    Migration,
    SqlFile,
    SqlStatement,
)
from stacks.assets.column_types import ColumnTypes
from stacks.assets.data_losses import FileContext
from stacks.assets.effect import UnsupportedStatementError
from stacks.assets.migration_files import MigrationError, read_sql, release_files
from stacks.assets.sql_statements import split

_FILE_NAME = re.compile(r"(?P<version>[0-9]{3})_(?P<name>[a-z0-9_]+)(?P<down>\.down)?\.sql")


@dataclass(frozen=True, kw_only=True)
class _Numbered:
    """A numbered file before it is read."""

    path: Path
    version: int
    name: str

    def read(self, columns: ColumnTypes) -> Migration:
        return Migration(**vars(_read(self.path, columns)), version=self.version, name=self.name)


def build_manifest(migrations: Path) -> Manifest:
    """Read a migrations folder into a manifest.

    Args:
        migrations: the folder that holds `NNN_name.sql`, `NNN_name.down.sql`, `roles.sql` and `restore.sql`.

    Raises:
        MigrationError: a name, a number, or a statement is not allowed, or PostgreSQL's grammar refuses a file.

    """
    up: dict[int, _Numbered] = {}
    down: dict[int, _Numbered] = {}
    for path in release_files(migrations):
        if path.name in {ROLES_FILE, RESTORE_FILE}:
            continue
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path} is not named like 003_add_a_thing.sql or 003_add_a_thing.down.sql; rename it")
        version, files = int(match["version"]), down if match["down"] else up
        if version in files:
            raise MigrationError(f"{path} and {files[version].path.name} have the same number; renumber one of them")
        files[version] = _Numbered(path=path, version=version, name=match["name"])
    _check_numbers(migrations, up, down)
    # In the order in which they run, so that each file knows the columns that those before it leave.
    columns = ColumnTypes()
    roles = _read_optional(migrations / ROLES_FILE, columns) or NO_ROLES
    found: list[Migration] = []
    for version in sorted(up):
        migration = up[version].read(columns)
        _check_locks(migrations, migration)
        found.append(replace(migration, down=down[version].read(columns.copy()) if version in down else None))
    restore = _read_optional(migrations / RESTORE_FILE, columns) or NO_RESTORE
    return Manifest(roles=roles, migrations=tuple(found), restore=restore)


def release_entries(migrations: Path) -> dict[str, bytes]:
    """Return what goes into the release's zip: every SQL file as it is, and its manifest.

    Raises:
        MigrationError: as `build_manifest`.

    """
    files = {path.name: path.read_bytes() for path in release_files(migrations)}
    return {MANIFEST: build_manifest(migrations).to_json(), **files}


def _read_optional(path: Path, columns: ColumnTypes) -> SqlFile | None:
    return _read(path, columns) if path.exists() else None


def _read(path: Path, columns: ColumnTypes) -> SqlFile:
    statements = _split(path, read_sql(path), columns)
    if not statements:
        raise MigrationError(f"{path} holds no statement; write one or delete the file")
    return SqlFile(file=path.name, checksum=hashlib.sha256(path.read_bytes()).hexdigest(), statements=statements)


def _split(path: Path, sql: str, columns: ColumnTypes) -> tuple[SqlStatement, ...]:
    try:
        return tuple(split(sql, FileContext(columns)))
    except ParseError as error:
        message, *rest = error.args
        position = int(rest[0]) if rest else 0
        line = sql.count("\n", 0, position) + 1
        shown = sql.split("\n")[line - 1].strip()
        raise MigrationError(f"{path}, line {line}: {message}\n  {shown}\nMend the file and deploy again.") from error
    except UnsupportedStatementError as error:
        raise MigrationError(f"{path}, {error}") from error


def _check_locks(migrations: Path, migration: Migration) -> None:
    """Refuse a transaction that would block one table's writers while it waits for the lock on another table."""
    made = {statement.name for statement in migration.statements if statement.kind.startswith("CREATE ")}
    locked = [
        (statement, {relation for relation in statement.relations if relation not in made})
        for statement in migration.statements
        if statement.blocks_writers
    ]
    blocked = {relation for _, relations in locked for relation in relations}
    # A foreign key locks two tables, and no statement adds it to one of them alone.
    unavoidable = any(statement.kind == "ALTER TABLE" and blocked <= relations for statement, relations in locked)
    if migration.transactional and len(blocked) > 1 and not unavoidable:
        raise MigrationError(
            f"{migrations / migration.file} makes the writers of {', '.join(sorted(blocked))} wait in one transaction, "
            "for one lock after the other; make a file for each of them"
        )


def _check_numbers(migrations: Path, up: dict[int, _Numbered], down: dict[int, _Numbered]) -> None:
    if not up:
        raise MigrationError(f"{migrations} holds no migration; the first is named like 001_create_tables.sql")
    for expected, version in enumerate(sorted(up), start=1):
        if version != expected:
            raise MigrationError(
                f"{migrations} has {up[version].path.name} but no migration numbered {expected:03}; number without gaps"
            )
    for version, file in down.items():
        if version not in up or up[version].name != file.name:
            raise MigrationError(f"{file.path} takes back no migration of the same name; rename it")
