"""`make release`, and the part of `make check` that compares what a release recorded."""

import argparse
import sys
from datetime import UTC, datetime

from lab.release.changelog import changelog_problems, dated
from lab.release.licences import INVENTORY, PAGE, inventory_problems, write_inventory
from lab.release.migrations import read_released, record_release, released_problems
from lab.release.packages import PROJECT
from stacks import ROOT

MIGRATIONS = ROOT / "migrations"
CHANGELOG = ROOT / "CHANGELOG.md"
NOTES = ROOT / "docs" / "releases"


def main() -> int:
    """Check what was released, renew the inventory, or record a release."""
    parser = argparse.ArgumentParser(prog="python -m lab.release", description=main.__doc__)
    commands = {"check": _check, "inventory": _write_inventory, "record": _record}
    parser.add_argument("command", choices=commands)
    try:
        return commands[parser.parse_args().command]()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1


def _check() -> int:
    problems = [
        *released_problems(MIGRATIONS),
        *changelog_problems(CHANGELOG.read_text(), PROJECT["version"], list(read_released(MIGRATIONS))),
        *inventory_problems(),
    ]
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return int(bool(problems))


def _write_inventory() -> int:
    write_inventory()
    print(f"Wrote {INVENTORY.relative_to(ROOT)} and the tables of {PAGE.relative_to(ROOT)}.")
    return 0


def _record() -> int:
    version = PROJECT["version"]
    if not (NOTES / f"{version}.md").exists():
        raise ValueError(f"docs/releases/{version}.md does not exist; write the notes of the release there")
    changelog = dated(CHANGELOG.read_text(), version, datetime.now(UTC).date())
    recorded = record_release(MIGRATIONS, version)
    CHANGELOG.write_text(changelog)
    write_inventory()
    print(
        f"{version}: CHANGELOG.md has its date, migrations/released.toml {len(recorded)} more files.",
        f"Commit what changed when the rest is green, and tag it: git tag --annotate v{version} --message {version}",
        sep="\n",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
