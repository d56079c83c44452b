"""The shared libraries that a wheel brings beside its code: which project each file is of, and its version."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Library:
    """One project whose files lie beside a package; version and package URL are empty where nothing tells them."""

    name: str
    version: str
    licence: str
    purl: str
    files: tuple[Path, ...]


def libraries(folder: Path, known: list[dict[str, Any]]) -> Iterator[Library]:
    """Yield the libraries in the `*.libs` folders of installed packages.

    Args:
        folder: where the packages are installed.
        known: the tables `library` of licences.toml.

    Raises:
        ValueError: a file is of no library that is known.

    """
    listed = _listed(folder)
    unknown = sorted(path for path in folder.glob("*.libs/*") if path.is_file())
    for library in known:
        files = tuple(path for path in unknown if any(fnmatch(path.name, pattern) for pattern in library["files"]))
        unknown = [path for path in unknown if path not in files]
        if files:
            version, purl = listed.get(library["name"], ("", ""))
            yield Library(
                name=library["name"],
                version=version or _version(files, library.get("version")),
                licence=library["licence"],
                purl=purl,
                files=files,
            )
    if unknown:
        raise ValueError(
            f"no table `library` of licences.toml names {', '.join(path.name for path in unknown)}; add one"
        )


def _listed(folder: Path) -> dict[str, tuple[str, str]]:
    """Return version and package URL of what the wheels' own lists name (PEP 770)."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.dist-info/sboms/auditwheel.cdx.json"))]
    return {each["name"]: (each["version"], each["purl"]) for listed in found for each in listed["components"]}


def _version(files: tuple[Path, ...], pattern: str | None) -> str:
    matches = (re.search(pattern.encode(), path.read_bytes()) for path in files) if pattern else ()
    return next((match[1].decode() for match in matches if match), "")
