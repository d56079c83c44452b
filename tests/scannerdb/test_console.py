"""`scannerdb` runs its own code on the project that is named, wherever it is started and however it was installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import grimp
import pytest
import uv

from scannerdb.console import chosen_project, command
from stacks import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ROOMS = ("handlers", "scannerdb", "stacks")
ENTRY_POINT = "from scannerdb.console import command; command()"


def run(*command_line: str | Path, cwd: Path, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SCANNERDB_")}
    done = subprocess.run(command_line, cwd=cwd, env=environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def other_checkout(tmp_path: Path) -> Path:
    """A folder with modules, settings and migrations of its own."""
    folder = tmp_path / "other"
    for name in ROOMS:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise SystemExit('the code of the current folder')\n")
    (folder / "environments").mkdir()
    shutil.copyfile(ROOT / "environments" / "dev.toml", folder / "environments" / "theirs.toml")
    (folder / "migrations").mkdir()
    (folder / "migrations" / "001_theirs.sql").write_text("CREATE TABLE theirs (id int);\n")
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a wheel of this checkout is installed, apart from migrations and environments."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [uv.find_uv_bin(), "build", "--quiet", "--offline", "--wheel", "--out-dir", folder, ROOT]
    run(*build, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site-packages")
    return folder / "site-packages"


@pytest.fixture(scope="module")
def wrapper() -> Iterator[Path]:
    """The command that `make setup` writes, for this checkout."""
    folder = ROOT / "build" / "tests" / f"wrapper-{os.getpid()}"
    (folder / "bin").mkdir(parents=True)
    (folder / ".installed").touch()
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "pyvenv.cfg").write_bytes((Path(sys.prefix) / "pyvenv.cfg").read_bytes())
    (folder / "lib").symlink_to(Path(sys.prefix) / "lib")
    venv = folder.relative_to(ROOT)
    run("make", "-s", f"VENV={venv}", "-o", f"{venv}/.installed", f"{venv}/bin/scannerdb", cwd=ROOT, MAKEFLAGS="")
    yield folder / "bin" / "scannerdb"
    shutil.rmtree(folder)


def test_the_command_of_a_checkout_takes_nothing_from_the_folder_it_is_started_in(
    wrapper: Path, other_checkout: Path
) -> None:
    assert run(wrapper, "--version", cwd=other_checkout).stdout.startswith(f"scannerdb {PROJECT['version']}")
    planned = run(wrapper, "plan", cwd=other_checkout).stdout
    assert planned.startswith("001_create_scanner_tables.sql\n")
    assert "theirs" not in planned


def test_a_file_named_like_a_module_of_python_is_not_run_from_the_folder_it_is_started_in(
    wrapper: Path, tmp_path: Path
) -> None:
    """`python -c` puts the current folder in front of the standard library, unless it is told not to (-P)."""
    (tmp_path / "json.py").write_text("raise SystemExit('the folder was searched')")
    assert run(wrapper, "--version", cwd=tmp_path).stdout.startswith("scannerdb ")


def test_the_command_of_a_checkout_and_that_of_a_wheel_are_one() -> None:
    module, _, name = PROJECT["scripts"]["scannerdb"].partition(":")
    assert getattr(importlib.import_module(module), name) is command
    assert f"from {module} import {name}; {name}()" in (ROOT / "Makefile").read_text()


def test_the_command_of_a_checkout_leaves_no_path_to_the_commands_that_it_starts(wrapper: Path) -> None:
    assert "PYTHONPATH" not in wrapper.read_text()


@pytest.mark.parametrize(
    ("arguments", "variable", "chosen"),
    [
        ((), "", None),
        (("settings", "-e", "dev"), "/a", "/a"),
        (("--project", "/b", "settings"), "/a", "/b"),
        (("--project=/b", "settings"), "", "/b"),
        # Behind the command it is another command's argument.
        (("tunnel", "-e", "dev", "--", "x", "--project", "/b"), "", None),
        (("--project",), "", None),
    ],
)
def test_the_option_comes_before_the_variable(arguments: tuple[str, ...], variable: str, chosen: str | None) -> None:
    assert chosen_project(arguments, {"SCANNERDB_PROJECT": variable}) == chosen


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_wheel_works_on_the_migrations_and_environments_of_the_project_that_is_named(
    installed: Path, other_checkout: Path, tmp_path: Path, *, by_variable: bool
) -> None:
    options = () if by_variable else ("--project", str(other_checkout))
    variables = {"PYTHONPATH": str(installed)} | ({"SCANNERDB_PROJECT": str(other_checkout)} if by_variable else {})
    start = (sys.executable, "-P", "-c", ENTRY_POINT, *options)
    assert "CREATE TABLE theirs" in run(*start, "plan", cwd=tmp_path, **variables).stdout
    settings = json.loads(run(*start, "settings", "-e", "theirs", "--json", cwd=tmp_path, **variables).stdout)
    assert settings["region"]["from"] == "environments/theirs.toml"
    assert settings["release.migrations"]["value"] == "migrations"
    version = run(*start, "--version", cwd=tmp_path, **variables).stdout
    assert version == f"scannerdb {PROJECT['version']}, for the project {other_checkout}\n"
    assert [path.name for path in (other_checkout / "build").iterdir()] == ["release"]


def test_the_commands_that_a_command_starts_work_on_the_same_project(
    installed: Path, other_checkout: Path, tmp_path: Path
) -> None:
    told = "import os; from scannerdb import console, main; main.command = lambda: print(os.environ[{!r}]); "
    script = told.format("SCANNERDB_PROJECT") + "console.command()"
    printed = run(sys.executable, "-P", "-c", script, "--project", "other", cwd=tmp_path, PYTHONPATH=str(installed))
    assert printed.stdout == f"{other_checkout}\n"


@pytest.mark.parametrize(("line", "folder"), [("settings -e dev", "environments/"), ("plan", "migrations/")])
def test_a_wheel_without_a_project_asks_for_one(installed: Path, tmp_path: Path, line: str, folder: str) -> None:
    start = (sys.executable, "-P", "-c", ENTRY_POINT, *line.split())
    told = " ".join(run(*start, cwd=tmp_path, code=2, PYTHONPATH=str(installed)).stderr.split())
    assert f"which project? This scannerdb is not in a checkout: name the one that holds {folder} with" in told
    assert "`scannerdb --project DIR ...` or SCANNERDB_PROJECT" in told


def test_a_project_that_is_none_is_told_before_anything_else(installed: Path, tmp_path: Path) -> None:
    start = (sys.executable, "-P", "-c", ENTRY_POINT, "--project", ".", "plan")
    told = run(*start, cwd=tmp_path, code=1, PYTHONPATH=str(installed)).stderr
    assert told.startswith(f"scannerdb: the project {tmp_path} holds no folder environments and no folder migrations; ")


def test_a_project_that_may_not_be_written_to_is_read(installed: Path, other_checkout: Path, tmp_path: Path) -> None:
    (other_checkout / "build").write_text("where a folder would have to be made\n")
    start = (sys.executable, "-P", "-c", ENTRY_POINT, "--project", str(other_checkout), "plan")
    assert "CREATE TABLE theirs" in run(*start, cwd=tmp_path, PYTHONPATH=str(installed)).stdout


def test_what_only_a_checkout_can_do_says_so(installed: Path, other_checkout: Path, tmp_path: Path) -> None:
    start = (sys.executable, "-P", "-c", ENTRY_POINT, "--project", str(other_checkout), "review", "-e", "theirs")
    told = run(*start, "--emulator", cwd=tmp_path, code=2, PYTHONPATH=str(installed)).stderr
    assert (
        f"{other_checkout}/.venv/bin/python does not exist, and an installed scannerdb has no cdktf; run `make" in told
    )


def test_a_wheel_holds_each_file_of_its_rooms(installed: Path) -> None:
    tracked = run("git", "ls-files", *ROOMS, cwd=ROOT).stdout.splitlines()
    assert [name for name in tracked if not (installed / name).is_file()] == []
    assert {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} == set(ROOMS)


def test_a_wheel_depends_on_each_package_that_a_command_imports() -> None:
    graph = grimp.build_graph(*ROOMS, include_external_packages=True, cache_dir=None)
    imported = {name.partition(".")[0] for name in graph.find_upstream_modules("scannerdb.main")}
    external = imported - sys.stdlib_module_names - set(ROOMS) - PACKAGING_ONLY
    distributions = importlib.metadata.packages_distributions()
    needed = {normalised(distributions[name][0]) for name in external}
    assert needed - required_by({normalised(each) for each in PROJECT["dependencies"]}) == set()


# The functions' package is built in a checkout.
PACKAGING_ONLY = {"uv"}


def required_by(names: set[str]) -> set[str]:
    """Return the distributions and all that they require."""
    whole: set[str] = set()
    while names:
        name = names.pop()
        whole.add(name)
        required = importlib.metadata.requires(name) or []
        names |= {normalised(each) for each in required if "extra ==" not in each} - whole
    return whole


def normalised(requirement: str) -> str:
    (name,) = re.findall(r"^[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", name).lower()
