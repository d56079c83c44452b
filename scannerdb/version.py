"""The version of this checkout: that of pyproject.toml, and the commit where git knows one."""

import subprocess
import tomllib

from stacks import ROOT


def version() -> str:
    """Return such as `0.1.0 (e9d4c6a)`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    commit = _commit()
    return f"{project['version']} ({commit})" if commit else str(project["version"])


def _commit() -> str:
    # Only the checkout's own: an unpacked copy may lie inside another repository.
    if not (ROOT / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
