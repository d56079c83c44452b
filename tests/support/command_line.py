"""Runs `scannerdb`, inside the test's own process or as one of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from scannerdb.main import command
from stacks import ROOT

if TYPE_CHECKING:
    from tests.support.database import TestDatabase


def scannerdb(*arguments: str, code: int = 0) -> None:
    """Run the command line, which must end with this exit code."""
    with pytest.raises(SystemExit) as ended:
        command(list(arguments))
    assert (ended.value.code or 0) == code


def start_scannerdb(*arguments: str) -> subprocess.Popen[str]:
    """Start the command line as a process: a test can interrupt it, or run COPY beside it."""
    program = [sys.executable, "-m", "scannerdb", *arguments]
    return subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def dsn(database: TestDatabase) -> str:
    """Return the connection string of the owner."""
    return database.server.dsn(database=database.name)
