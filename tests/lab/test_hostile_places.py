"""A strict umask, a full disk, a read-only one: what is started there works, or says in a sentence what is wrong."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import main as synthesis_main
from lab import demo, embedded_postgres
from lab.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from stacks import ROOT
from stacks.disk_errors import disk_problem
from tests.support.command_line import scannerdb

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = OSError(errno.ENOSPC, "No space left on device", "/checkout/build/x")
TOLD = "/checkout/build/x cannot be written or read: No space left on device; free space on its disk, then run the same"


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    folder = Path("/var/tmp") / f"scanner-database-test-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("place", ["private", "public"])
def test_the_embedded_server_starts_under_a_strict_umask(
    strict_umask: None, tmp_path: Path, public_folder: Path, place: str
) -> None:
    folder = public_folder / "made" / "postgresql" if place == "public" else tmp_path / "postgresql"
    server = EmbeddedPostgres(folder, durable=False)
    try:
        with server, server.connect(user="postgres") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]
            # The keys stay the server's own.
            assert stat.S_IMODE((server.data.parent / "server.key").stat().st_mode) == 0o600
    finally:
        server.discard()


def test_a_copy_of_the_server_is_open_to_anyone_as_far_as_it_is_to_its_owner(
    strict_umask: None, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "postgres").touch(mode=0o700)
    (tmp_path / "bin" / "notes").touch(mode=0o600)
    (tmp_path / "bin" / "link").symlink_to("nowhere")
    embedded_postgres._open_to_anyone(tmp_path / "bin")
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in (tmp_path / "bin", *tmp_path.rglob("bin/*"))}
    assert modes | {"link": 0} == {"bin": 0o755, "postgres": 0o755, "notes": 0o644, "link": 0}


def test_root_without_another_user_is_told_why_it_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def getpwnam(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    with pytest.raises(EmbeddedPostgresError, match="PostgreSQL does not run as root, and there is no user `nobody`"):
        embedded_postgres._unprivileged()


def make(target: str, folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-C", folder, target],
        env={**os.environ, "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def test_setup_on_a_disk_that_is_too_small_says_how_much_it_needs(tmp_path: Path) -> None:
    text = (ROOT / "Makefile").read_text()
    assert "NEEDED_MIB := 2500\n" in text
    (tmp_path / "Makefile").write_text(text.replace("NEEDED_MIB := 2500", "NEEDED_MIB := 1000000000"))
    done = make("setup", tmp_path)
    assert done.returncode != 0
    assert "MiB free, and the tools need 1000000000: free space, then run this again" in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_setup_in_a_folder_that_cannot_be_written_to_says_so(public_folder: Path) -> None:
    shutil.copyfile(ROOT / "Makefile", public_folder / "Makefile")
    (public_folder / "Makefile").chmod(0o644)
    public_folder.chmod(0o555)
    # Rights stop everybody but root.
    done = make("setup", public_folder, **({"user": "nobody"} if os.geteuid() == 0 else {}))
    public_folder.chmod(0o755)
    assert done.returncode != 0
    assert f"{public_folder} cannot be written to: work in a checkout of your own" in done.stdout


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM"])
def test_what_a_disk_stands_in_the_way_of_has_a_way_out(code: str) -> None:
    told = disk_problem(OSError(getattr(errno, code), "why", "/x"))
    assert told is not None
    assert told.startswith("/x cannot be written or read: ")


@pytest.mark.parametrize(
    "text",
    [
        "EROFS: read-only file system, mkdir '/checkout/cdktf.out'",
        "Error: EROFS: read-only file system, copyfile '/elsewhere/a.zip' -> '/checkout/cdktf.out'",
    ],
)
def test_an_error_of_the_node_process_that_writes_the_stack_is_told_alike(text: str) -> None:
    told = disk_problem(RuntimeError(text))
    assert told is not None
    assert told.startswith("/checkout/cdktf.out cannot be written or read: Read-only file system; ")


@pytest.mark.parametrize(
    "text", ["ENOENT: no such file or directory, open '/x'", "Cannot read properties of undefined"]
)
def test_another_error_of_the_node_process_is_a_fault_of_the_program(text: str) -> None:
    assert disk_problem(RuntimeError(text)) is None


def test_an_error_of_another_kind_is_a_fault_of_the_program() -> None:
    assert disk_problem(OSError(errno.EBADF, "why")) is None


def fail(*_arguments: object, **_options: object) -> None:
    raise FULL


def test_a_command_on_a_full_disk_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scannerdb.settings.resolve_settings", fail)
    scannerdb("settings", "-e", "dev", code=1)
    assert capsys.readouterr().err.startswith(f"scannerdb: {TOLD}")


def test_a_review_on_a_full_disk_has_no_plan_to_judge(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("scannerdb.review.command.plan_environment", fail)
    scannerdb("review", "-e", "dev", "--markdown", str(tmp_path / "summary.md"), code=2)
    assert capsys.readouterr().err.startswith(f"plan: {TOLD}")
    assert TOLD in (tmp_path / "summary.md").read_text()


def test_the_demo_on_a_full_disk_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["demo"])
    monkeypatch.setattr(demo, "Deployment", fail)
    monkeypatch.setattr(demo, "raise_on_signals", lambda: None)
    assert demo.main() == 1
    assert f"The demo failed. {TOLD}" in capsys.readouterr().out


def test_a_synth_on_a_full_disk_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ModuleType("stacks.synthesis")
    vars(module)["synthesise"] = fail
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert synthesis_main.main() == 1
    assert capsys.readouterr().err.startswith(TOLD)


def test_a_deploy_to_a_local_deployment_that_is_not_running_says_how_to_start_it(tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "Makefile", tmp_path / "Makefile")
    done = subprocess.run(
        ["make", "-s", "-o", "setup", "-C", tmp_path, "deploy", "ENV=local"],
        env={**os.environ, "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "no local deployment is running; start one: .venv/bin/python -m lab.demo --keep" in done.stdout
