"""The version of `scannerdb`, and of the project where it is another checkout; with the commit where git knows one."""

import importlib.metadata
import subprocess
import tomllib
from pathlib import Path

from stacks import CODE, ROOT

DISTRIBUTION = "scanner-database"


def version() -> str:
    """Return such as `0.1.0 (e9d4c6a)`, or `0.1.0, for the project /srv/scanner-database 0.1.0 (e9d4c6a)`."""
    own = _of_checkout(CODE) or importlib.metadata.version(DISTRIBUTION)
    if ROOT == CODE:
        return own
    return f"{own}, for the project {ROOT} {_of_checkout(ROOT)}".strip()


def _of_checkout(folder: Path) -> str:
    """Return the version and the commit of a checkout; empty for any other folder."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except FileNotFoundError:
        return ""
    commit = _commit(folder)
    return f"{project['version']} ({commit})" if commit else str(project["version"])


def _commit(folder: Path) -> str:
    # Only the checkout's own: an unpacked copy may lie inside another repository.
    if not (folder / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
