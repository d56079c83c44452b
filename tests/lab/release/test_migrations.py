"""A released migration never changes: `make check` is red, and says to add a new file."""

from __future__ import annotations

import hashlib
import tomllib
from typing import TYPE_CHECKING

import pytest

from lab.release.migrations import RECORD, read_released, record_release, released_problems
from tests.support.database import MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "001_make_jobs.sql": "CREATE TABLE jobs ();\n",
    "001_make_jobs.down.sql": "DROP TABLE jobs;\n",
    "002_make_findings.sql": "CREATE TABLE findings ();\n",
    "002_make_findings.down.sql": "DROP TABLE findings;\n",
    "restore.sql": "SELECT 1;\n",
    "roles.sql": "SELECT 2;\n",
    "schema.sql": "-- all of it\n",
}


@pytest.fixture
def unreleased(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    for name, sql in FILES.items():
        (folder / name).write_text(sql)
    return folder


@pytest.fixture
def released(unreleased: Path) -> Path:
    record_release(unreleased, "0.1.0")
    return unreleased


def test_before_the_first_release_every_file_may_change(unreleased: Path) -> None:
    (unreleased / "001_make_jobs.sql").write_text("CREATE TABLE jobs (job_id uuid);\n")
    assert released_problems(unreleased) == []


def test_a_release_records_each_numbered_file_by_the_checksum_that_the_ledger_has(released: Path) -> None:
    numbered = [name for name in FILES if name[0].isdigit()]
    checksums = {name: hashlib.sha256(FILES[name].encode()).hexdigest() for name in numbered}
    assert read_released(released) == {"0.1.0": checksums}
    assert released_problems(released) == []


def test_a_changed_file_is_red_and_the_message_says_to_add_a_new_one(released: Path) -> None:
    (released / "001_make_jobs.sql").write_text("CREATE TABLE jobs (job_id uuid);\n")
    (problem,) = released_problems(released)
    assert problem.startswith("migrations/001_make_jobs.sql was released with 0.1.0 and has changed since (checksum ")
    assert "git checkout v0.1.0 -- migrations/001_make_jobs.sql" in problem
    assert problem.endswith("Put the change into a new file, such as 003_what_it_does.sql.")


def test_even_a_comment_or_another_line_ending_is_a_change(released: Path) -> None:
    path = released / "002_make_findings.sql"
    for changed in (b"-- why\n" + path.read_bytes(), path.read_bytes().replace(b"\n", b"\r\n")):
        before = path.read_bytes()
        path.write_bytes(changed)
        assert len(released_problems(released)) == 1
        path.write_bytes(before)


def test_a_removed_file_is_red(released: Path) -> None:
    (released / "002_make_findings.sql").unlink()
    (problem,) = released_problems(released)
    assert "migrations/002_make_findings.sql was released with 0.1.0 and is missing" in problem


def test_files_that_changed_places_are_red(released: Path) -> None:
    for old, new in (("001_make_jobs", "003_make_jobs"), ("002_make_findings", "001_make_findings")):
        for suffix in (".sql", ".down.sql"):
            (released / f"{old}{suffix}").rename(released / f"{new}{suffix}")
    problems = released_problems(released)
    assert len(problems) == 4
    assert "001_make_jobs.sql was released with 0.1.0 and is 003_make_jobs.sql now" in problems[1]
    assert "number and name: restore it" in problems[1]


def test_a_new_file_among_released_ones_is_red(released: Path) -> None:
    (released / "001_other.sql").write_text("CREATE TABLE other ();\n")
    (problem,) = released_problems(released)
    assert "migrations/001_other.sql is new, and 002 is released" in problem
    assert problem.endswith("Give it the next number, 003.")


def test_a_file_that_no_release_has_may_change_and_so_may_what_runs_in_each_run(released: Path) -> None:
    new = released / "003_add_a_thing.sql"
    for sql in ("CREATE TABLE thing ();\n", "CREATE TABLE thing (name text);\n"):
        new.write_text(sql)
        (released / "roles.sql").write_text(sql)
        (released / "restore.sql").write_text(sql)
        assert released_problems(released) == []


def test_a_rollback_that_is_wrong_can_be_corrected_by_its_new_checksum(released: Path) -> None:
    path = released / "002_make_findings.down.sql"
    path.write_text("DROP TABLE IF EXISTS findings;\n")
    (problem,) = released_problems(released)
    assert "A rollback would not be the one that was tested" in problem
    new = problem.removesuffix(".").rpartition(" ")[2]
    old = read_released(released)["0.1.0"][path.name]
    record = released / RECORD
    record.write_text(record.read_text().replace(old, new))
    assert released_problems(released) == []


def test_the_next_release_adds_its_files_and_keeps_what_stands(released: Path) -> None:
    before = (released / RECORD).read_text()
    (released / "003_add_a_thing.sql").write_text("CREATE TABLE thing ();\n")
    assert record_release(released, "0.2.0") == ["003_add_a_thing.sql"]
    assert (released / RECORD).read_text().startswith(before)
    assert list(read_released(released)["0.2.0"]) == ["003_add_a_thing.sql"]


def test_a_release_without_migrations_is_recorded_too(released: Path) -> None:
    assert record_release(released, "0.1.1") == []
    assert read_released(released)["0.1.1"] == {}


def test_a_version_is_recorded_once(released: Path) -> None:
    assert record_release(released, "0.1.0") == []
    (released / "003_add_a_thing.sql").write_text("CREATE TABLE thing ();\n")
    with pytest.raises(ValueError, match=r"0\.1\.0 is released without 003_add_a_thing\.sql; raise `version`"):
        record_release(released, "0.1.0")


def test_nothing_is_recorded_while_a_released_file_differs(released: Path) -> None:
    (released / "001_make_jobs.sql").write_text("SELECT 1;\n")
    before = (released / RECORD).read_text()
    with pytest.raises(ValueError, match="has changed since"):
        record_release(released, "0.2.0")
    assert (released / RECORD).read_text() == before


def test_the_migrations_of_this_project_are_as_released() -> None:
    assert released_problems(MIGRATIONS) == []
    record = MIGRATIONS / RECORD
    assert not record.exists() or tomllib.loads(record.read_text())
