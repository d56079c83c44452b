"""Ctrl-C and --deadline-s end every command that waits for the database, here and in the server."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg2
import pytest

from handlers.migrator.ledger import QUERIES
from scannerdb import console
from scannerdb.main import main
from tests.support.command_line import dsn, scannerdb, start_scannerdb
from tests.support.processes import interrupted, stopped, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase

TABLES = "jobs, job_objects, findings, job_progress_counts, job_progress_deltas, materialized_view_refresh_log"
WAITING = "SELECT pid FROM pg_stat_activity WHERE application_name = 'scannerdb' AND wait_event_type = 'Lock'"
AT_WORK = "SELECT pid FROM pg_stat_activity WHERE application_name = 'scannerdb'"
NOTHING = "nothing was changed"
WHOLE = "it is one transaction: the server undoes it, or had finished it"
PARTITION = "what is done stays; the same command goes on from there, --revert undoes it"
COMMANDS = {
    "verify": NOTHING,
    "rebuild": WHOLE,
    "refresh": WHOLE,
    "status --real-time": NOTHING,
    "status --real-time --watch": NOTHING,
}


@contextmanager
def locked(database: TestDatabase) -> Iterator[None]:
    """Another session that holds the strongest lock on every table."""
    holder = database.connect("postgres")
    holder.autocommit = False
    holder.cursor().execute(f"LOCK TABLE {TABLES} IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        holder.close()


def waiting_pid(database: TestDatabase) -> int:
    """Wait until the command waits for the lock; return its session."""
    wait_until(lambda: database.query(WAITING))
    ((pid,),) = database.query(WAITING)
    return int(pid)


@pytest.mark.parametrize(("line", "left"), COMMANDS.items())
def test_ctrl_c_ends_a_command_that_waits_for_a_lock(database: TestDatabase, line: str, left: str) -> None:
    with locked(database):
        process = start_scannerdb(*line.split(), "--dsn", dsn(database))
        waiting_pid(database)
        process.send_signal(signal.SIGINT)
        printed, complaint = process.communicate(timeout=10)
        wait_until(lambda: not database.query(WAITING), timeout_s=5)
    assert process.returncode == 130
    assert (printed, complaint) == ("", f"scannerdb: interrupted; {left}\n")


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("doctor -e dev", NOTHING),
        ("partition job_objects --yes", PARTITION),
        ("partition job_objects --revert", PARTITION),
    ],
)
def test_ctrl_c_ends_a_command_that_has_limits_of_its_own(database: TestDatabase, line: str, left: str) -> None:
    deployer = database.connect()
    deployer.cursor().execute(QUERIES["try_lock"])
    with locked(database):
        process = start_scannerdb(*line.split(), "--dsn", dsn(database))
        wait_until(lambda: database.query(AT_WORK))
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=10)
        wait_until(lambda: not database.query(AT_WORK), timeout_s=5)
    deployer.close()
    assert process.returncode == 130
    assert complaint.splitlines()[-1] == f"scannerdb: interrupted; {left}"
    assert "Traceback" not in complaint


@pytest.mark.parametrize("line", ["verify", "status --real-time --watch"])
def test_ctrl_c_ends_a_command_whose_server_is_stopped(database: TestDatabase, line: str) -> None:
    with locked(database):
        process = start_scannerdb(*line.split(), "--dsn", dsn(database))
        backend = waiting_pid(database)
        with stopped(database.server_pid(), backend):
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=10)
    assert (process.returncode, complaint) == (130, f"scannerdb: interrupted; {NOTHING}\n")


@contextmanager
def silent_name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Connecting blocks as libpq does while it resolves a name: Ctrl-C does not end that call."""
    released = threading.Event()

    def connect(*_: object, **__: object) -> None:
        ends_at = time.monotonic() + 10
        while not released.is_set() and time.monotonic() < ends_at:
            with suppress(KeyboardInterrupt):
                released.wait(0.1)
        raise psycopg2.OperationalError("could not translate host name")

    monkeypatch.setattr(psycopg2, "connect", connect)
    yield
    released.set()


def test_ctrl_c_ends_a_command_that_waits_for_a_name_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with silent_name_server(monkeypatch), interrupted(after_s=0.3):
        started = time.monotonic()
        scannerdb("verify", "--dsn", "host=db.example", code=130)
    assert time.monotonic() - started < 5
    assert capsys.readouterr().err == f"scannerdb: interrupted; {NOTHING}\n"


def test_a_deadline_ends_a_command_that_waits_for_a_name_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with silent_name_server(monkeypatch):
        scannerdb("verify", "--deadline-s", "0.5", "--dsn", "host=db.example", code=1)
    assert capsys.readouterr().err == f"scannerdb: the limit of 0.5 s is over; {NOTHING}\n"


def test_ctrl_c_while_watching_between_two_reads_says_that_nothing_was_changed(database: TestDatabase) -> None:
    database.add_job({"queued": 1})
    process = start_scannerdb("status", "--watch", "--real-time", "--json", "--interval", "60", "--dsn", dsn(database))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=10)
    assert (process.returncode, complaint) == (130, f"scannerdb: interrupted; {NOTHING}\n")


@pytest.mark.parametrize(("line", "left"), COMMANDS.items())
def test_a_deadline_ends_a_command_that_waits_for_a_lock(
    database: TestDatabase, capsys: pytest.CaptureFixture[str], line: str, left: str
) -> None:
    with locked(database):
        scannerdb(*line.split(), "--deadline-s", "0.5", "--dsn", dsn(database), code=1)
        wait_until(lambda: not database.query(WAITING), timeout_s=5)
    assert capsys.readouterr() == ("", f"scannerdb: the database did not answer within 0.5 s; {left}\n")


def test_a_deadline_ends_a_watch(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    database.add_job({"queued": 1})
    scannerdb(
        "status",
        "--watch",
        "--real-time",
        "--json",
        "--interval",
        "60",
        "--deadline-s",
        "2",
        "--dsn",
        dsn(database),
        code=1,
    )
    assert capsys.readouterr().err == f"scannerdb: the limit of 2 s is over; {NOTHING}\n"


@pytest.mark.parametrize("action", ["--revert", "--finish", "--yes"])
def test_a_deadline_ends_a_partitioning_that_waits_for_another_deployer(
    database: TestDatabase, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    deployer = database.connect()
    with deployer.cursor() as cursor:
        cursor.execute(QUERIES["try_lock"])
    scannerdb("partition", "job_objects", action, "--deadline-s", "1", "--dsn", dsn(database), code=1)
    deployer.close()
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert complaint.endswith(f"; {PARTITION}")


@pytest.mark.parametrize("place", ["make_context", "invoke"])
def test_ctrl_c_anywhere_in_a_command_ends_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(type(main), place, press_ctrl_c)
    scannerdb("settings", "-e", "dev", code=130)
    assert "Traceback" not in capsys.readouterr().err


def test_ctrl_c_while_the_modules_are_loaded_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scannerdb.main.command", press_ctrl_c)
    monkeypatch.setattr("sys.argv", ["scannerdb"])
    with pytest.raises(SystemExit) as ended:
        console.command()
    assert ended.value.code == 130


def test_ctrl_c_at_a_question_ends_with_130(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", press_ctrl_c)
    scannerdb("rollback", "--dsn", dsn(database), code=130)
    assert capsys.readouterr().err.endswith("Aborted!\n")


def press_ctrl_c(*_arguments: object, **_options: object) -> None:
    raise KeyboardInterrupt
