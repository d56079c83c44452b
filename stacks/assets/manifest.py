"""The migrations release: its SQL files, and a manifest that says what is in them.

The manifest is built where the release is built, with PostgreSQL's own grammar, so that the Lambda that runs the
release ships no parser and `plan` can be printed with no database at hand.
"""

import hashlib
import re
from dataclasses import replace
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
from stacks.assets.package import release_files
from stacks.assets.sql_statements import UnsupportedStatementError, split

_FILE_NAME = re.compile(r"(?P<version>[0-9]{3})_(?P<name>[a-z0-9_]+)(?P<down>\.down)?\.sql")


class MigrationError(ValueError):
    """The migrations folder cannot become a release; the message names the file and the way out."""


def build_manifest(migrations: Path) -> Manifest:
    """Read a migrations folder into a manifest.

    Args:
        migrations: the folder that holds `NNN_name.sql`, `NNN_name.down.sql`, `roles.sql` and `restore.sql`.

    Raises:
        MigrationError: a name, a number, or a statement is not allowed, or PostgreSQL's grammar refuses a file.

    """
    if not migrations.is_dir():
        raise MigrationError(f"{migrations} is not a folder; name the folder that holds the migrations")
    up: dict[int, Migration] = {}
    down: dict[int, Migration] = {}
    for path in release_files(migrations):
        if path.name in {ROLES_FILE, RESTORE_FILE}:
            continue
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path} is not named like 003_add_a_thing.sql or 003_add_a_thing.down.sql; rename it")
        version, files = int(match["version"]), down if match["down"] else up
        if version in files:
            raise MigrationError(f"{path} and {files[version].file} have the same number; renumber one of them")
        files[version] = Migration(**vars(_read(path)), version=version, name=match["name"])
    _check_numbers(migrations, up, down)
    for migration in up.values():
        _check_locks(migrations, migration)
    roles, restore = migrations / ROLES_FILE, migrations / RESTORE_FILE
    return Manifest(
        roles=_read(roles) if roles.exists() else NO_ROLES,
        migrations=tuple(replace(up[version], down=down.get(version)) for version in sorted(up)),
        restore=_read(restore) if restore.exists() else NO_RESTORE,
    )


def release_entries(migrations: Path) -> dict[str, bytes]:
    """Return what goes into the release's zip: every SQL file as it is, and its manifest.

    Raises:
        MigrationError: as `build_manifest`.

    """
    files = {path.name: path.read_bytes() for path in release_files(migrations)}
    return {MANIFEST: build_manifest(migrations).to_json(), **files}


def _read(path: Path) -> SqlFile:
    content = path.read_bytes()
    try:
        statements = _split(path, content.decode())
    except UnicodeDecodeError as error:
        raise MigrationError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    if not statements:
        raise MigrationError(f"{path} holds no statement; write one or delete the file")
    return SqlFile(file=path.name, checksum=hashlib.sha256(content).hexdigest(), statements=statements)


def _split(path: Path, sql: str) -> tuple[SqlStatement, ...]:
    try:
        return tuple(split(sql))
    except ParseError as error:
        message, *rest = error.args
        position = int(rest[0]) if rest else 0
        line = sql.count("\n", 0, position) + 1
        shown = sql.splitlines()[line - 1].strip() if sql else ""
        raise MigrationError(f"{path}, line {line}: {message}\n  {shown}\nMend the file and deploy again.") from error
    except UnsupportedStatementError as error:
        raise MigrationError(f"{path}, {error}") from error


def _check_locks(migrations: Path, migration: Migration) -> None:
    """Refuse a transaction that would block one table's writers while it waits for the lock on another table."""
    made = {statement.name for statement in migration.statements if statement.kind.startswith("CREATE ")}
    blocked = {
        relation
        for statement in migration.statements
        if statement.blocks_writers
        for relation in statement.relations
        if relation not in made
    }
    if migration.transactional and len(blocked) > 1:
        raise MigrationError(
            f"{migrations / migration.file} makes the writers of {', '.join(sorted(blocked))} wait in one transaction, "
            "for one lock after the other; make a file for each of them"
        )


def _check_numbers(migrations: Path, up: dict[int, Migration], down: dict[int, Migration]) -> None:
    if not up:
        raise MigrationError(f"{migrations} holds no migration; the first is named like 001_create_tables.sql")
    for expected, version in enumerate(sorted(up), start=1):
        if version != expected:
            raise MigrationError(
                f"{migrations} has {up[version].file} but no migration numbered {expected:03}; number without gaps"
            )
    for version, migration in down.items():
        if version not in up or up[version].name != migration.name:
            raise MigrationError(f"{migrations / migration.file} takes back no migration of the same name; rename it")
