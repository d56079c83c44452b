"""`scannerdb plan`, `migrate` and `rollback`, and how a long build is shown."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

from rich.console import Console

from scannerdb.terminal import StatementBar
from tests.support.command_line import dsn, scannerdb

if TYPE_CHECKING:
    import pytest

    from tests.support.database import TestDatabase


def test_a_plan_needs_no_database(capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("plan", "--json")
    planned = json.loads(capsys.readouterr().out)
    steps = planned["steps"]
    assert planned["findings"] == []
    assert steps[0]["title"] == "CREATE TABLE jobs"
    assert {step["file"] for step in steps} >= {"001_create_scanner_tables.sql", "002_optimize_for_scale.sql"}


def test_a_plan_prints_what_was_found_first_and_its_exit_code_says_that_migrate_would_refuse(
    empty_database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    # GIVEN a finding that refuses, and one that does not
    empty_database.query(
        "CREATE TABLE jobs (job_id uuid PRIMARY KEY, bucket text, prefix text, created_at timestamptz, "
        "updated_at timestamptz); CREATE INDEX spare ON jobs (job_id)"
    )
    scannerdb("plan", "--dsn", dsn(empty_database), code=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("         next: ALTER TABLE public.jobs ADD COLUMN execution_arn text; no row is")
    assert [*lines[:2], *lines[3:8]] == [
        "refuses  public.jobs.execution_arn: missing",
        "         Migrations and refreshes read this column.",
        "note     public.spare: 8192 bytes, equal to public.jobs_pkey",
        "         Each write updates it, and no query needs it.",
        "         next: DROP INDEX CONCURRENTLY public.spare",
        "",
        "001_create_scanner_tables.sql",
    ]
    scannerdb("plan", "--dsn", dsn(empty_database), "--json", code=2)
    assert [finding["refuses"] for finding in json.loads(capsys.readouterr().out)["findings"]] == [True, False]
    # WHEN it is migrated all the same
    scannerdb("migrate", "--dsn", dsn(empty_database), code=1)
    # THEN the error lists what refuses
    assert "\n- public.jobs.execution_arn: missing. Migrations and" in capsys.readouterr().err
    empty_database.query("ALTER TABLE jobs ADD COLUMN execution_arn text")
    scannerdb("migrate", "--dsn", dsn(empty_database))
    assert "found public.spare: 8192 bytes" in " ".join(capsys.readouterr().err.split())
    scannerdb("plan", "--dsn", dsn(empty_database))


def test_what_is_migrated_is_planned_no_more_and_can_be_taken_back(
    empty_database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    scannerdb("migrate", "--dsn", dsn(empty_database), "--json")
    applied = json.loads(capsys.readouterr().out)["applied"]
    scannerdb("plan", "--dsn", dsn(empty_database))
    assert "Nothing is pending" in capsys.readouterr().out
    scannerdb("rollback", "--yes", "--dsn", dsn(empty_database))
    assert capsys.readouterr().out == f"Ran {applied[-1].replace('.sql', '.down.sql')}.\n"


def test_a_rollback_shows_what_it_will_undo_and_where_and_asks(
    database: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = database.query("SELECT max(version) FROM schema_migrations")
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    scannerdb("rollback", "--dsn", dsn(database), code=1)
    told = capsys.readouterr().err
    file, *steps = told.splitlines()
    assert file.endswith(".down.sql")
    assert any(re.match(r" +[0-9]+  DROP ", line) for line in steps)
    assert f"{file} will run on {database.server.host}:" in told
    assert "password" not in told
    assert "Go on? [y/N]" in told
    assert database.query("SELECT max(version) FROM schema_migrations") == newest
    # WHEN the answer is yes
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    scannerdb("rollback", "--dsn", dsn(database))
    assert capsys.readouterr().out == f"Ran {file}.\n"


def test_a_rollback_that_cannot_ask_does_nothing_without_yes(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = database.query("SELECT max(version) FROM schema_migrations")
    scannerdb("rollback", "--json", "--dsn", dsn(database), code=1)
    assert "the question cannot be asked; add --yes" in capsys.readouterr().err
    assert database.query("SELECT max(version) FROM schema_migrations") == newest


class Terminal(io.StringIO):
    """Standard input, at which a person sits."""

    def isatty(self) -> bool:
        return True


def test_a_long_build_is_shown_as_a_bar_with_per_cent_blocks_and_time_to_go() -> None:
    screen = io.StringIO()
    with StatementBar(Console(file=screen, force_terminal=True, width=120)) as bar:
        bar("002_b.sql: statement 1 of 2, CREATE INDEX CONCURRENTLY i")
        bar(
            "",
            phase="building index: scanning table",
            percent=15.0,
            blocks_done=500,
            blocks_total=1000,
            remaining_s=57.0,
            waits_for="",
        )
    shown = screen.getvalue()
    assert "statement 1 of 2" in shown
    assert "building index: scanning table" in shown
    assert "15 %" in shown
    assert "500 of 1,000 blocks" in shown
    assert "about 57 s to go" in shown


def test_in_a_log_each_step_is_one_line_as_it_is() -> None:
    step = f"found {'a long name ' * 20}. Next: SELECT ARRAY[status] FROM t"
    screen = io.StringIO()
    with StatementBar(Console(file=screen, width=80)) as bar:
        bar(step)
    assert screen.getvalue() == f"{step}\n"
