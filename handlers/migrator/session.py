"""The session that holds the migration lock and runs the statements, and a second one that watches it."""

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import psycopg2

from handlers.contract import postgres_versions
from handlers.errors import DeployInProgressError, StillRunningError, UnsupportedVersionError
from handlers.migrator.ledger import QUERIES
from handlers.migrator.statement_progress import StatementProgress, watch

Connect = Callable[[], "psycopg2.extensions.connection"]
# Called with a sentence for people, and fields for programs.
Report = Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """The time limits of a run.

    Attributes:
        lock_timeout_ms: how long a statement may wait for a lock that blocks writers, before it gives up and retries. A
            writer waits no longer than this and the statement itself.
        lock_patience_s: for how long to retry.
        deadline_s: how long the whole run may take; then it returns, also while the server runs a statement. `None` for
            no limit.
        poll_interval_s: between two reports on a running statement, and between two tries to take the migration lock.

    """

    lock_timeout_ms: int = 500
    lock_patience_s: float = 300
    deadline_s: float | None = None
    poll_interval_s: float = 2


def connect_to_supported(connect: Connect) -> "psycopg2.extensions.connection":
    """Open a connection, and refuse a server of another version before any statement.

    Raises:
        UnsupportedVersionError: it is none of `postgres_versions.SUPPORTED`.

    """
    connection = connect()
    if (reason := postgres_versions.unsupported(connection.server_version)) is not None:
        connection.close()
        raise UnsupportedVersionError(reason)
    return connection


class Session:
    """The session of one run. Use as a context manager: it ends with its connections, and the lock with it.

    Args:
        connect: opens a direct connection (not through RDS Proxy) in autocommit mode.
        limits: those of the run.
        report: called with each event.

    Raises:
        UnsupportedVersionError: the server is of another version; nothing was run.

    """

    def __init__(self, connect: Connect, *, limits: RunLimits, report: Report) -> None:
        self.limits = limits
        self.report = report
        self._ends_at = None if limits.deadline_s is None else time.monotonic() + limits.deadline_s
        self._connection = connect_to_supported(connect)
        self._watcher = connect()
        self.cursor: Any = self._connection.cursor()
        self.pid: int = self._connection.info.backend_pid
        self.user: str = self._connection.info.user
        self._worker: threading.Thread | None = None
        for connection in (self._connection, self._watcher):
            connection.cursor().execute(QUERIES["prepare_session"])
        # The watcher idles while statements are short, and it holds no lock.
        self._watcher.cursor().execute("SET idle_session_timeout = 0")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None and self._worker.is_alive():
            self._hang_up()  # else closing would wait for the statement, also after Ctrl-C
        for connection in (self._connection, self._watcher):
            with contextlib.suppress(psycopg2.Error):
                connection.close()

    def time_is_up(self) -> bool:
        """Whether the deadline has passed."""
        return self._ends_at is not None and time.monotonic() >= self._ends_at

    def acquire_lock(self) -> None:
        """Take the migration lock, polling with no transaction open, and report what its holder does while it waits.

        Raises:
            DeployInProgressError: another deployer holds the lock still at the deadline.

        """
        while True:
            self.cursor.execute(QUERIES["try_lock"])
            if self.cursor.fetchone()[0]:
                return
            holder, progress = self._holder()
            if self.time_is_up():
                doing = f": {progress}" if progress else ""
                raise DeployInProgressError(
                    f"{holder} still works on this database{doing}; deploy again, and the next run waits for it"
                )
            self.report(f"waiting for {holder}", **(progress.fields() if progress else {}))
            time.sleep(self.limits.poll_interval_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads pollers

    def execute(self, sql: str, *, what: str, may_outlive: bool) -> None:
        """Run one statement, or several in one message, and report how far it is until it ends.

        Args:
            sql: sent as it is, in one message.
            what: the statement, for people.
            may_outlive: whether the server may finish it after the deadline, without us.

        Raises:
            psycopg2.Error: the server refused it.
            StillRunningError: the deadline came first. The connection is given up: the server ends the statement, or
                what the message holds, and then the session and its lock.

        """
        failure: list[BaseException] = []

        def work() -> None:
            try:
                self.cursor.execute(sql)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                failure.append(error)

        worker = self._worker = threading.Thread(target=work, daemon=True)
        worker.start()
        worker.join(min(self.limits.poll_interval_s, 1))
        while worker.is_alive():
            progress = watch(self._watcher.cursor(), self.pid)
            if progress is not None:
                self.report(f"{what}: {progress}", **progress.fields())
            if self.time_is_up():
                self._give_up(what, progress, may_outlive=may_outlive)
            worker.join(self.limits.poll_interval_s)
        if failure:
            raise failure[0]

    def owners(self, relations: Sequence[str]) -> dict[str, str]:
        """Return the owner of each of these relations whose rights this session does not have."""
        cursor = self._watcher.cursor()
        try:
            cursor.execute(QUERIES["other_owners"], {"relations": list(relations)})
        except psycopg2.Error:  # a function's signature is no name of a relation
            return {}
        return dict(cursor.fetchall())

    def _give_up(self, what: str, progress: StatementProgress | None, *, may_outlive: bool) -> None:
        if not may_outlive:
            self._connection.cancel()
            raise StillRunningError(
                f"{what} did not end in time ({progress or 'no progress known'}) and was undone; "
                "give the function more time, or split the file"
            )
        self._hang_up()
        raise StillRunningError(
            f"{what} goes on in the database ({progress or 'no progress known'}); "
            "deploy again, and the next run waits for it and goes on"
        )

    def _hang_up(self) -> None:
        """Close the socket without cancelling: the server finishes the statement, and then ends the session."""
        # libpq closes the socket itself when the worker notices a shutdown, so it may be closed already.
        with (
            contextlib.suppress(OSError, psycopg2.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as wire,
        ):
            wire.shutdown(socket.SHUT_RDWR)

    def _holder(self) -> tuple[str, StatementProgress | None]:
        watcher: Any = self._watcher.cursor()
        watcher.execute(QUERIES["lock_holder"])
        row = watcher.fetchone()
        if row is None:
            return "a session that just ended", None
        pid, name, since = row
        began = f", since {since:%Y-%m-%d %H:%M:%S} UTC" if since else ""
        return f"{name or 'unnamed'} (pid {pid}{began})", watch(watcher, pid)
