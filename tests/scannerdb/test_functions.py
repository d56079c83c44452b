"""`scannerdb logs` and `invoke` against the emulator, which really runs the function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scannerdb.functions import commands as function_commands
from scannerdb.functions.log_lines import lines_of
from tests.support.command_line import scannerdb
from tests.support.deployed import PREFIX
from tests.support.tiny_functions import package

if TYPE_CHECKING:
    from lab.emulator.server import Emulator

FUNCTION = """
import json, logging
def handler(event, context):
    if event.get("action") == "nap":
        raise ValueError("no naps")
    print(json.dumps({"level": "INFO", "message": "did it", "service": "x", "jobs": event.get("jobs", 0)}))
    return {"refreshed": True, "jobs": event.get("jobs", 0)}
"""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="module")
def refresh_function(aws: Emulator) -> None:
    role = aws.client("iam").create_role(
        Path="/unchecked/", RoleName="ops", AssumeRolePolicyDocument=json.dumps(TRUST)
    )["Role"]["Arn"]
    aws.client("lambda").create_function(
        FunctionName=f"{PREFIX}-refresh",
        Runtime="python3.13",
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": package(FUNCTION)},
    )


@pytest.fixture(autouse=True)
def environment(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCANNER__AWS__ENDPOINT", aws.aws_url)


@pytest.mark.usefixtures("refresh_function")
def test_a_function_is_invoked_and_its_log_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("invoke", "refresh", "-e", "local", "--payload", '{"jobs": 7}')
    assert json.loads(capsys.readouterr().out) == {"refreshed": True, "jobs": 7}
    scannerdb("logs", "refresh", "-e", "local", "--since", "5m")
    out = capsys.readouterr().out
    assert "INFO    did it  jobs=7" in out
    assert "took " in out
    assert "START" not in out
    scannerdb("logs", "refresh", "-e", "local", "--json")
    assert json.loads(capsys.readouterr().out.splitlines()[0])["message"].startswith("START")


@pytest.mark.usefixtures("refresh_function")
def test_an_error_of_the_function_ends_with_1_and_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("invoke", "refresh", "-e", "local", "--payload", '{"action": "nap"}', code=1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        f"scannerdb: {PREFIX}-refresh raised ValueError: no naps",
        "Next: scannerdb logs refresh -e local --since 15m",
    ]


@pytest.mark.usefixtures("refresh_function")
def test_following_prints_what_comes_once_until_ctrl_c(
    aws: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = iter(range(3))

    def wait(_seconds: float) -> None:
        number = next(rounds, None)
        if number is None:
            raise KeyboardInterrupt
        aws.invoke(f"{PREFIX}-refresh", {"jobs": 100 + number})

    monkeypatch.setattr(function_commands.time, "sleep", wait)
    scannerdb("logs", "refresh", "-e", "local", "--follow", code=130)
    out = capsys.readouterr().out
    assert [out.count(f"did it  jobs={100 + number}") for number in range(3)] == [1, 1, 1]


@pytest.mark.usefixtures("refresh_function")
def test_inside_a_tunnel_its_environment_is_meant(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANNERDB_ENVIRONMENT", "local")
    scannerdb("invoke", "refresh", "--payload", '{"jobs": 7}')
    assert json.loads(capsys.readouterr().out) == {"refreshed": True, "jobs": 7}


def test_a_function_that_is_not_there_is_told_as_not_deployed(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("logs", "invoke"):
        scannerdb(command, "doctor", "-e", "local", code=1)
        assert f"{PREFIX}-doctor: is it deployed?" in capsys.readouterr().err


def test_an_emulator_that_is_away_is_told_with_how_to_start_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SCANNER__AWS__ENDPOINT", "http://127.0.0.1:1")
    scannerdb("invoke", "refresh", "-e", "local", code=1)
    said = capsys.readouterr().err
    assert "the emulator of local does not answer at http://127.0.0.1:1; start it with" in said


@pytest.mark.parametrize(
    "arguments",
    [("invoke", "refresh", "--payload", "nap"), ("logs", "refresh", "--since", "9x"), ("logs", "no-function")],
)
def test_a_mistake_is_a_usage_error(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb(*arguments, "-e", "local", code=2)
    assert capsys.readouterr().err.startswith("Usage: scannerdb")


def text_of(message: Any) -> list[str]:
    said = message if isinstance(message, str) else json.dumps(message)
    return [str(line)[9:] for line in lines_of({"timestamp": 0, "message": said})]


def test_metrics_come_as_names_and_numbers() -> None:
    record = {
        "_aws": {"CloudWatchMetrics": [{"Metrics": [{"Name": "Jobs"}, {"Name": "ProgressLag"}]}]},
        "Jobs": [20.0],
        "ProgressLag": [5.5],
    }
    assert text_of(record) == ["        metrics Jobs 20, ProgressLag 5.5"]


def test_lambdas_own_records_tell_the_time_and_the_memory_only() -> None:
    report = {"durationMs": 1612.4, "maxMemoryUsedMB": 77}
    assert text_of({"type": "platform.start", "record": {}}) == []
    assert text_of({"type": "platform.report", "record": {"status": "timeout", "metrics": report}}) == [
        "        took 1,612 ms, 77 MB, timeout"
    ]


def test_an_uncaught_error_comes_with_its_trace() -> None:
    record = {"level": "ERROR", "errorType": "ValueError", "errorMessage": "no", "stackTrace": ["a", "b"]}
    assert text_of(record) == ["ERROR   ValueError: no", "a", "b"]


def test_what_is_no_record_is_printed_as_it_is() -> None:
    assert text_of("hello [bold]\n") == ["        hello [bold]"]
