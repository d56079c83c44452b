"""`scannerdb` tells a mistake without a stack trace, lists its commands in groups, and knows its version."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from scannerdb.main import COMMANDS, command
from stacks import ROOT
from tests.support.command_line import scannerdb

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["migrate"], 2, "name the database with --dsn or SCANNERDB_DSN"),
        (
            ["migrate", "--dsn", "host=127.0.0.1 port=1"],
            1,
            "scannerdb: no connection to 127.0.0.1:1: Connection refused; no server listens",
        ),
        (["plan", "--dsn", "nonsense"], 1, "scannerdb: "),
    ],
)
def test_a_mistake_is_told_in_one_message(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    try:
        scannerdb(*arguments, code=code)
    except Exception as error:
        raise AssertionError("a stack trace would be shown") from error
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed


def test_the_help_lists_every_command_once_under_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("--help")
    told = capsys.readouterr().out
    for heading, commands in COMMANDS.items():
        section = told.partition(f"\n{heading}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines()] == [each.name for each in commands]


def test_the_version_is_that_of_the_project_and_the_commit(capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("--version")
    assert re.fullmatch(rf"scannerdb {re.escape(PROJECT['version'])}( \([0-9a-f]{{7,}}\))?\n", capsys.readouterr().out)


def test_the_wrapper_that_make_writes_runs_the_entry_point_of_the_project_from_any_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, _, name = PROJECT["scripts"]["scannerdb"].partition(":")
    assert getattr(importlib.import_module(module), name) is command
    folder = ROOT / "build" / "tests" / f"wrapper-{os.getpid()}"
    (folder / "bin").mkdir(parents=True)
    (folder / ".installed").touch()
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    venv = folder.relative_to(ROOT)
    make = ["make", "-s", f"VENV={venv}", "-o", f"{venv}/.installed", f"{venv}/bin/scannerdb"]
    try:
        subprocess.run(make, cwd=ROOT, check=True, env={**os.environ, "MAKEFLAGS": ""})
        wrapper = [folder / "bin" / "scannerdb", "--version"]
        printed = subprocess.run(wrapper, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    finally:
        shutil.rmtree(folder)
    scannerdb("--version")
    assert printed == capsys.readouterr().out
