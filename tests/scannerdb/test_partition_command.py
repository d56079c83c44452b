"""`scannerdb partition` asks, shows how far it is, and says what comes next."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner
from rich.console import Console

from scannerdb.partition.command import partition
from scannerdb.partition.progress_reporter import ProgressReporter
from scannerdb.partition.terminal import Lines, RowsBar
from tests.support.partitioning import fill

if TYPE_CHECKING:
    import pytest
    from click.testing import Result

    from tests.support.database import TestDatabase


def invoke(database: TestDatabase, *arguments: str) -> Result:
    command = ["job_objects", "--dsn", database.server.dsn(database=database.name), *arguments]
    return CliRunner().invoke(partition, command)


def test_the_command_goes_all_the_way_and_says_what_comes_next(database: TestDatabase) -> None:
    fill(database)
    result = invoke(database, "--status")
    assert "the table is not partitioned" in result.stdout
    assert "next command: scannerdb partition job_objects --modulus 16" in result.stdout
    result = invoke(database, "--modulus", "4", "--yes", "--copy-only")
    assert result.exception is None
    assert "rows of public.job_objects will be copied into 4 partitions. That takes about 0.00 GiB" in result.stderr
    assert "copying: 324 of 324 rows" in result.stderr
    assert "next command: scannerdb partition job_objects --modulus 4" in result.stdout
    result = invoke(database, "--modulus", "4", "--json")
    assert json.loads(result.stdout) == {
        "phase": "swapped",
        "meaning": "partitioned; the original table is kept and written as well, so that --revert loses nothing",
        "modulus": 4,
        "copied_rows": 324,
        "next_command": "scannerdb partition job_objects --finish",
    }
    steps = [json.loads(line) for line in result.stderr.splitlines()]
    assert {"phase": "comparing", "rows_done": 324, "rows_total": 324} in [
        {name: step[name] for name in ("phase", "rows_done", "rows_total")} for step in steps if "rows_done" in step
    ]
    assert "phase: none" in invoke(database, "--revert").stdout
    assert json.loads(invoke(database, "--modulus", "2", "--yes", "--json").stdout)["phase"] == "swapped"
    assert "partitioned for good" in invoke(database, "--finish").stdout


def test_without_a_terminal_or_yes_nothing_is_made(database: TestDatabase) -> None:
    result = invoke(database)
    assert result.exit_code == 1
    assert "add --yes" in result.stderr
    assert database.query("SELECT to_regnamespace('job_objects_partitioning')") == [(None,)]


def test_rows_are_shown_with_their_rate_and_the_time_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("scannerdb.partition.progress_reporter.time.monotonic", lambda: now[0])
    told: list[tuple[str, dict[str, Any]]] = []
    reporter = ProgressReporter(
        lambda message, **fields: told.append((message, fields)), "copying", total=10_000, done=1_000
    )
    now[0] += 2
    reporter.tell(5_000)
    now[0] += 0.1
    reporter.tell(5_100)
    assert told[0][0] == "copying: 5,000 of 10,000 rows, 2,000 rows/s, about 2 s to go"
    assert len(told) == 1
    screen = io.StringIO()
    with RowsBar(Console(file=screen, force_terminal=True, width=140)) as bar:
        bar("making the partitioned table")
        bar(told[0][0], **told[0][1])
    shown = screen.getvalue()
    assert "making the partitioned table" in shown
    assert "5,000 of 10,000 rows, 2,000 rows/s" in shown
    assert "about 2 s to go" in shown


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(as_json=False, every_s=3600)
    lines("first", rows_done=1, final=False)
    lines("second", rows_done=2, final=False)
    lines("last", rows_done=3, final=True)
    assert capsys.readouterr().err == "first\nlast\n"
