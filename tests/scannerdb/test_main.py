"""`scannerdb` tells a mistake without a stack trace, lists its commands in groups, and knows its version."""

from __future__ import annotations

import re
import tomllib

import pytest

from scannerdb.main import COMMANDS
from stacks import ROOT
from tests.support.command_line import scannerdb

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
