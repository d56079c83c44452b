"""A migrations release as the runner reads it: files, checksums and classified statements."""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

from handlers.errors import ReleaseError

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Index:
    """The index that a statement builds; the fields are those of the manifest (stacks/assets/sql_statements.py)."""

    name: str
    table: str
    unique: bool
    columns: tuple[str, ...]
    definition: str | None


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement; the fields are those of the manifest (stacks/assets/sql_statements.py)."""

    sql: str
    line: int
    kind: str
    name: str
    lock: str | None
    relations: tuple[str, ...]
    in_transaction: bool
    blocks_writers: bool
    index: Index | None

    @property
    def title(self) -> str:
        """What the statement does and to what, for people."""
        return f"{self.kind} {self.name}".strip()

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One numbered file. `transactional` is false when a statement of it may not run in a transaction."""

    version: int
    name: str
    file: str
    checksum: str
    transactional: bool
    statements: tuple[Statement, ...]
    down: "Migration | None"


@dataclass(frozen=True, kw_only=True)
class Release:
    """A whole release. `sha256` names it: the hash of its zip, in hexadecimal."""

    sha256: str
    roles: tuple[Statement, ...]
    migrations: tuple[Migration, ...]


def read_release(archive: bytes, *, expected_sha256: str) -> Release:
    """Read a release from the bytes of its zip.

    Raises:
        ReleaseError: the bytes are not those that were asked for, or not a release that this runner understands.

    """
    sha256 = hashlib.sha256(archive).hexdigest()
    if sha256 != expected_sha256:
        raise ReleaseError(
            f"the release has the SHA-256 {sha256}, not {expected_sha256}; deploy again to upload it anew"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as zip_file:
            manifest = json.loads(zip_file.read("manifest.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ReleaseError(f"the release {sha256[:12]} is damaged: {error}; build it again") from error
    if manifest.get("format") != FORMAT:
        raise ReleaseError(
            f"the release {sha256[:12]} has the format {manifest.get('format')!r}, this runner reads {FORMAT}; "
            "deploy the runner and the release together"
        )
    roles = manifest["roles"]
    return Release(
        sha256=sha256,
        roles=_statements(roles["statements"]) if roles else (),
        migrations=tuple(_migration(entry) for entry in manifest["files"]),
    )


def _migration(entry: dict[str, Any]) -> Migration:
    down = entry.get("down")
    return Migration(
        version=entry["version"],
        name=entry["name"],
        file=entry["file"],
        checksum=entry["sha256"],
        transactional=entry["transactional"],
        statements=_statements(entry["statements"]),
        down=_migration(down) if down else None,
    )


def _statements(entries: list[dict[str, Any]]) -> tuple[Statement, ...]:
    return tuple(_statement(entry) for entry in entries)


def _statement(entry: dict[str, Any]) -> Statement:
    index = entry["index"]
    return Statement(
        **{**entry, "relations": tuple(entry["relations"])}
        | {"index": Index(**{**index, "columns": tuple(index["columns"])}) if index else None}
    )
