"""Connections, locks and transactions: the fault, the finding, and the command that ends it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from typing import TYPE_CHECKING

import psycopg2
import pytest

from handlers.contract import postgres_versions
from handlers.diagnosis import sessions as diagnosis
from lab.embedded_postgres import RESERVED_CONNECTIONS_SINCE
from tests.support.diagnosis import Session, carry_out, diagnose, event_of, only, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.database import TestDatabase

    Sessions = Callable[..., Session]

WAITERS = "SELECT pid FROM pg_locks WHERE NOT granted AND waitstart < now() - interval '0.1 s'"


def ends(command: str) -> tuple[int, bool]:
    """Return which session a command ends, and whether it only cancels its statement."""
    function, event = event_of(command)
    assert (function, event["action"]) == ("migrate", "end")
    return event["pid"], event.get("cancel", False)


def test_the_session_that_idles_in_front_of_a_queue_is_named_and_ended(well: TestDatabase, sessions: Sessions) -> None:
    holder, waiter = sessions(), sessions()
    holder.begin("UPDATE jobs SET bucket = 'secret'")
    waiter.start("UPDATE jobs SET bucket = 'mine'")
    wait_until(well, WAITERS)
    state, value, next_ = only(diagnose(well, "lock-waits", lock_wait_s=0.1))
    assert state == "critical"
    assert f"1 session blocked ({waiter.pid} for " in value
    assert f"by pid {holder.pid} (scanner_app), idle in transaction for " in value
    assert value.endswith("UPDATE jobs SET bucket = ?")
    assert "secret" not in value
    assert ends(next_) == (holder.pid, False)
    carry_out(next_, well)
    waiter.join()
    assert waiter.error is None
    assert only(diagnose(well, "lock-waits", lock_wait_s=0.1))[0] == "ok"


def test_a_statement_that_runs_in_front_of_a_queue_is_cancelled(well: TestDatabase, sessions: Sessions) -> None:
    holder, waiter = sessions(), sessions()
    holder.start("BEGIN; UPDATE jobs SET bucket = 'x'; SELECT pg_sleep(60)")
    wait_until(well, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    waiter.start("UPDATE jobs SET bucket = 'mine'")
    wait_until(well, WAITERS)
    state, _, next_ = only(diagnose(well, "lock-waits", lock_wait_s=0.1))
    assert (state, ends(next_)) == ("critical", (holder.pid, True))
    carry_out(next_, well)
    waiter.join()
    assert waiter.error is None


def test_only_the_head_of_a_chain_is_to_be_ended(well: TestDatabase, sessions: Sessions) -> None:
    first, second, third = sessions(), sessions(), sessions()
    (one,), (other,) = well.query("SELECT job_id FROM jobs ORDER BY 1")
    first.begin(f"UPDATE jobs SET bucket = 'a' WHERE job_id = '{one}'")
    second.begin(f"UPDATE jobs SET bucket = 'b' WHERE job_id = '{other}'")
    second.start(f"UPDATE jobs SET bucket = 'b' WHERE job_id = '{one}'")
    wait_until(well, WAITERS)
    third.start(f"UPDATE jobs SET bucket = 'c' WHERE job_id = '{other}'")
    wait_until(well, f"{WAITERS} AND pid = {third.pid}")
    _, value, next_ = only(diagnose(well, "lock-waits", lock_wait_s=0.1))
    assert value.startswith("2 sessions blocked")
    assert ends(next_) == (first.pid, False)


def test_a_short_wait_is_told_and_is_well(well: TestDatabase, sessions: Sessions) -> None:
    holder, waiter = sessions(), sessions()
    holder.begin("UPDATE jobs SET bucket = 'a'")
    waiter.start("UPDATE jobs SET bucket = 'b'")
    wait_until(well, WAITERS)
    state, value, _ = only(diagnose(well, "lock-waits"))
    assert state == "ok"
    assert re.fullmatch(r"1 session waiting for a lock, the longest for \d+ ms", value)


@pytest.mark.parametrize(
    ("check", "limit"), [("long-transactions", "transaction_s"), ("idle-in-transaction", "lock_wait_s")]
)
def test_a_transaction_that_stays_open_is_named_and_ended(
    well: TestDatabase, sessions: Sessions, check: str, limit: str
) -> None:
    session = sessions()
    session.begin("SELECT 'secret' FROM jobs WHERE bucket = $$secret$$")
    time.sleep(0.2)
    state, value, next_ = only(diagnose(well, check, **{limit: 0.1}))
    assert state == "warning"
    assert value.startswith(f"pid {session.pid} (scanner_app) ")
    assert value.endswith("SELECT ? FROM jobs WHERE bucket = ?")
    assert ends(next_) == (session.pid, False)
    carry_out(next_, well)
    assert only(diagnose(well, check, **{limit: 0.1}))[0] == "ok"


def test_a_session_that_idles_without_a_transaction_is_well(well: TestDatabase, sessions: Sessions) -> None:
    sessions().execute("SELECT 1")
    time.sleep(0.2)
    findings = diagnose(well, "long-transactions", "idle-in-transaction", transaction_s=0.1, lock_wait_s=0.1)
    assert [finding.state for finding in findings] == ["ok", "ok"]


def test_too_many_connections_are_told_by_user_and_the_idle_ones_are_ended(
    well: TestDatabase, sessions: Sessions
) -> None:
    for _ in range(10):
        sessions()
    state, value, next_ = only(diagnose(well, "connections", connections_percent=10))
    assert state == "critical"
    assert "of 100 in use (" in value
    assert "scanner_app 10" in value
    assert value.endswith("10 of scanner_app idle")
    carry_out(next_, well)
    wait_until(well, "SELECT 1 WHERE NOT EXISTS (SELECT pid FROM pg_stat_activity WHERE usename = 'scanner_app')")
    assert only(diagnose(well, "connections", connections_percent=10))[0] == "ok"


def test_the_sessions_of_a_superuser_are_left_alone(well: TestDatabase, sessions: Sessions) -> None:
    for user in ["postgres"] * 5 + ["scanner_app"] * 3:
        sessions(user)
    _, value, next_ = only(diagnose(well, "connections", connections_percent=5))
    assert value.endswith("3 of scanner_app idle")
    assert event_of(next_)[1]["user"] == "scanner_app"


@contextlib.contextmanager
def every_connection_taken(database: TestDatabase) -> Iterator[None]:
    """Hold each connection that the server gives to the scanner."""
    held: list[psycopg2.extensions.connection] = []
    dsn = database.server.dsn(user="scanner_app", database=database.name, application_name="leaky")
    try:
        with pytest.raises(psycopg2.OperationalError, match="connection"):
            held.extend(psycopg2.connect(dsn) for _ in range(200))
        yield
    finally:
        for connection in held:
            connection.close()


def test_with_every_connection_taken_the_doctor_gets_in_and_names_who_holds_them(well: TestDatabase) -> None:
    if well.server.version < RESERVED_CONNECTIONS_SINCE:
        pytest.skip("this version reserves connections for superusers only")
    with every_connection_taken(well):
        (finding,) = diagnose(well, "connections")
        assert (finding.state, finding.check) == ("critical", "connections")
        assert "of scanner_app leaky idle" in finding.value
        done = carry_out(finding.next, well)["done"]
        assert re.match(r"ended \d\d idle sessions of scanner_app, leaky: ", done)
        gone = "NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'leaky')"
        wait_until(well, f"SELECT 1 WHERE {gone}")
        assert only(diagnose(well, "connections"))[0] == "ok"


def test_a_doctor_without_a_reserved_connection_names_the_command_that_logs_in_as_the_owner(
    well: TestDatabase,
) -> None:
    with every_connection_taken(well):
        connection, elsewhere = diagnose(well, "connection", "lock-waits", user="progress_reader")
        assert (connection.check, connection.state) == ("connection", "critical")
        assert connection.value.startswith("every connection is in use, also those reserved")
        assert event_of(connection.next) == ("migrate", {"action": "end", "idle": True})
        assert elsewhere.state == "look"
        # RDS reserves connections for its master user; below 16 only the superuser has some here.
        carry_out(connection.next, well, user="postgres")
        wait_until(well, "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'leaky')")
        assert only(diagnose(well, "connection"))[0] == "ok"


def test_a_version_that_is_not_supported_is_critical(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(diagnose(database, "connection"))[0] == "ok"
    monkeypatch.setattr(postgres_versions, "SUPPORTED", range(90, 92))
    state, value, _ = only(diagnose(database, "connection"))
    version = database.server.version
    assert (state, value) == (
        "critical",
        f"PostgreSQL {version} is not supported, 90 to 91 are: upgrade the server first",
    )


def test_the_proxy_is_looked_at_where_there_is_one(well: TestDatabase) -> None:
    assert diagnose(well, "proxy") == []
    state, value, _ = only(diagnose(well, "proxy", connect_proxy=lambda: well.connect("scanner_doctor")))
    assert (state, value[:24]) == ("ok", "connects and answers in ")

    def broken() -> None:
        psycopg2.connect("host=127.0.0.1 port=1")

    state, value, next_ = only(diagnose(well, "proxy", connect_proxy=broken))
    assert (state, next_.split()[:3]) == ("critical", ["aws", "rds", "describe-db-proxy-targets"])
    assert "Connection refused" in value


def test_a_proxy_that_lets_clients_in_and_does_not_answer_is_given_up(
    well: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "PROXY_LIMIT_S", 0.5)
    frozen: list[int] = []

    def silent() -> psycopg2.extensions.connection:
        connection = well.connect("scanner_doctor")
        frozen.append(connection.info.backend_pid)
        os.kill(frozen[0], signal.SIGSTOP)
        return connection

    try:
        state, value, _ = only(diagnose(well, "proxy", connect_proxy=silent))
    finally:
        os.kill(frozen[0], signal.SIGCONT)
    assert (state, value) == ("critical", "accepts clients, but does not answer: none within 0.5 s")


def test_the_proxy_is_looked_at_also_when_the_database_does_not_let_the_doctor_in(well: TestDatabase) -> None:
    connection, _, proxy = diagnose(
        well, "connection", "proxy", user="nobody_knows", connect_proxy=lambda: well.connect("scanner_doctor")
    )
    assert (connection.state, proxy.check, proxy.state) == ("critical", "proxy", "ok")
