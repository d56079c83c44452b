"""Examines a database, does what a finding's `next` says, and sessions that are in the way."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg2

from handlers.connection import Database
from handlers.contract.databases import RdsDatabase
from handlers.contract.thresholds import Thresholds
from handlers.diagnosis import Commands, Finding, examine
from handlers.migrator.runner import run
from handlers.progress import maintenance
from handlers.remedies import actions
from lab.embedded_postgres import ADMIN_USER
from tests.support.database import MIGRATIONS, build_release

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.contract.parameters import ExpectedParameters
    from tests.support.database import TestDatabase

THRESHOLDS = {
    "lag_s": 600,
    "backlog_rows": 100_000,
    "lock_wait_s": 60,
    "transaction_s": 900,
    "connections_percent": 85,
    "transaction_ids": 1_000_000_000,
    "storage_hours": 48,
    "refresh_interval_s": 300,
    "slow_statement_ms": 1000,
    "storage_gib": 100,
}
RELEASE_EVENT = {"release_bucket": "b", "release_key": "k", "release_sha256": "s"}
COMMANDS = Commands(
    prefix="scanner-database-test",
    database=RdsDatabase.parse("instance/scanner-database-test"),
    release=RELEASE_EVENT,
)
_INVOKE = (
    "aws lambda invoke --function-name scanner-database-test-%s "
    "--cli-binary-format raw-in-base64-out --payload '%s' /dev/stdout --cli-read-timeout 0"
)
INVOKE_REFRESH = _INVOKE % ("refresh", '{"action": "%s"}')
INVOKE_MIGRATE = _INVOKE % ("migrate", json.dumps(RELEASE_EVENT))
# The shell takes a command apart as it does an on-call's, and prints its words instead of running it.
PRINT_WORDS = 'aws() { printf "%s\\0" aws "$@"; }; '


def diagnose(
    database: TestDatabase,
    *checks: str,
    user: str = "scanner_doctor",
    connect_proxy: Callable[[], Any] | None = None,
    time_limit_s: float = 30,
    commands: Commands = COMMANDS,
    expected: ExpectedParameters | None = None,
    **thresholds: float,
) -> list[Finding]:
    """Return what the checks find in a database."""
    return examine(
        lambda: database.connect(user),
        Thresholds(**{**THRESHOLDS, **thresholds}),
        commands=commands,
        checks=checks,
        read_release=lambda: build_release(MIGRATIONS),
        connect_proxy=connect_proxy,
        time_limit_s=time_limit_s,
        expected=expected,
    )


def only(findings: list[Finding]) -> tuple[str, str, str]:
    """Return state, value and next of the one finding."""
    (finding,) = findings
    return finding.state, finding.value, finding.next


def words_of(command: str) -> list[str]:
    """Return a command as the shell takes it apart, with nothing in its environment."""
    shell = ["sh", "-c", PRINT_WORDS + command]
    printed = subprocess.run(shell, capture_output=True, text=True, check=True, env={}).stdout
    return printed.split("\0")[:-1]


def event_of(command: str) -> tuple[str, dict[str, Any]]:
    """Return the function that a command invokes, by its short name, and the event."""
    words = words_of(command)
    assert words[:4] == ["aws", "lambda", "invoke", "--function-name"]
    return words[4].removeprefix("scanner-database-test-"), json.loads(words[words.index("--payload") + 1])


def carry_out(command: str, database: TestDatabase, *, user: str = ADMIN_USER, **thresholds: float) -> dict[str, Any]:
    """Do what a finding's `next` says; return what an action of `migrate` answers.

    Args:
        command: as it is printed.
        database: where it acts.
        user: whom `migrate` logs in as; the superuser where RDS lets the master user do what only he may here.
        thresholds: those with which the finding was found.

    """
    function, event = event_of(command)
    action = event.get("action")
    if function == "refresh":
        assert action in {"refresh", "rebuild", "verify"}
        getattr(maintenance, action)(Database(database.variables("progress_refresher"), query_timeout_s=30))
        return {}
    assert function == "migrate"
    if action == "end":
        return actions.end(event, lambda: database.connect(user))
    if action == "repair":
        assert event.items() >= RELEASE_EVENT.items()
        return actions.repair(
            event,
            lambda: database.connect(user),
            thresholds=Thresholds(**{**THRESHOLDS, **thresholds}),
            commands=COMMANDS,
            read_release=lambda: build_release(MIGRATIONS),
        )
    assert event == RELEASE_EVENT
    run(database.connect, build_release(MIGRATIONS))
    return {}


def sql_of(command: str) -> str:
    """Return the statement that a printed repair runs."""
    return str(event_of(command)[1]["sql"])


def wait_until(database: TestDatabase, sql: str) -> None:
    """Wait until a statement returns a row."""
    ends_at = time.monotonic() + 10
    while not database.query(sql):
        assert time.monotonic() < ends_at, sql
        time.sleep(0.01)


class Session:
    """A session with an open transaction, or one that runs something in the background."""

    def __init__(self, database: TestDatabase, user: str = "scanner_app") -> None:
        self.connection = database.connect(user)
        self.pid = self.connection.info.backend_pid
        self.error: Exception | None = None
        self._thread: threading.Thread | None = None

    def execute(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def begin(self, sql: str) -> None:
        """Open a transaction and leave it open."""
        self.connection.autocommit = False
        self.execute(sql)

    def start(self, *statements: str) -> None:
        """Run statements in the background."""

        def work() -> None:
            try:
                for sql in statements:
                    self.execute(sql)
            except psycopg2.Error as error:
                self.error = error

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for what runs in the background."""
        assert self._thread is not None
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()
