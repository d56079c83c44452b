"""`make release` records a version once, and `make check` is red from then on where a released file changes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from lab.release import __main__ as release
from lab.release.packages import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n- A thing.\n"
VERSION = PROJECT["version"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose first release is ready."""
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    for name in ("migrations", "releases"):
        (tmp_path / name).mkdir()
    (tmp_path / "migrations" / "001_make_jobs.sql").write_text("CREATE TABLE jobs ();\n")
    (tmp_path / "releases" / f"{VERSION}.md").write_text("Notes.\n")
    monkeypatch.setattr(release, "MIGRATIONS", tmp_path / "migrations")
    monkeypatch.setattr(release, "CHANGELOG", tmp_path / "CHANGELOG.md")
    monkeypatch.setattr(release, "NOTES", tmp_path / "releases")
    monkeypatch.setattr(release, "write_inventory", lambda: None)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    def main(command: str) -> int:
        monkeypatch.setattr(sys, "argv", ["release", command])
        return release.main()

    return main


def test_a_release_is_recorded_once_and_checked_from_then_on(
    project: Path, run: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check") == 0
    assert run("record") == 0
    assert f"git tag --annotate v{VERSION}" in capsys.readouterr().out
    written = {path: path.read_text() for path in project.rglob("*") if path.is_file()}
    assert (run("check"), run("record"), run("check")) == (0, 0, 0)
    assert {path: path.read_text() for path in written} == written
    (project / "migrations" / "001_make_jobs.sql").write_text("CREATE TABLE jobs (job_id uuid);\n")
    assert run("check") == 1
    assert "Put the change into a new file, such as 002_what_it_does.sql." in capsys.readouterr().err


def test_a_release_without_notes_records_nothing(
    project: Path, run: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "releases" / f"{VERSION}.md").unlink()
    assert run("record") == 1
    assert f"docs/releases/{VERSION}.md does not exist; write the notes" in capsys.readouterr().err
    assert (project / "CHANGELOG.md").read_text() == CHANGELOG


def test_a_release_that_is_refused_leaves_the_changelog(project: Path, run: Callable[[str], int]) -> None:
    run("record")
    (project / "migrations" / "002_more.sql").write_text("CREATE TABLE more ();\n")
    before = (project / "CHANGELOG.md").read_text()
    assert run("record") == 1
    assert (project / "CHANGELOG.md").read_text() == before
