"""The wheel of the command line: built, put beside what installs it as it was tested, and tried on its own.

`build/dist/` holds the wheel, `requirements.txt` with the locked packages that it depends on, the inventory, the notes
and SHA256SUMS. The wheel's bytes follow from the code alone.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import uv

from lab.embedded_postgres import EmbeddedPostgres
from lab.release.licences import INVENTORY
from lab.release.packages import PROJECT, SITE_PACKAGES, closure, locked_text
from scannerdb.main import COMMANDS
from stacks import ROOT

DIST = ROOT / "build" / "dist"
REQUIREMENTS = "requirements.txt"
SUMS = "SHA256SUMS"

Command = Callable[..., str]


class WheelError(ValueError):
    """The wheel cannot be built or installed, or does not work; the message is what the command said."""


def build_dist(folder: Path = DIST) -> Path:
    """Build the wheel and what lies beside it; return the wheel.

    Raises:
        WheelError: it cannot be built.

    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run(uv.find_uv_bin(), "build", "--quiet", "--wheel", "--no-create-gitignore", "--out-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    needed = closure(PROJECT["dependencies"], SITE_PACKAGES)
    # With hashes and nothing else: what depends on what is in the wheel's metadata.
    (folder / REQUIREMENTS).write_text(locked_text(ROOT / "requirements.lock", needed))
    shutil.copyfile(INVENTORY, folder / INVENTORY.name)
    shutil.copyfile(ROOT / "docs" / "releases" / f"{PROJECT['version']}.md", folder / "notes.md")
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    (folder / SUMS).write_text("".join(f"{sha256}  {name}\n" for name, sha256 in sums.items()))
    return wheel


def try_wheel(wheel: Path) -> list[str]:
    """Install the wheel into an empty environment and use it; return what was done, a line each.

    It runs in an empty folder, with no variable of the project and no module of the checkout within reach: all that it
    gets is a folder with `migrations/` and `environments/`, and a PostgreSQL that holds nothing.

    Raises:
        WheelError: it cannot be installed, or a command does not do what it should.

    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv, empty, project = folder / "venv", folder / "empty", folder / "project"
        empty.mkdir()
        for part in ("migrations", "environments"):
            shutil.copytree(ROOT / part, project / part)
        install = (uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--python", venv / "bin" / "python")
        _run(uv.find_uv_bin(), "venv", "--quiet", "--no-project", "--python", sys.executable, venv)
        _run(*install, "--require-hashes", "-r", wheel.parent / REQUIREMENTS)
        _run(*install, wheel)
        _run(uv.find_uv_bin(), "pip", "check", "--quiet", "--python", venv / "bin" / "python")

        def scannerdb(*arguments: str | Path) -> str:
            return _run(venv / "bin" / "scannerdb", *arguments, cwd=empty)

        done = [f"installed into an empty environment: {wheel.name}", *_try_without_database(scannerdb, project, wheel)]
        # PostgreSQL runs as another user, who must get there.
        with EmbeddedPostgres(ROOT / "build" / f"try-wheel-{os.getpid()}", durable=False) as server:
            done += _try_with_database(scannerdb, project, server.dsn())
            server.discard()
        if left := list(empty.iterdir()):
            raise WheelError(f"scannerdb left {left[0].name} in the folder that it was started in")
        return done


def _try_without_database(scannerdb: Command, project: Path, wheel: Path) -> list[str]:
    version = scannerdb("--version").split()[-1]
    if f"-{version}-" not in wheel.name:
        raise WheelError(f"scannerdb of {wheel.name} says that its version is {version}")
    names = [str(command.name) for commands in COMMANDS.values() for command in commands]
    for name in names:
        scannerdb(name, "--help")
    planned = scannerdb("--project", project, "plan")
    files = [line for line in planned.splitlines() if line.endswith(".sql")]
    settings = json.loads(scannerdb("--project", project, "settings", "-e", "dev", "--json"))
    return [
        f"--version: {version}",
        f"--help of {len(names)} commands",
        f"plan, without a database: {len(files)} migrations of the project",
        f"settings -e dev: {len(settings)} values",
    ]


def _try_with_database(scannerdb: Command, project: Path, dsn: str) -> list[str]:
    lines = (("migrate",), ("refresh",), ("verify",), ("status",), ("plan",))
    return [
        f"{' '.join(line)}: {scannerdb('--project', project, *line, '--dsn', dsn).strip().splitlines()[-1]}"
        for line in lines
    ]


def _run(*command: str | Path, cwd: Path = ROOT) -> str:
    # Neither the caller's modules nor its choice of a project reaches the command.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SCANNER", "PYTHON", "RDS_"))}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WheelError(f"exit code {done.returncode} of {' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    try:
        print(*try_wheel(build_dist()), sep="\n")
    except WheelError as error:
        sys.exit(str(error))
    print(f"{DIST.relative_to(ROOT)}: {', '.join(sorted(path.name for path in DIST.iterdir()))}")
