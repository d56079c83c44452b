"""Python packages as they are installed: their closure, their licences, and the hashes that a lock file accepts."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import packaging
from packaging.requirements import Requirement

from stacks import ROOT

# The one place that has the version and the direct dependencies.
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Of the interpreter that runs this, as `make setup` installed it.
SITE_PACKAGES = Path(packaging.__file__).parent.parent
_LOCKED = re.compile(
    r"^(?P<name>\S+)==(?P<version>\S+)[^\n]*(?P<hashes>(?:\n {4}--hash=sha256:\S+(?: \\)?)+)", re.MULTILINE
)
# The oldest Python that is supported, so that the answer is the same under each.
_ENVIRONMENT = {
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "os_name": "posix",
    "sys_platform": "linux",
    "python_version": "3.11",
    "python_full_version": "3.11.0",
}


@dataclass(frozen=True, kw_only=True)
class Package:
    """One installed package, and the names of those that it needs."""

    name: str
    distribution: Distribution
    needs: tuple[str, ...]

    @property
    def version(self) -> str:
        """The version that is installed."""
        return self.distribution.version

    @property
    def licence_expression(self) -> str | None:
        """Its licence in SPDX's words; `None` where its metadata does not say it so."""
        found = self.distribution.metadata.get_all("License-Expression")
        return str(found[0]) if found else None

    @property
    def purl(self) -> str:
        """The package URL by which scanners for vulnerabilities know it."""
        return f"pkg:pypi/{self.name}@{self.version}"


def canonical(name: str) -> str:
    """Return a package's name as lock files write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirements: Iterable[str]) -> list[str]:
    """Return the name of each requirement that holds on Linux.

    Raises:
        ValueError: one asks for an extra.

    """
    parsed = [Requirement(text) for text in requirements]
    wanted = [each for each in parsed if each.marker is None or each.marker.evaluate(_ENVIRONMENT | {"extra": ""})]
    if extras := [str(each) for each in wanted if each.extras]:
        raise ValueError(f"extras are not followed, as that of {extras[0]}; teach lab/release/packages.py to")
    return [canonical(each.name) for each in wanted]


def closure(requirements: Iterable[str], folder: Path) -> dict[str, Package]:
    """Return what the requirements need, directly or not, by name.

    Args:
        requirements: as `psycopg2-binary==2.9.13`.
        folder: where the packages are installed.

    Raises:
        ValueError: one is not installed there.

    """
    installed = {canonical(each.name): each for each in importlib.metadata.distributions(path=[str(folder)])}
    found: dict[str, Package] = {}
    waiting = required(requirements)
    while waiting:
        name = waiting.pop()
        if name not in installed:
            raise ValueError(f"{name} is not installed in {folder}; run `make setup`")
        if name not in found:
            needs = required(installed[name].requires or ())
            found[name] = Package(name=name, distribution=installed[name], needs=tuple(sorted(needs)))
            waiting += needs
    return dict(sorted(found.items()))


def locked_text(lock: Path, packages: Mapping[str, Package]) -> str:
    """Return the lines of a lock that name these packages, as `pip install --require-hashes` reads them.

    Raises:
        ValueError: the lock has another version than what is installed.

    """
    locked = {(canonical(found["name"]), found["version"]): found[0] for found in _LOCKED.finditer(lock.read_text())}
    wanted = [(package.name, package.version) for package in packages.values()]
    if missing := [f"{name} {version}" for name, version in wanted if (name, version) not in locked]:
        raise ValueError(f"installed and not in {lock.name}: {', '.join(missing)}; run `make setup`")
    return "".join(f"{locked[each]}\n" for each in wanted)


def locked_hashes(lock: Path) -> dict[tuple[str, str], list[str]]:
    """Return the SHA-256 of each file that a lock accepts, in hexadecimal, by name and version."""
    return {
        (canonical(found["name"]), found["version"]): re.findall(r"sha256:([0-9a-f]{64})", found["hashes"])
        for found in _LOCKED.finditer(lock.read_text())
    }
