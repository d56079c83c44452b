"""One version: that of pyproject.toml, which the changelog dates and the migrations are recorded under."""

from __future__ import annotations

from datetime import date

import pytest

from lab.release.changelog import changelog_problems, dated

FIRST = """\
# Changelog

## [Unreleased]

### Added
- A thing.
"""
DAY = date(2026, 11, 27)
RELEASED = dated(FIRST, "0.1.0", DAY)


def test_a_release_puts_what_was_unreleased_under_its_version_and_day() -> None:
    assert FIRST.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.1.0] - 2026-11-27\n") == RELEASED


def test_a_release_that_has_its_date_keeps_it() -> None:
    assert dated(RELEASED, "0.1.0", date(2027, 1, 1)) == RELEASED


def test_a_release_that_changes_nothing_for_its_users_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing below"):
        dated(RELEASED, "0.2.0", DAY)


def test_versions_that_agree_are_no_problem() -> None:
    assert changelog_problems(FIRST, "0.1.0", []) == []
    assert changelog_problems(RELEASED, "0.1.0", ["0.1.0"]) == []


@pytest.mark.parametrize(
    ("text", "version", "released", "told"),
    [
        (RELEASED, "0.1.0", [], "the newest release is 0.1.0 in CHANGELOG.md and none in migrations/released.toml"),
        (FIRST, "0.1.0", ["0.1.0"], "the newest release is none in CHANGELOG.md and 0.1.0 in migrations"),
        (RELEASED, "0.2.0", ["0.1.0"], "version in pyproject.toml is 0.2.0, the newest release 0.1.0"),
        (RELEASED.replace("## [Unreleased]\n", ""), "0.1.0", ["0.1.0"], "has no heading ## [Unreleased]"),
    ],
)
def test_versions_that_disagree_are_told(text: str, version: str, released: list[str], told: str) -> None:
    (problem,) = changelog_problems(text, version, released)
    assert told in problem
