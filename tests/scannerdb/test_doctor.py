"""`scannerdb doctor` says what is wrong in lines for people and JSON for programs, and in its exit code."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from handlers.contract.alarms import TOLD
from handlers.contract.databases import RdsDatabase
from handlers.diagnosis import Commands
from scannerdb.main import main
from tests.support.command_line import dsn, scannerdb
from tests.support.old_deployment import create_role

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

CREATE = "CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_findings_job_detector ON public.findings (job_id, detector)"


@pytest.fixture
def well(database: TestDatabase) -> TestDatabase:
    """A database with a job, refreshed a moment ago."""
    # As RDS lets the master user; here only a superuser may.
    database.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", user="postgres")
    database.add_job({"queued": 1})
    database.query("SELECT refresh_job_progress()")
    return database


def test_a_database_that_is_well_ends_with_0_and_says_with_whose_thresholds(
    well: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    scannerdb("doctor", "--dsn", dsn(well), "--environment", "prod", code=0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Held against the thresholds of prod: 23 ok."
    assert any(line.startswith("ok        progress-drift       exact for every job") for line in lines)


def test_a_warning_ends_with_1_and_names_the_next_command(
    well: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    well.query("DROP INDEX idx_findings_job_detector")
    scannerdb("doctor", "slow-queries", "--dsn", dsn(well), "-e", "dev", code=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "Held against the thresholds of dev: 1 warning, 6 ok.",
        "warning   indexes              idx_findings_job_detector on findings is missing",
        "          Reads that need it scan the whole table.",
        f'          next: psql "$SCANNERDB_DSN" -c "{CREATE}"',
    ]


def test_what_cannot_wait_ends_with_2_and_comes_first(well: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    well.query("ALTER TABLE job_objects DISABLE TRIGGER track_job_objects_insert")
    scannerdb("doctor", "--dsn", dsn(well), "-e", "dev", code=2)
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].startswith("critical  triggers             disabled on job_objects: track_")
    assert all(len(line) <= 80 for line in printed.splitlines() if "next: " not in line)


def test_json_is_what_the_function_answers(
    well: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANNERDB_ENVIRONMENT", "dev")
    scannerdb("doctor", "progress-drift", "--dsn", dsn(well), "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["environment"], answer["state"]) == ("dev", "ok")
    assert [finding["check"] for finding in answer["findings"]] == [
        "connection",
        "progress-drift",
        "triggers",
        "row-security",
        "replication",
        "elsewhere",
    ]


def test_a_database_that_is_away_ends_with_2_and_no_stack_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANNERDB_ENVIRONMENT", "prod")  # as `scannerdb tunnel` does
    scannerdb("doctor", "--dsn", "host=127.0.0.1 port=1", "-e", "prod", code=2)
    printed = capsys.readouterr()
    assert "critical  connection           no connection: " in printed.out
    assert "next: aws rds describe-events --source-type db-instance --source-identifier scanner-database-prod" in (
        printed.out
    )
    assert "next: aws rds describe-db-instances --db-instance-identifier scanner-database-prod" in printed.out
    assert "Traceback" not in printed.out + printed.err


@pytest.mark.parametrize("user", ["progress_reader", "progress_refresher", "scanner_app"])
def test_who_does_not_see_other_sessions_is_not_told_that_all_is_well(
    well: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setenv("SCANNERDB_ENVIRONMENT", "prod")  # as `scannerdb tunnel` does
    seen_by = well.server.dsn(user=user, database=well.name)
    scannerdb("doctor", "lock-waits", "--dsn", seen_by, "-e", "prod", code=1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"logged in as {user}, who does not see what other sessions do" in printed.err
    assert "scannerdb tunnel -e prod --direct -- scannerdb doctor" in printed.err


def test_without_a_deployment_an_owner_who_does_not_see_other_sessions_is_told_the_grant_that_helps(
    well: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCANNERDB_ENVIRONMENT", raising=False)
    create_role(well, '"team owner"')
    seen_by = well.server.dsn(user="team owner", database=well.name)
    scannerdb("doctor", "lock-waits", "--dsn", seen_by, "-e", "prod", code=1)
    said = capsys.readouterr().err
    assert "log in as scanner_doctor or let an administrator run " in said
    well.query(said.rpartition(" run ")[2], user="postgres")
    scannerdb("doctor", "lock-waits", "--dsn", seen_by, "-e", "prod", code=0)


@pytest.mark.parametrize("user", ["scanner_doctor", "scanner_admin", "postgres"])
def test_who_sees_other_sessions_may_examine(well: TestDatabase, user: str) -> None:
    scannerdb("doctor", "lock-waits", "--dsn", well.server.dsn(user=user, database=well.name), "-e", "prod", code=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-alarm"], "alarm 'no-such-alarm' is none of outage, api-errors"),
        (["-e", "staging"], "environment 'staging' is none of dev, local, prod"),
        (["--dsn", "host=127.0.0.1 port=1"], "whose thresholds? Add -e NAME, or set SCANNERDB_ENVIRONMENT"),
    ],
)
def test_a_mistake_is_told_with_what_is_known(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.delenv("SCANNERDB_ENVIRONMENT", raising=False)
    scannerdb("doctor", *arguments, code=2)
    assert message in capsys.readouterr().err


COMMANDS = Commands(prefix="scanner-database-dev", database=RdsDatabase.parse("instance/scanner-database-dev"))


@pytest.mark.parametrize(
    "command",
    sorted(
        {
            *(COMMANDS.refresh(), COMMANDS.verify(), COMMANDS.rebuild(), COMMANDS.migrate()),
            *(COMMANDS.look(told.look) for told in TOLD.values() if told.look and told.look.function),
        }
    ),
)
def test_the_command_line_takes_what_the_doctor_prints_in_a_checkout(command: str) -> None:
    program, name, *arguments = shlex.split(command)
    assert program == "scannerdb"
    given = main.commands[name].make_context(name, arguments).params
    assert given["environment"] == (None if name == "migrate" else "dev")
    if name == "invoke":
        assert json.loads(given["payload"])["action"] in command


def test_in_a_checkout_the_next_command_is_one_of_scannerdb(
    well: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANNERDB_ENVIRONMENT", "dev")  # as `scannerdb tunnel` does
    well.query("UPDATE materialized_view_refresh_log SET last_refreshed_at = now() - interval '1 hour'")
    scannerdb("doctor", "progress-stale", "--dsn", dsn(well), "-e", "dev", code=2)
    printed = capsys.readouterr().out
    assert """next: scannerdb invoke refresh -e dev --payload '{"action": "refresh"}'""" in printed
    assert "next: scannerdb logs refresh -e dev --since 1h" in printed
    assert "aws " not in printed


@pytest.mark.parametrize(
    ("fault", "command"),
    [
        (
            "UPDATE materialized_view_refresh_log SET last_refreshed_at = now() - interval '1 hour'",
            "refresh",
        ),
        ("UPDATE job_progress_counts SET queued_count = 7", "rebuild"),
        ("DROP VIEW job_statistics", "migrate"),
    ],
)
def test_without_a_deployment_each_command_works_with_the_dsn_and_none_is_of_aws(
    well: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, fault: str, command: str
) -> None:
    # GIVEN a DSN that no tunnel made: there may be no function, no proxy and no instance of ours
    monkeypatch.delenv("SCANNERDB_ENVIRONMENT", raising=False)
    monkeypatch.setenv("SCANNERDB_DSN", dsn(well))
    well.query(fault)
    # WHEN the doctor is asked
    scannerdb("doctor", "-e", "dev", code=2)
    printed = capsys.readouterr().out
    # THEN its command is the one that mends the fault from here
    assert f"next: scannerdb {command}\n" in printed
    assert not [word for word in ("invoke", "logs", "cdktf", "aws ", "elsewhere") if word in printed]
    scannerdb(command)
    scannerdb("doctor", "-e", "dev", code=0)


def test_without_a_deployment_a_database_that_is_away_is_told_without_commands_of_aws(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCANNERDB_ENVIRONMENT", raising=False)
    scannerdb("doctor", "--dsn", "host=127.0.0.1 port=1", "-e", "prod", code=2)
    printed = capsys.readouterr().out
    assert "no connection: " in printed
    assert "next: " not in printed
