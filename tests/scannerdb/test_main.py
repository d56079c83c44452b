"""`scannerdb` tells a mistake without a stack trace and completes what a shell asks for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stacks import ROOT
from tests.support.command_line import scannerdb


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["migrate"], 2, "name the database with --dsn or SCANNERDB_DSN"),
        (["migrate", "--dsn", "host=127.0.0.1 port=1"], 1, "scannerdb: connection to server"),
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


def test_a_shell_completes_commands_functions_and_environments() -> None:
    def completed(line: str, position: int) -> list[str]:
        variables = {"COMP_WORDS": line, "COMP_CWORD": str(position), "_SCANNERDB_COMPLETE": "bash_complete"}
        done = subprocess.run(
            [sys.executable, "-m", "scannerdb"],
            cwd=ROOT,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=True,
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completed("scannerdb re", 1) == ["rebuild", "refresh", "review"]
    assert completed("scannerdb logs d", 2) == ["doctor"]
    assert completed("scannerdb status -e ", 3) == ["dev", "local", "prod"]
    assert completed("scannerdb tunnel p", 2) == ["prod"]
