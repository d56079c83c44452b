"""The session that holds the migration lock and runs the statements, and a second one that watches it."""

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import psycopg2

from handlers.errors import DatabaseUnavailableError, DeployInProgressError, StillRunningError
from handlers.migrator.connecting import connect_to_supported
from handlers.migrator.ledger import QUERIES
from handlers.migrator.statement_progress import StatementProgress, watch
from handlers.waiting import cancel, hang_up, in_thread

T = TypeVar("T")
Connect = Callable[[], "psycopg2.extensions.connection"]
# Called with a sentence for people, and fields for programs.
Report = Callable[..., None]

# How often a wait looks at the clock.
_TICK_S = 0.1
# The watching session asks for what is in memory: a server that does not answer for so long is stopped or unreachable.
SILENCE_S = 30
# After the deadline, the time for a last look at the statement.
_LAST_LOOK_S = 2


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


class _RunnersCursor(psycopg2.extensions.cursor):
    """Runs short statements of the runner itself, under the deadline of its session."""

    session: "Session"

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - psycopg2's name
        self.session.finish(lambda: self.send(query, vars), "the runner's own query")

    def send(self, query: Any, parameters: Any = None) -> None:
        """Run a statement without a limit."""
        super().execute(query, parameters)


class Session:
    """The session of one run. Use as a context manager: it ends with its connections, and the lock with it.

    Attributes:
        cursor: of the session; the deadline holds for it.

    Args:
        connect: opens a direct connection (not through RDS Proxy) in autocommit mode.
        limits: those of the run.
        report: called with each event.

    Raises:
        ScannerDatabaseError: as `connect_to_supported`.

    """

    def __init__(self, connect: Connect, *, limits: RunLimits, report: Report) -> None:
        self.limits = limits
        self.report = report
        self._ends_at = None if limits.deadline_s is None else time.monotonic() + limits.deadline_s
        self._connection = connect_to_supported(connect)
        self._watcher = connect_to_supported(connect)
        self.pid: int = self._connection.info.backend_pid
        self.user: str = self._connection.info.user
        # The watcher idles while statements are short, and it holds no lock.
        self._watcher.cursor().execute("SET idle_session_timeout = 0")
        cursor: Any = self._connection.cursor(cursor_factory=_RunnersCursor)
        cursor.session = self
        self.cursor = cursor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
                    f"{holder} still works on this database{doing}; migrate again, and the next run waits for it"
                )
            self.report(f"waiting for {holder}", **(progress.fields() if progress else {}))
            pause_s = self.limits.poll_interval_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads pollers
            time.sleep(pause_s if self._ends_at is None else min(pause_s, max(self._ends_at - time.monotonic(), 0)))

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
            DatabaseUnavailableError: the server stopped answering; the connection is given up.

        """
        if self.time_is_up():
            raise StillRunningError(f"the time was up before {what}; migrate again, and the next run goes on there")
        self.finish(lambda: self.cursor.send(sql), what, may_outlive=may_outlive)

    def finish(self, work: Callable[[], T], what: str, *, may_outlive: bool = False) -> T:
        """Do work on the connection; as `execute`. Ctrl-C ends the wait as the deadline does."""
        ended = False
        look_at = time.monotonic() + min(self.limits.poll_interval_s, 1)

        def tracked() -> T:
            nonlocal ended
            try:
                return work()
            finally:
                ended = True

        def check() -> None:
            nonlocal look_at
            is_last = self.time_is_up()
            if not is_last and time.monotonic() < look_at:
                return
            progress = self._look(what)
            if is_last:
                raise StillRunningError(_out_of_time(what, progress, may_outlive=may_outlive))
            look_at = time.monotonic() + self.limits.poll_interval_s

        try:
            return in_thread(tracked, check=check, every_s=_TICK_S)
        except BaseException as error:
            if not ended:
                self._leave(may_outlive=may_outlive)
                if isinstance(error, KeyboardInterrupt):
                    goes_on = "goes on in the database; the next run waits for it and goes on"
                    self.report(f"interrupted: {what} {goes_on if may_outlive else 'was cancelled'}")
            raise

    def owners(self, relations: Sequence[str]) -> dict[str, str]:
        """Return the owner of each of these relations whose rights this session does not have."""

        def ask(cursor: Any) -> dict[str, str]:
            cursor.execute(QUERIES["other_owners"], {"relations": list(relations)})
            return dict(cursor.fetchall())

        try:
            return self._ask(ask)
        except psycopg2.Error:  # a function's signature is no name of a relation
            return {}

    def _look(self, what: str) -> StatementProgress | None:
        """Report the progress of the session's statement."""
        try:
            progress = self._ask(lambda cursor: watch(cursor, self.pid))
        except psycopg2.Error:
            return None  # the watching session was ended; the statement tells what becomes of it
        except DatabaseUnavailableError:
            if self.time_is_up():
                return None
            raise
        if progress is not None:
            self.report(f"{what}: {progress}", **progress.fields())
        return progress

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Ask by the watching session.

        Raises:
            DatabaseUnavailableError: no answer in time.

        """
        asked_at = time.monotonic()

        def check() -> None:
            waited_s = time.monotonic() - asked_at
            if waited_s >= (_LAST_LOOK_S if self.time_is_up() else SILENCE_S):
                raise DatabaseUnavailableError(
                    f"the server has not answered for {waited_s:.0f} s and may be stopped; when it does, migrate again"
                )

        try:
            return in_thread(lambda: question(self._watcher.cursor()), check=check, every_s=_TICK_S)
        except (DatabaseUnavailableError, KeyboardInterrupt):
            hang_up(self._watcher)
            raise

    def _leave(self, *, may_outlive: bool) -> None:
        """Give the connection up: the server finishes what it may finish, and then ends the session."""
        if not may_outlive:
            cancel(self._connection)
        hang_up(self._connection)

    def _holder(self) -> tuple[str, StatementProgress | None]:
        def ask(cursor: Any) -> tuple[Any, StatementProgress | None]:
            cursor.execute(QUERIES["lock_holder"])
            row = cursor.fetchone()
            return row, row and watch(cursor, row[0])

        row, progress = self._ask(ask)
        if row is None:
            return "a session that just ended", None
        pid, name, since = row
        began = f", since {since:%Y-%m-%d %H:%M:%S} UTC" if since else ""
        return f"{name or 'unnamed'} (pid {pid}{began})", progress


def _out_of_time(what: str, progress: StatementProgress | None, *, may_outlive: bool) -> str:
    known = progress or "no progress known"
    if may_outlive:
        return f"{what} goes on in the database ({known}); migrate again, and the next run waits for it and goes on"
    return f"{what} did not end in time ({known}) and was undone; give the function more time, or split the file"
