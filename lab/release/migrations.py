"""The checksums of released migrations: `migrations/released.toml`, which a release writes and `make check` compares.

`migrate` refuses a file that was changed after it was applied, but only in a database that has it. These checksums tell
the author of the change before anything is deployed.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

RECORD = "released.toml"
# roles.sql and restore.sql run in each run, so that they may change.
_NUMBERED = re.compile(r"(?P<number>[0-9]{3})_[a-z0-9_]+(?P<down>\.down)?\.sql")
_HEAD = "# The SHA-256 of each migration, by release. `make release` adds to this file, `make check` compares.\n"

# The files that each version brought, with their SHA-256 in hexadecimal.
Released = dict[str, dict[str, str]]


def read_released(migrations: Path) -> Released:
    """Return what was released so far, in the order of the releases; nothing before the first."""
    path = migrations / RECORD
    return tomllib.loads(path.read_text()) if path.exists() else {}


def released_problems(migrations: Path) -> list[str]:
    """Return a sentence for each released migration that changed, and for each new one that databases would miss.

    Args:
        migrations: the folder that holds `NNN_name.sql`, `NNN_name.down.sql` and `released.toml`.

    """
    return list(_problems(migrations, read_released(migrations), _checksums(migrations)))


def record_release(migrations: Path, version: str) -> list[str]:
    """Write the checksums of the files that no release has yet under `version`; return their names.

    A version that is recorded already is left as it is.

    Raises:
        ValueError: a released file has changed, or a new file came after `version` was recorded.

    """
    if problems := released_problems(migrations):
        raise ValueError("\n".join(problems))
    released = read_released(migrations)
    known = {name for files in released.values() for name in files}
    new = {name: checksum for name, checksum in _checksums(migrations).items() if name not in known}
    if version in released:
        if new:
            raise ValueError(
                f"{version} is released without {', '.join(new)}; raise `version` in pyproject.toml for a new release"
            )
        return []
    path = migrations / RECORD
    before = path.read_text() if path.exists() else _HEAD
    lines = [f'\n["{version}"]', *(f'"{name}" = "{checksum}"' for name, checksum in new.items())]
    path.write_text(before + "\n".join(lines) + "\n")
    return list(new)


def _checksums(migrations: Path) -> dict[str, str]:
    """Return the SHA-256 of each numbered file's bytes, as the ledger has it."""
    paths = sorted(path for path in migrations.iterdir() if _NUMBERED.fullmatch(path.name))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _problems(migrations: Path, released: Released, present: dict[str, str]) -> Iterator[str]:
    known = {name: (version, checksum) for version, files in released.items() for name, checksum in files.items()}
    new = {name: checksum for name, checksum in present.items() if name not in known}
    last = max((_number(name) for name in known), default=0)
    following = f"{max(map(_number, [*known, *present]), default=0) + 1:03}"
    renamed: set[str] = set()
    for name, (version, checksum) in known.items():
        restore = f"restore it (git checkout v{version} -- {migrations.name}/{name})"
        was = f"{migrations.name}/{name} was released with {version}"
        if present.get(name) == checksum:
            continue
        if name not in present:
            now = next((other for other, same in new.items() if same == checksum), None)
            renamed |= {now} if now else set()
            happened = f"is {now} now" if now else "is missing"
            yield f"{was} and {happened}. Databases know it by that number and name: {restore}. {_new_file(following)}"
        elif ".down." in name:
            yield (
                f"{was} and has changed since. A rollback would not be the one that was tested: {restore}. If that one "
                f"is wrong, correct it, and put its new checksum into {RECORD}: {present[name]}."
            )
        else:
            yield (
                f"{was} and has changed since (checksum {checksum[:8]}... -> {present[name][:8]}...). `migrate` "
                f"refuses it in each database that has it: {restore}. {_new_file(following)}"
            )
    for name in new:
        # A rollback may be added to a released file.
        if _number(name) <= last and name not in renamed and name.replace(".down.", ".") not in known:
            yield (
                f"{migrations.name}/{name} is new, and {last:03} is released: a database that has {last:03} would "
                f"refuse the release. Give it the next number, {following}."
            )


def _new_file(number: str) -> str:
    return f"Put the change into a new file, such as {number}_what_it_does.sql."


def _number(name: str) -> int:
    return int(name[:3])
