"""Which files of the migrations folder are in a release, and their text. Imports no parser."""

import codecs
from pathlib import Path

# The whole schema, for readers; generated from a migrated database, so no release runs it or depends on it.
SCHEMA_FILE = "schema.sql"
SUFFIX = ".sql"
_WIDE_MARKS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


class MigrationError(ValueError):
    """The migrations folder cannot become a release; the message names the file and the way out."""


def release_files(migrations: Path) -> list[Path]:
    """Return the SQL files that a release holds, in the order of their names.

    Raises:
        MigrationError: the folder is missing, or something in it looks like a migration and would be left out.

    """
    if not migrations.is_dir():
        raise MigrationError(f"{migrations} is not a folder; name the folder that holds the migrations")
    found: list[Path] = []
    for path in sorted(migrations.iterdir()):
        if path.name.startswith(".") or path.name == SCHEMA_FILE:
            continue
        if path.suffix == SUFFIX and path.is_file():
            found.append(path)
        elif path.name[0].isdigit() or SUFFIX in path.name.lower():
            raise MigrationError(
                f"{path} looks like a migration and no release would run it; "
                "rename it like 003_add_a_thing.sql, or move it out of the folder"
            )
    return found


def read_sql(path: Path) -> str:
    """Return a file's text without the mark that some editors put in front of UTF-8 (BOM).

    Raises:
        MigrationError: its bytes are not plain UTF-8 with lines that end with LF.

    """
    content = path.read_bytes()
    for mark, encoding in _WIDE_MARKS.items():
        if content.startswith(mark):
            raise MigrationError(f"{path}, line 1: the file is {encoding}; save it as UTF-8")
    # PostgreSQL reads no further than a NUL.
    _refuse(path, content, b"\0", "a NUL byte, where PostgreSQL would stop reading; delete it")
    _refuse(
        path,
        content,
        b"\r",
        "the line ends with CR LF or CR. The checksum would differ from that of the same file with LF line endings, "
        "and migrate would refuse one of them as changed; save it with LF (.gitattributes makes git check it out so)",
    )
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MigrationError(f"{path}, line {line}: byte {error.start} is not UTF-8; save it as UTF-8") from error


def _refuse(path: Path, content: bytes, unwanted: bytes, why: str) -> None:
    position = content.find(unwanted)
    if position >= 0:
        line = content.count(b"\n", 0, position) + 1
        raise MigrationError(f"{path}, line {line}: {why}")
