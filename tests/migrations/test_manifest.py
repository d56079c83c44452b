"""A migrations folder becomes a manifest, or is refused with the file and the way out."""

import subprocess
from pathlib import Path

import pytest

from stacks.assets.manifest import build_manifest, release_entries
from stacks.assets.migration_files import MigrationError
from stacks.assets.package import build_release
from tests.support.database import MIGRATIONS


def folder(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, sql in files.items():
        (tmp_path / name).write_text(sql)
    return tmp_path


def test_files_come_in_the_order_of_their_numbers_with_their_rollback(tmp_path: Path) -> None:
    manifest = build_manifest(
        folder(tmp_path, {"002_b.sql": "SELECT 2", "001_a.sql": "SELECT 1", "001_a.down.sql": "SELECT 0"})
    )
    assert [migration.file for migration in manifest.migrations] == ["001_a.sql", "002_b.sql"]
    first, second = manifest.migrations
    assert first.down is not None
    assert first.down.file == "001_a.down.sql"
    assert second.down is None


def test_one_statement_that_refuses_a_transaction_makes_its_whole_file_run_outside_one(tmp_path: Path) -> None:
    files = {"001_a.sql": "SELECT 1; CREATE INDEX CONCURRENTLY i ON t (a)", "002_b.sql": "SELECT 1"}
    manifest = build_manifest(folder(tmp_path, files))
    assert [migration.transactional for migration in manifest.migrations] == [False, True]


def test_our_own_release_carries_every_file_and_a_rollback_for_each() -> None:
    names = set(release_entries(MIGRATIONS))
    assert {path.name for path in MIGRATIONS.glob("*.sql")} - {"schema.sql"} | {"manifest.json"} == names
    assert all(migration.down for migration in build_manifest(MIGRATIONS).migrations)


def test_a_release_does_not_depend_on_the_schema_file(tmp_path: Path) -> None:
    migrations = folder(tmp_path, {"001_a.sql": "SELECT 1"})
    before = build_release(migrations, folder=tmp_path / "build").sha256
    (migrations / "schema.sql").write_text("no SQL at all")
    assert build_release(migrations, folder=tmp_path / "build").sha256 == before
    assert build_release(migrations, folder=tmp_path / "elsewhere").sha256 == before


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"1_a.sql": "SELECT 1"}, "1_a.sql is not named like"),
        ({"001_a.sql": "SELECT 1", "001_b.sql": "SELECT 1"}, "001_b.sql and 001_a.sql have the same number"),
        ({"001_a.sql": "SELECT 1", "003_c.sql": "SELECT 1"}, "003_c.sql but no migration numbered 002"),
        ({"001_a.sql": "SELECT 1", "001_b.down.sql": "SELECT 1"}, "001_b.down.sql takes back no migration"),
        ({"001_a.sql": "-- nothing"}, "001_a.sql holds no statement"),
        ({"001_a.sql": "ALTER TABLE t ADD a int; ALTER TABLE u ADD a int"}, "makes the writers of t, u wait in one"),
        (
            {"001_a.sql": "SELECT 1", "002_b.SQL": "SELECT 1"},
            "002_b.SQL looks like a migration",
        ),
        ({"001_a.sql": "SELECT 1", "002_b.sql.orig": "SELECT 1"}, "002_b.sql.orig looks like a migration"),
        ({"001_a.sql": "SELECT 1", "Restore.Sql": "SELECT 1"}, "Restore.Sql looks like a migration"),
        ({"001_a.sql": "SELECT 1", "002_b": "SELECT 1"}, "002_b looks like a migration"),
        ({}, "holds no migration"),
    ],
)
def test_a_folder_that_is_out_of_order_is_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(MigrationError, match=message):
        build_manifest(folder(tmp_path, files))


def test_a_file_that_would_be_left_out_is_refused_also_where_the_release_was_built_before(tmp_path: Path) -> None:
    migrations = folder(tmp_path, {"001_a.sql": "SELECT 1", "README.md": "words"})
    build_release(migrations, folder=tmp_path / "build")
    (migrations / "002_b.SQL").write_text("SELECT 2")
    with pytest.raises(MigrationError, match=r"002_b.SQL looks like a migration and no release"):
        build_release(migrations, folder=tmp_path / "build")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"SELECT 1;\nSELECT 2;\0 DROP TABLE t;", "line 2: a NUL byte, where PostgreSQL would stop reading"),
        (b"SELECT 1;\nSELECT 2;\r\n", "line 2: the line ends with CR LF or CR"),
        (b"SELECT 1;\rSELECT 2;", "line 1: the line ends with CR LF or CR"),
        ("SELECT 1".encode("utf-16"), "line 1: the file is UTF-16; save it as UTF-8"),
        (b"SELECT 1;\n\nSELECT '\xe4'", "line 3: byte 19 is not UTF-8"),
        ("SELECT 1;\nSELECT\u00a02".encode(), "line 2: .*U\\+00A0 NO-BREAK SPACE"),
        ("SELECT 1;\n\ufeffSELECT 2".encode(), "line 2: .*U\\+FEFF ZERO WIDTH NO-BREAK SPACE"),
    ],
)
def test_bytes_that_postgresql_would_read_otherwise_are_refused_with_file_and_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "001_a.sql").write_bytes(content)
    with pytest.raises(MigrationError, match=rf"001_a\.sql, {message}"):
        build_manifest(tmp_path)


def test_the_mark_in_front_of_utf8_is_no_part_of_the_first_statement(tmp_path: Path) -> None:
    (tmp_path / "001_a.sql").write_bytes(b"\xef\xbb\xbfSELECT 1;\nSELECT 2;")
    (migration,) = build_manifest(tmp_path).migrations
    assert [(statement.line, statement.sql) for statement in migration.statements] == [(1, "SELECT 1"), (2, "SELECT 2")]


def test_a_foreign_key_may_lock_its_two_tables_and_no_third_one(tmp_path: Path) -> None:
    key = "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u NOT VALID"
    assert len(build_manifest(folder(tmp_path, {"001_a.sql": key})).migrations) == 1
    with pytest.raises(MigrationError, match="makes the writers of t, u, v wait in one"):
        build_manifest(folder(tmp_path, {"001_a.sql": f"{key}; ALTER TABLE v ADD a int"}))


def test_git_keeps_the_line_endings_of_each_file_of_a_release() -> None:
    told = subprocess.run(
        ["git", "check-attr", "eol", *(f"migrations/{path.name}" for path in MIGRATIONS.glob("*.sql"))],
        cwd=MIGRATIONS.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(told) > 5
    assert all(line.endswith(": eol: lf") for line in told)


def test_a_syntax_error_names_the_file_the_line_the_text_and_postgresqls_message(tmp_path: Path) -> None:
    with pytest.raises(MigrationError) as refusal:
        build_manifest(folder(tmp_path, {"001_a.sql": "SELECT 1;\n\nCREATE TABEL t (a int);\n"}))
    assert '001_a.sql, line 3: syntax error at or near "TABEL"' in str(refusal.value)
    assert "CREATE TABEL t (a int);" in str(refusal.value)
