"""CHANGELOG.md: its newest dated heading is the version of pyproject.toml, and a release dates what was unreleased."""

import re
from datetime import date

UNRELEASED = "## [Unreleased]"
_DATED = re.compile(r"^## \[(?P<version>[0-9]+\.[0-9]+\.[0-9]+)\] - (?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})$", re.MULTILINE)
_HEADING = re.compile(r"^## ", re.MULTILINE)


def newest_version(text: str) -> str | None:
    """Return the version of the newest dated heading; `None` before the first release."""
    found = _DATED.search(text)
    return found["version"] if found else None


def dated(text: str, version: str, day: date) -> str:
    """Return the changelog with what is unreleased under the heading of `version`; unchanged where that has a date.

    Raises:
        ValueError: the heading `[Unreleased]` is missing, or nothing stands below it.

    """
    if newest_version(text) == version:
        return text
    before, heading, after = text.partition(f"{UNRELEASED}\n")
    if not heading or not _HEADING.split(after, maxsplit=1)[0].strip():
        raise ValueError(
            f"CHANGELOG.md has nothing below {UNRELEASED}; write there what {version} changes for its users"
        )
    return f"{before}{UNRELEASED}\n\n## [{version}] - {day.isoformat()}\n{after}"


def changelog_problems(text: str, version: str, released: list[str]) -> list[str]:
    """Return a sentence for each way in which changelog, `version` of pyproject.toml and the releases disagree.

    Args:
        text: CHANGELOG.md.
        version: that of pyproject.toml.
        released: the versions in `migrations/released.toml`, oldest first.

    """
    newest, last = newest_version(text), released[-1] if released else None
    problems: list[str] = []
    if UNRELEASED not in text.splitlines():
        problems.append(f"CHANGELOG.md has no heading {UNRELEASED}; add it above the newest release")
    if newest != last:
        problems.append(
            f"the newest release is {newest or 'none'} in CHANGELOG.md and {last or 'none'} in "
            "migrations/released.toml; `make release` writes both"
        )
    elif newest is not None and newest != version:
        problems.append(
            f"version in pyproject.toml is {version}, the newest release {newest}; `make release` dates the changelog "
            f"and records the migrations of {version}"
        )
    return problems
