"""`scannerdb end` and `repair` show what they would do, ask, and do it: with a connection, and by the function."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from handlers import migrate
from scannerdb import remedies
from tests.support.command_line import dsn, scannerdb
from tests.support.uploaded_release import FifteenMinutes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase
    from tests.support.deployed import Deployed

DROPPED = "idx_findings_job_detector"
CREATE = f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {DROPPED} ON public.findings (job_id, detector)"


@pytest.fixture
def open_transaction(database: TestDatabase) -> Iterator[psycopg2.extensions.connection]:
    """A session of an application that idles in a transaction."""
    address = database.server.dsn(user="scanner_app", database=database.name, application_name="nightly report")
    connection = psycopg2.connect(address)
    connection.cursor().execute("UPDATE jobs SET bucket = 'secret'")
    yield connection
    connection.close()


def answer(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def is_there(database: TestDatabase, pid: int) -> bool:
    return bool(database.query("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)))


def test_a_session_is_shown_and_ended_when_the_answer_is_yes(
    database: TestDatabase,
    open_transaction: psycopg2.extensions.connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pid = open_transaction.info.backend_pid
    answer(monkeypatch, "n")
    scannerdb("end", str(pid), "--dsn", dsn(database), code=1)
    printed = capsys.readouterr()
    assert f"pid {pid} (scanner_app, nightly report) from 127.0.0.1, connected since " in printed.out
    assert "idle in transaction for " in printed.out
    assert "last statement: UPDATE jobs SET bucket = ?" in printed.out
    assert "secret" not in printed.out
    assert "Aborted!" in printed.err
    assert is_there(database, pid)
    answer(monkeypatch, "y")
    scannerdb("end", str(pid), "--dsn", dsn(database))
    assert f"Done: ended pid {pid} (scanner_app, nightly report)" in capsys.readouterr().out
    assert not is_there(database, pid)
    scannerdb("end", str(pid), "--dsn", dsn(database), code=1)
    assert f"there is no session {pid} of a client any more: nothing was done" in capsys.readouterr().err


def test_the_idle_sessions_of_the_application_with_most_are_ended(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def connect(application: str) -> psycopg2.extensions.connection:
        return psycopg2.connect(
            database.server.dsn(user="scanner_app", database=database.name, application_name=application)
        )

    with contextlib.ExitStack() as stack:
        leaky = [stack.enter_context(contextlib.closing(connect("leaky's"))) for _ in range(5)]
        other = stack.enter_context(contextlib.closing(connect("api")))
        answer(monkeypatch, "y")
        scannerdb("end", "--idle", "--dsn", dsn(database))
        printed = capsys.readouterr().out
        assert printed.splitlines()[0] == "scanner_app, leaky's: 5 sessions, 5 idle"
        assert "ended 5 idle sessions of scanner_app, leaky's" in printed
        for connection in leaky:
            with pytest.raises(psycopg2.OperationalError):
                connection.cursor().execute("SELECT 1")
        other.cursor().execute("SELECT 1")


@pytest.mark.parametrize(
    "arguments", [[], ["7", "--idle"], ["7", "--user", "scanner_app"], ["--application", "leaky"], ["0"]]
)
def test_it_is_said_what_names_a_session(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    scannerdb("end", *arguments, "--dsn", "host=127.0.0.1", code=2)
    assert "--idle" in capsys.readouterr().err or arguments == ["0"]


def test_without_an_answer_nothing_is_ended(
    database: TestDatabase,
    open_transaction: psycopg2.extensions.connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pid = open_transaction.info.backend_pid
    answer(monkeypatch)
    scannerdb("end", str(pid), "--dsn", dsn(database), code=1)
    assert capsys.readouterr().err.endswith("so the question cannot be asked; add --yes\n")
    assert is_there(database, pid)


def test_a_statement_of_a_check_is_shown_and_run_when_the_answer_is_yes(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database.query(f"DROP INDEX {DROPPED}")
    answer(monkeypatch, "n")
    scannerdb("repair", "indexes", "--dsn", dsn(database), "-e", "dev", code=1)
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"warning: {DROPPED} on findings is missing",
        f"  {CREATE}",
    ]
    assert database.query("SELECT to_regclass(%s)", (DROPPED,)) == [(None,)]
    answer(monkeypatch, "y")
    scannerdb("repair", "indexes", "--dsn", dsn(database), "-e", "dev")
    assert database.query("SELECT to_regclass(%s) IS NOT NULL", (DROPPED,)) == [(True,)]
    scannerdb("repair", "indexes", "--dsn", dsn(database), "-e", "dev")
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing to do: indexes names no statement now."


def test_a_statement_that_writers_would_queue_behind_gives_up_and_names_what_helps(
    database: TestDatabase, open_transaction: psycopg2.extensions.connection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert open_transaction
    database.query("ALTER TABLE findings DISABLE TRIGGER track_findings_insert")
    with contextlib.closing(database.connect("scanner_app")) as other:
        other.autocommit = False
        other.cursor().execute("LOCK TABLE findings IN ROW EXCLUSIVE MODE")
        scannerdb("repair", "triggers", "--yes", "--dsn", dsn(database), "-e", "dev", code=1)
    assert "another session held the lock for 2 s, so nothing was changed" in capsys.readouterr().err


@pytest.fixture
def by_function(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Run the function `migrate` here, in the place of an invocation; return the events that it gets."""
    events: list[dict[str, Any]] = []

    def invoke(_settings: object, function: str, event: dict[str, Any]) -> Any:
        assert function == "migrate"
        events.append(json.loads(json.dumps(event)))
        return json.loads(json.dumps(migrate.handler(events[-1], FifteenMinutes())))  # type: ignore[arg-type]

    monkeypatch.setattr(remedies, "invoke_function", invoke)
    monkeypatch.setattr(migrate.actions, "connect_as_owner", lambda _name: deployed.database.connect)
    return events


def test_without_a_connection_the_function_shows_and_ends_the_session(
    database: TestDatabase,
    open_transaction: psycopg2.extensions.connection,
    by_function: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pid = open_transaction.info.backend_pid
    answer(monkeypatch, "y")
    scannerdb("end", str(pid), "-e", "local")
    assert "last statement: UPDATE jobs SET bucket = ?" in capsys.readouterr().out
    assert not is_there(database, pid)
    look, act = by_function
    assert look == {"action": "end", "pid": pid, "dry_run": True}
    # The session that was shown, and not another one that has its pid by now.
    assert act.keys() == {"action", "pid", "began"}
    scannerdb("end", str(pid), "-e", "local", "--yes", code=1)
    assert "there is no session" in capsys.readouterr().err


def test_a_dsn_comes_before_the_environment_as_in_every_command(
    database: TestDatabase, open_transaction: psycopg2.extensions.connection, by_function: list[dict[str, Any]]
) -> None:
    scannerdb("end", str(open_transaction.info.backend_pid), "-e", "local", "--yes", "--dsn", dsn(database))
    assert by_function == []
    assert not is_there(database, open_transaction.info.backend_pid)


@pytest.mark.parametrize("command", ["end 1", "repair indexes"])
def test_without_a_database_it_is_said_how_to_name_one(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SCANNERDB_DSN", "SCANNERDB_ENVIRONMENT", "RDS_PROXY_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    scannerdb(*shlex.split(command), code=2)
    assert "-e" in capsys.readouterr().err
