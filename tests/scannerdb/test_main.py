"""`scannerdb` tells a mistake without a stack trace, lists its commands in groups, and knows its version."""

from __future__ import annotations

import re
import tomllib
from itertools import chain

import click
import pytest

from scannerdb.main import COMMANDS, main
from scannerdb.numbers import Number, WholeNumber
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
        assert re.findall(r"^  ([a-z]+)", section, re.MULTILINE) == [each.name for each in commands]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_width_cuts_what_the_help_says_of_a_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    scannerdb("--help")
    told = " ".join(capsys.readouterr().out.split())
    for each in chain.from_iterable(COMMANDS.values()):
        first = (each.help or "").partition("\n\n")[0]
        assert f"{each.name} {' '.join(first.split())}" in told
    assert "..." not in told.partition(" Look: ")[2]


@pytest.mark.parametrize("name", [each.name for each in chain.from_iterable(COMMANDS.values())])
def test_each_command_names_its_environment_alike(name: str) -> None:
    each = main.commands[name]
    named = {option for parameter in each.params for option in parameter.opts if parameter.name == "environment"}
    assert named == {"--environment", "-e"}
    (option,) = (parameter for parameter in each.params if parameter.name == "environment")
    assert (option.envvar, option.metavar) == ("SCANNERDB_ENVIRONMENT", "NAME")


@pytest.mark.parametrize("text", ["1_0", "\u0661\u0660", " 10", "1e1", "nan", "inf", "+10"])
def test_an_option_takes_a_number_of_the_digits_0_to_9_alone(capsys: pytest.CaptureFixture[str], text: str) -> None:
    for line in ("cost -e dev --requests-per-day", "status --interval", "migrate --lock-timeout-ms"):
        scannerdb(*line.split(), text, code=2)
        assert f"{text!r} is not a" in capsys.readouterr().err


def test_each_option_that_is_a_number_refuses_what_int_and_float_take_beside_it() -> None:
    loose = (click.types.IntParamType, click.types.FloatParamType)
    for each in main.commands.values():
        for parameter in each.params:
            strict = isinstance(parameter.type, WholeNumber | Number)
            assert strict or not isinstance(parameter.type, loose), (each.name, parameter.name)


@pytest.mark.parametrize("name", ["settings", "cost", "preflight", "review", "accept", "tunnel", "logs", "invoke"])
def test_an_environment_that_is_missing_is_asked_for_with_those_there_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("SCANNERDB_ENVIRONMENT", raising=False)
    scannerdb(name, *(["status"] if name in {"logs", "invoke"} else []), code=2)
    told = " ".join(capsys.readouterr().err.split())
    assert "which environment? Add -e NAME, or set SCANNERDB_ENVIRONMENT; there are: dev, local, prod" in told


def test_the_version_is_that_of_the_project_and_the_commit(capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("--version")
    assert re.fullmatch(rf"scannerdb {re.escape(PROJECT['version'])}( \([0-9a-f]{{7,}}\))?\n", capsys.readouterr().out)
