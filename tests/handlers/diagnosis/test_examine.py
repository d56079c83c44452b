"""The examination as a whole: everybody is told everything that can be found out, in time, and nothing is changed."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg2.errors
import pytest

from handlers.contract.alarms import RECORDS, TOLD
from handlers.contract.alarms.answers import EVENTS_LOOK, INSTANCE_LOOK
from handlers.contract.thresholds import Thresholds
from handlers.diagnosis import CHECKS, Finding, checks_of, examine, looks, overall
from handlers.diagnosis import checks as registry
from handlers.diagnosis.model import Check
from handlers.errors import InvalidRequestError
from handlers.migrator.runner import run
from tests.support.database import MIGRATIONS, build_release
from tests.support.diagnosis import COMMANDS, INVOKE_MIGRATE, THRESHOLDS, diagnose, words_of
from tests.support.old_deployment import OLD_DEPLOYMENT, create_analyst

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

EVENTS = COMMANDS.look(EVENTS_LOOK)
INSTANCE = COMMANDS.look(INSTANCE_LOOK)


@pytest.mark.parametrize("user", ["scanner_doctor", "scanner_admin"])
def test_a_database_that_is_well_is_well_in_every_respect(well: TestDatabase, user: str) -> None:
    findings = diagnose(well, *CHECKS, user=user)
    assert [finding for finding in findings if finding.state != "ok"] == []
    assert {finding.check for finding in findings} == set(CHECKS) - {"proxy"}
    assert all(finding.value and not finding.next for finding in findings)
    assert overall(findings) == "ok"


@pytest.mark.parametrize("user", ["scanner_doctor", "scanner_admin"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_an_older_schema_is_examined_too(empty_database: TestDatabase, user: str, count: int) -> None:
    release = build_release(MIGRATIONS)
    run(empty_database.connect, replace(release, migrations=release.migrations[:count]))
    findings = diagnose(empty_database, *CHECKS, user=user)
    assert {finding.check for finding in findings} == set(CHECKS) - {"proxy"}
    extension = COMMANDS.repair("slow-statements", "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    assert {finding.next for finding in findings if finding.state != "ok"} <= {INVOKE_MIGRATE, extension}
    states = {finding.check: finding.state for finding in findings}
    assert states["connection"] == states["connections"] == states["lock-waits"] == states["storage"] == "ok"
    assert states["migrations"] != "ok"
    assert not any("the check itself failed" in finding.why.lower() for finding in findings)


@pytest.mark.parametrize("tables", ["", OLD_DEPLOYMENT], ids=["empty", "older deployment"])
def test_a_database_that_was_never_migrated_is_told_once_and_examined_as_far_as_it_goes(
    empty_database: TestDatabase, tables: str
) -> None:
    create_analyst(empty_database)
    empty_database.query(f"SELECT 1; {tables}")
    findings = {finding.check: finding for finding in diagnose(empty_database, *CHECKS, user="scanner_admin")}
    assert findings["migrations"].value.startswith("this database was never migrated: there is no ledger")
    assert findings["migrations"].next == INVOKE_MIGRATE
    assert findings.keys() == {name for name, check in CHECKS.items() if not check.needs_schema} - {"proxy"} | {
        "migrations"
    }


def test_an_examination_leaves_no_setting_in_the_session_that_a_pooler_gives_to_others(well: TestDatabase) -> None:
    settings = "SELECT name, setting FROM pg_settings WHERE name NOT LIKE '%.%' ORDER BY name"
    # Under it the catalogue writes definitions otherwise than the checks expect them.
    well.query(f"ALTER DATABASE {well.name} SET quote_all_identifiers = on")
    with contextlib.closing(well.connect("scanner_admin")) as connection, connection.cursor() as cursor:
        cursor.execute(settings)
        before = cursor.fetchall()
        kept = Kept(connection)
        findings = examine(lambda: kept, Thresholds(**THRESHOLDS), commands=COMMANDS)
        assert overall(findings) == "ok"
        cursor.execute(settings)
        assert cursor.fetchall() == before


class Kept:
    """A connection that a pooler keeps when its client closes it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def close(self) -> None:
        """Stay open."""


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT context FROM findings",
        "SELECT masked_match FROM findings",
        "SELECT key FROM job_objects",
        "SELECT last_error FROM job_objects",
        "SELECT bucket FROM jobs",
        "SELECT refresh_job_progress()",
        "SET TRANSACTION READ WRITE; UPDATE jobs SET updated_at = now()",
        "SET TRANSACTION READ WRITE; DELETE FROM job_progress_deltas",
    ],
)
def test_the_doctor_may_not(well: TestDatabase, sql: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        well.query(sql, user="scanner_doctor")


def test_an_examination_changes_nothing_whoever_makes_it(well: TestDatabase) -> None:
    changes = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
    before = well.query(changes)
    diagnose(well, *CHECKS, user="scanner_admin")
    assert well.query(changes) == before


def broken(monkeypatch: pytest.MonkeyPatch, name: str, check: Any) -> None:
    monkeypatch.setitem(registry.CHECKS, name, Check(check=check, why="It matters."))


def test_a_check_that_would_write_is_refused_also_as_the_owner(
    well: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, "grants", lambda context: context.fetch("DELETE FROM public.jobs", {}))
    (refused,) = diagnose(well, "grants", user="scanner_admin")
    assert refused.value == "cannot execute DELETE in a read-only transaction"


def test_a_check_that_fails_hides_no_other(well: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(context: Any) -> list[Finding]:
        return context.fetch("SELECT 1 / 0", {})

    broken(monkeypatch, "vacuum", check)
    broken(monkeypatch, "grants", lambda _context: {}["name"])
    findings = {finding.check: finding for finding in diagnose(well, *CHECKS)}
    assert (findings["vacuum"].state, findings["vacuum"].value) == ("unknown", "division by zero")
    assert (findings["grants"].state, findings["grants"].value) == ("unknown", "KeyError: 'name'")
    assert overall(findings.values()) == "warning"
    assert {finding.state for name, finding in findings.items() if name not in {"vacuum", "grants"}} == {"ok"}


def test_an_examination_ends_in_time_and_says_what_it_did_not_look_at(
    well: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, "connections", lambda context: context.fetch("SELECT pg_sleep(60)", {}))
    started = time.monotonic()
    slow, late, first = diagnose(well, "connection", "connections", "storage", time_limit_s=0.5)
    assert time.monotonic() - started < 2
    assert first.state == "ok"
    assert (slow.state, slow.value) == ("unknown", "gave up: canceling statement due to statement timeout")
    assert (late.state, late.value) == ("unknown", "not checked: the other checks used up the time")


def test_no_check_is_begun_with_too_little_time_left(well: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    # The package has a function of the module's name.
    monkeypatch.setattr(importlib.import_module("handlers.diagnosis.examine"), "LEAST_S", 0.5)
    broken(monkeypatch, "connections", lambda _context: time.sleep(0.6) or [])
    (late,) = diagnose(well, "connections", "storage", time_limit_s=1)
    assert (late.state, late.value) == ("unknown", "not checked: the other checks used up the time")


def test_a_connection_that_is_lost_ends_with_what_was_found(
    well: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(context: Any) -> list[Finding]:
        well.query("SELECT pg_terminate_backend(%s)", (context.connection.info.backend_pid,), user="postgres")
        return context.fetch("SELECT 1", {})

    broken(monkeypatch, "grants", check)
    lost, elsewhere, first = diagnose(well, "connection", "grants", "storage")
    assert (first.check, first.state) == ("connection", "ok")
    assert (lost.check, lost.state) == ("connection", "critical")
    assert lost.value.startswith("lost during grants: ")
    assert "no answer in time" not in lost.value
    assert lost.next == EVENTS
    assert elsewhere.next == INSTANCE


def test_a_server_that_falls_silent_does_not_keep_the_on_call_waiting(
    well: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[int] = []

    def check(context: Any) -> list[Finding]:
        frozen.append(context.connection.info.backend_pid)
        os.kill(frozen[0], signal.SIGSTOP)
        return context.fetch("SELECT 1", {})

    broken(monkeypatch, "grants", check)
    started = time.monotonic()
    try:
        lost, _, _ = diagnose(well, "connection", "grants", "storage", time_limit_s=0.5)
    finally:
        os.kill(frozen[0], signal.SIGCONT)
    assert time.monotonic() - started < 6
    assert (lost.state, lost.value) == ("critical", "lost during grants: no answer in time")


def test_a_server_that_refuses_is_told_apart_from_one_that_does_not_answer(well: TestDatabase) -> None:
    def silent() -> psycopg2.extensions.connection:
        raise psycopg2.OperationalError("connection to server at 10.0.0.1, port 5432 failed: timeout expired")

    connection, _ = examine(silent, Thresholds(**THRESHOLDS), commands=COMMANDS)
    assert connection.value.startswith("no answer: ")
    assert "a security group or route" in connection.why
    well.server.stop(immediate=True)
    try:
        connection, _ = diagnose(well, *CHECKS)
    finally:
        well.server.start()
    assert connection.value.startswith("the server refuses connections: ")
    assert "it starts, stops or fails over" in connection.why


def test_the_worst_is_told_first(well: TestDatabase) -> None:
    well.query("ALTER TABLE job_objects DISABLE TRIGGER track_job_objects_insert; DROP INDEX idx_findings_job_detector")
    findings = diagnose(well, *CHECKS)
    assert [finding.check for finding in findings[:2]] == ["triggers", "indexes"]
    ok = [finding.check for finding in findings if finding.state == "ok"]
    assert [finding.check for finding in findings[2:]] == ok == [name for name in CHECKS if name in ok]


def test_a_server_that_is_away_is_told_with_libpqs_reason(well: TestDatabase) -> None:
    well.server.stop(immediate=True)
    try:
        connection, elsewhere = diagnose(well, *CHECKS)
    finally:
        well.server.start()
    assert connection.state == "critical"
    assert "Connection refused" in connection.value
    assert connection.next == EVENTS
    assert elsewhere.state == "look"
    assert overall([connection, elsewhere]) == "critical"


def test_a_proxy_without_its_database_is_mended_by_no_deploy(well: TestDatabase) -> None:
    def behind_the_proxy() -> psycopg2.extensions.connection:
        return well.connect("scanner_doctor")

    well.server.stop(immediate=True)
    try:
        findings = diagnose(well, *checks_of("proxy-unavailable"), connect_proxy=behind_the_proxy)
    finally:
        well.server.start()
    commands = {finding.check: finding.next for finding in findings}
    assert commands == {"connection": EVENTS, "proxy": "", "elsewhere": INSTANCE}
    assert "has no database to connect to" in next(each.why for each in findings if each.check == "proxy")


def test_a_login_that_is_refused_is_told_apart(empty_database: TestDatabase) -> None:
    connection, _ = diagnose(empty_database, *CHECKS, user="nobody_knows")
    assert connection.value.startswith("the login is refused: ")
    assert connection.next == INVOKE_MIGRATE


def test_every_alarm_names_checks_that_exist_and_every_check_answers_an_alarm() -> None:
    assert TOLD["outage"].checks == ()  # all of them
    for name in TOLD.keys() - {"outage"}:
        checks = TOLD[name].checks
        assert set(checks) <= set(CHECKS), name
        assert len(set(checks)) == len(checks), name
        assert checks[0] == "connection", name
    assert {check for told in TOLD.values() for check in told.checks} == set(CHECKS)


def test_an_alarm_that_nobody_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidRequestError, match="alarm 'progress-stalled' is none of outage, api-errors"):
        checks_of("progress-stalled")
    assert checks_of(None) == tuple(CHECKS)


@pytest.mark.parametrize("alarm", [name for name, told in TOLD.items() if told.look])
def test_a_look_names_a_command_of_the_deployment_and_leaves_the_state_alone(alarm: str) -> None:
    (finding,) = looks(alarm, COMMANDS)
    assert finding.state == "look"
    assert words_of(finding.next)[0] == "aws"
    assert "{prefix" not in finding.next
    assert "{database" not in finding.next
    assert overall([finding]) == "ok"


def test_where_the_database_shows_everything_there_is_nothing_else_to_look_at() -> None:
    assert any(record.look is None for record in RECORDS)
    assert looks("long-transaction", COMMANDS) == looks(None, COMMANDS) == []
