"""`scannerdb doctor` says what is wrong in lines for people and JSON for programs, and in its exit code."""

from __future__ import annotations

import importlib
import json
import shlex
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from handlers.contract.alarms import TOLD
from handlers.contract.databases import RdsDatabase
from handlers.diagnosis import CHECKS, Commands
from scannerdb import ringing
from scannerdb.main import main
from tests.support.command_line import dsn, scannerdb
from tests.support.old_deployment import create_role
from tests.support.scripted_aws import DENIED, ScriptedAws

if TYPE_CHECKING:
    from pathlib import Path

    from handlers.contract.alarms.model import AlarmRecord
    from tests.support.database import TestDatabase
    from tests.support.deployed import Deployed

doctor_module = importlib.import_module("scannerdb.doctor")

WELL = tuple(name for name in CHECKS if name != "proxy")


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
    assert lines[0] == f"Held against the thresholds of prod: {len(WELL)} ok."
    # What is well is one line, and --all shows each.
    assert " ".join(lines[1:]).split() == ["ok", *", ".join(WELL).split(), "(--all", "shows", "them)"]
    scannerdb("doctor", "--dsn", dsn(well), "--environment", "prod", "--all", code=0)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok        progress-drift       exact for every job") for line in lines)
    assert sum(line.startswith("ok ") for line in lines) == len(WELL)


def test_a_warning_ends_with_1_and_names_the_next_command(
    well: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    well.query("DROP INDEX idx_findings_job_detector")
    scannerdb("doctor", "slow-queries", "--dsn", dsn(well), "-e", "dev", code=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "Held against the thresholds of dev: 1 warning, 6 ok.",
        "warning   indexes              idx_findings_job_detector on findings is missing",
        "          Reads that need it scan the whole table.",
    ]
    assert lines[3].startswith("          next: scannerdb repair indexes -e dev --dsn ")
    # A command is copied to tickets.
    assert well.server.password not in lines[3]


def test_what_cannot_wait_ends_with_2_and_comes_first(well: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    well.query("ALTER TABLE job_objects DISABLE TRIGGER track_job_objects_insert")
    scannerdb("doctor", "--dsn", dsn(well), "-e", "dev", code=2)
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].startswith("critical  triggers             disabled on job_objects: track_")
    assert all(len(line) <= 80 for line in printed.splitlines() if "next: " not in line)


def test_the_worst_comes_first_and_again_at_the_end_in_the_width_of_the_terminal(
    well: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    well.query("ALTER TABLE job_objects DISABLE TRIGGER track_job_objects_insert; DROP INDEX idx_findings_job_detector")
    monkeypatch.setenv("SCANNERDB_DSN", dsn(well))
    monkeypatch.setenv("COLUMNS", "140")
    scannerdb("doctor", "-e", "dev", code=2)
    first, *lines, worst, last = capsys.readouterr().out.splitlines()
    well_ = len(WELL) - 2
    assert first == f"Held against the thresholds of dev: 1 critical, 1 warning, {well_} ok."
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["critical", "warning", "ok"]
    assert worst == "critical  triggers             first of all: disabled on job_objects: track_job_objects_insert"
    assert last == "          next: scannerdb repair triggers -e dev"
    assert max(map(len, lines)) > 100
    scannerdb("doctor", "-e", "dev", "--json", code=2)
    states = [finding["state"] for finding in json.loads(capsys.readouterr().out)["findings"]]
    assert states == ["critical", "warning", *["ok"] * well_]


def test_json_is_what_the_function_answers(
    well: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANNERDB_ENVIRONMENT", "dev")
    monkeypatch.setenv("SCANNERDB_DSN", dsn(well))
    scannerdb("doctor", "progress-drift", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["environment"], answer["state"]) == ("dev", "ok")
    assert [finding["check"] for finding in answer["findings"]] == [
        "elsewhere",
        "connection",
        "progress-drift",
        "triggers",
        "row-security",
        "replication",
    ]


def test_a_database_that_is_away_ends_with_2_and_no_stack_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANNERDB_ENVIRONMENT", "prod")  # as `scannerdb tunnel` does
    monkeypatch.setenv("SCANNERDB_DSN", "host=127.0.0.1 port=1")
    scannerdb("doctor", code=2)
    printed = capsys.readouterr()
    assert "critical  connection           the server refuses connections: " in printed.out
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
    monkeypatch.setenv("SCANNERDB_DSN", seen_by)
    scannerdb("doctor", "lock-waits", code=1)
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


@pytest.mark.parametrize("told", [told for told in TOLD.values() if told.look and told.look.function])
def test_a_log_is_looked_at_by_the_command_line(told: AlarmRecord) -> None:
    assert told.look
    commands = Commands(prefix="scanner-database-dev", database=RdsDatabase.parse("instance/scanner-database-dev"))
    program, name, *arguments = shlex.split(commands.look(told.look))
    assert (program, name) == ("scannerdb", "logs")
    assert main.commands[name].make_context(name, arguments).params["environment"] == "dev"


def test_behind_a_tunnel_that_is_closed_again_each_command_finds_its_own_way(
    deployed: Deployed, fake_aws: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert fake_aws
    deployed.database.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", user="postgres")
    deployed.database.query("DROP INDEX idx_findings_job_detector; REVOKE SELECT ON job_progress FROM progress_reader")
    doctor = (sys.executable, "-m", "scannerdb", "doctor")
    scannerdb("tunnel", "-e", "local", "--user", "scanner_doctor", "--", *doctor, code=2)
    printed = capfd.readouterr().out
    assert "next: scannerdb repair indexes -e local\n" in printed
    assert "next: scannerdb tunnel -e local --direct -- scannerdb migrate\n" in printed


def test_with_every_connection_taken_but_the_owner_s_the_doctor_logs_in_as_the_owner(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = deployed.database

    def log_in(_settings: object, *, user: str) -> str:
        if user == "scanner_doctor":
            # Refused in the words of a server that has no connection left.
            return database.server.dsn(user="no_such_login", database=database.name)
        return dsn(database)

    database.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", user="postgres")
    monkeypatch.setattr(doctor_module, "deployment_dsn", log_in)
    monkeypatch.setattr(doctor_module, "is_exhausted", lambda message: "no_such_login" in message)
    scannerdb("doctor", "database-connections", "-e", "local", code=0)
    assert "connections" in capsys.readouterr().out


def ringing_alarm(name: str, minute: int) -> dict[str, object]:
    return {
        "AlarmName": f"scanner-database-local-{name}",
        "StateUpdatedTimestamp": datetime(2026, 11, 27, 3, minute, tzinfo=UTC),
        "StateReason": f"because of {minute}",
    }


def reach(monkeypatch: pytest.MonkeyPatch, database: TestDatabase, answer: object) -> None:
    """Let the doctor log in by password, and CloudWatch say this of the alarms."""
    monkeypatch.setattr(ringing, "client", ScriptedAws({"cloudwatch.describe_alarms": answer}).make)
    monkeypatch.setattr(
        doctor_module,
        "deployment_dsn",
        lambda _settings, *, user: database.server.dsn(user=user, database=database.name),
    )


def test_an_outage_is_told_with_the_alarms_that_ring_those_that_page_first(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = [ringing_alarm("slow-queries", 1), ringing_alarm("lock-waits", 7), ringing_alarm("progress-stale", 5)]
    reach(monkeypatch, deployed.database, {"MetricAlarms": alarms, "CompositeAlarms": []})
    deployed.database.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", user="postgres")
    deployed.database.query("SELECT refresh_job_progress()")
    monkeypatch.setenv("COLUMNS", "120")
    scannerdb("doctor", "outage", "-e", "local", code=0)
    lines = [line for line in capsys.readouterr().out.splitlines() if "alarms" in line or "next:" in line]
    assert lines == [
        "look      alarms               progress-stale (page) rings since 03:05 UTC: because of 5",
        "          next: scannerdb doctor progress-stale -e local",
        "look      alarms               lock-waits (page) rings since 03:07 UTC: because of 7",
        "          next: scannerdb doctor lock-waits -e local",
        "look      alarms               slow-queries (ticket) rings since 03:01 UTC: because of 1",
        "          next: scannerdb doctor slow-queries -e local",
    ]


def test_an_outage_without_credentials_for_cloudwatch_is_examined_all_the_same(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reach(monkeypatch, deployed.database, DENIED)
    scannerdb("doctor", "outage", "-e", "local", "--json", code=1)
    findings = json.loads(capsys.readouterr().out)["findings"]
    (alarms,) = [finding for finding in findings if finding["check"] == "alarms"]
    assert alarms["state"] == "unknown"
    assert "AWS refused the alarms of local: AccessDenied" in alarms["value"]
    assert {"connection", "lock-waits"} <= {finding["check"] for finding in findings}


def test_in_a_checkout_the_next_command_is_one_of_scannerdb(
    well: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANNERDB_ENVIRONMENT", "dev")  # as `scannerdb tunnel` does
    well.query("UPDATE materialized_view_refresh_log SET last_refreshed_at = now() - interval '1 hour'")
    monkeypatch.setenv("SCANNERDB_DSN", dsn(well))
    scannerdb("doctor", "progress-stale", code=2)
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
    assert "the server refuses connections: " in printed
    assert "next: " not in printed
