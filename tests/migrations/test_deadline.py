"""A build that outlives the runner goes on in the server, and the next run goes on with it."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest

from handlers.errors import DatabaseUnavailableError, DeployInProgressError, StillRunningError
from handlers.migrator import session as session_module
from handlers.migrator.ledger import QUERIES
from handlers.migrator.runner import run
from handlers.migrator.session import RunLimits, Session
from handlers.migrator.statement_progress import PHASES, measure, watch
from handlers.waiting import hang_up, interruptible
from tests.support.processes import interrupted, stopped, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg2

    from handlers.contract.release import Release
    from tests.support.database import TestDatabase

    ReleaseOf = Callable[[dict[str, str]], Release]

INDEX = {"001_a.sql": "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (a)"}
SHORT = RunLimits(deadline_s=1, poll_interval_s=0.1)


def hold_back(database: TestDatabase) -> psycopg2.extensions.connection:
    """Open a transaction that has written to t: a concurrent build waits for its end."""
    connection = database.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (0)")
    return connection


@pytest.fixture
def table(empty_database: TestDatabase) -> TestDatabase:
    empty_database.query("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)")
    return empty_database


def builders(database: TestDatabase) -> list[tuple[Any, ...]]:
    return database.query("SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%%' AND state = 'active'")


def locks(database: TestDatabase) -> list[tuple[Any, ...]]:
    return database.query("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")


def wait_until_unlocked(database: TestDatabase) -> None:
    """Wait for the lock's end; a session that was closed ends a moment later."""
    wait_until(lambda: not locks(database), timeout_s=10)


def test_a_deployer_that_waits_for_another_gives_up_at_its_deadline_not_at_its_next_try(
    table: TestDatabase, release_of: ReleaseOf
) -> None:
    holder = table.connect()
    with holder.cursor() as cursor:
        cursor.execute(QUERIES["try_lock"])
    started = time.monotonic()
    with pytest.raises(DeployInProgressError):
        run(table.connect, release_of(INDEX), limits=RunLimits(deadline_s=1, poll_interval_s=10))
    assert time.monotonic() - started < 3
    holder.close()


def test_a_build_that_outlives_the_deadline_goes_on_and_the_next_run_waits_for_it(
    table: TestDatabase, release_of: ReleaseOf
) -> None:
    release = release_of(INDEX)
    # GIVEN a build that cannot end before the deadline
    writer = hold_back(table)
    with pytest.raises(
        StillRunningError, match=r"CREATE INDEX CONCURRENTLY t_a goes on in the database .*migrate again"
    ):
        run(table.connect, release, limits=SHORT)
    (pid,) = builders(table)
    # WHEN a second run starts, it finds that session at work and says how far it is
    said: list[str] = []
    results: list[Any] = []
    second = threading.Thread(
        target=lambda: results.append(
            run(table.connect, release, limits=RunLimits(poll_interval_s=0.1), report=lambda m, **_: said.append(m))
        )
    )
    second.start()
    time.sleep(0.5)
    assert f"(pid {pid[0]}, since" in said[0]
    # THEN it goes on as soon as the build is done
    writer.commit()
    writer.close()
    second.join(10)
    assert results[0].applied == ("001_a.sql",)
    assert table.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass") == [(True,)]
    wait_until_unlocked(table)


def test_a_second_run_that_also_runs_out_of_time_says_what_still_works(
    table: TestDatabase, release_of: ReleaseOf
) -> None:
    writer = hold_back(table)
    with pytest.raises(StillRunningError):
        run(table.connect, release_of(INDEX), limits=SHORT)
    with pytest.raises(DeployInProgressError, match=r"still works on this database: waiting for writers before build"):
        run(table.connect, release_of(INDEX), limits=SHORT)
    writer.rollback()
    writer.close()


def test_a_waiting_build_names_the_transaction_that_it_waits_for(table: TestDatabase, release_of: ReleaseOf) -> None:
    writer = hold_back(table)
    said: list[dict[str, Any]] = []
    with pytest.raises(StillRunningError):
        run(table.connect, release_of(INDEX), limits=SHORT, report=lambda _message, **fields: said.append(fields))
    assert f"pid {writer.info.backend_pid} (scanner_admin" in said[-1]["waits_for"]
    assert said[-1]["phase"] == "waiting for writers before build"
    writer.rollback()
    writer.close()


def test_one_statement_of_a_file_outside_a_transaction_is_finished_and_recorded_by_the_server_alone(
    table: TestDatabase, release_of: ReleaseOf
) -> None:
    sql = "VACUUM t; DO $$ BEGIN PERFORM pg_sleep(2); INSERT INTO t VALUES (-1); END $$"
    with pytest.raises(StillRunningError, match="DO goes on in the database"):
        run(table.connect, release_of({"001_a.sql": sql}), limits=SHORT)
    deadline = time.monotonic() + 10
    while not table.query("SELECT a FROM t WHERE a = -1") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert table.query("SELECT version, applied_at IS NOT NULL FROM schema_migrations") == [(1, True)]


@pytest.mark.parametrize(
    "setting", ["client_connection_check_interval = '100ms'", "transaction_timeout = '2s'", "statement_timeout = '2s'"]
)
def test_no_setting_of_the_database_ends_what_goes_on(table: TestDatabase, release_of: ReleaseOf, setting: str) -> None:
    if "transaction_timeout" in setting and table.server.version < 17:
        pytest.skip("transaction_timeout exists from PostgreSQL 17 on")
    table.query(f"ALTER DATABASE {table.name} SET {setting}")
    noisy = "DO $$ BEGIN PERFORM pg_sleep(2.5); RAISE WARNING 'a'; RAISE WARNING 'b'; INSERT INTO t VALUES (-1); END $$"
    with pytest.raises(StillRunningError):
        run(table.connect, release_of({"001_a.sql": f"VACUUM t; {noisy}"}), limits=SHORT)
    wait_until_unlocked(table)
    assert table.query("SELECT version, applied_at IS NOT NULL FROM schema_migrations") == [(1, True)]


def test_an_interrupted_run_ends_at_once_and_leaves_the_build_to_the_server(
    table: TestDatabase, release_of: ReleaseOf
) -> None:
    writer = hold_back(table)

    def interrupt(message: str, **_: object) -> None:
        if "waiting for writers" in message:
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(table.connect, release_of(INDEX), limits=RunLimits(poll_interval_s=0.1), report=interrupt)
    assert time.monotonic() - started < 5
    assert len(builders(table)) == 1
    writer.commit()
    writer.close()
    assert run(table.connect, release_of(INDEX)).applied == ("001_a.sql",)


@contextlib.contextmanager
def locked(database: TestDatabase, table: str) -> Iterator[int]:
    """Hold the strongest lock on a table; give the session's pid."""
    connection = database.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table}")
        yield connection.info.backend_pid
    connection.close()


@pytest.mark.parametrize("callback", [contextlib.nullcontext, interruptible])
@pytest.mark.parametrize("after_s", [0.6, 1.5])
def test_ctrl_c_ends_a_run_at_once_and_leaves_its_build_to_the_server(
    table: TestDatabase,
    release_of: ReleaseOf,
    after_s: float,
    callback: Callable[[], contextlib.AbstractContextManager[None]],
) -> None:
    writer, said = hold_back(table), list[str]()
    started = time.monotonic()
    with callback(), interrupted(after_s=after_s), pytest.raises(KeyboardInterrupt):
        run(table.connect, release_of(INDEX), report=lambda message, **_: said.append(message))
    assert time.monotonic() - started < after_s + 2
    assert said[-1].startswith("interrupted: CREATE INDEX CONCURRENTLY t_a goes on in the database")
    assert len(builders(table)) == 1
    writer.commit()
    writer.close()
    assert run(table.connect, release_of(INDEX)).applied == ("001_a.sql",)


def test_ctrl_c_undoes_a_file_in_a_transaction_in_the_server_too(table: TestDatabase, release_of: ReleaseOf) -> None:
    sql = "CREATE TABLE u (a int); DO $$ BEGIN PERFORM pg_sleep(30); END $$"
    with interrupted(after_s=0.5), pytest.raises(KeyboardInterrupt):
        run(table.connect, release_of({"001_a.sql": sql}))
    wait_until(lambda: locks(table) == [], timeout_s=5)
    assert table.query("SELECT to_regclass('u')") == [(None,)]


def test_the_deadline_holds_where_the_definition_of_an_index_waits_for_a_lock(
    table: TestDatabase, release_of: ReleaseOf
) -> None:
    """`pg_get_indexdef` opens the table of an index on an expression."""
    table.query("CREATE INDEX t_a ON t ((a + 1))")
    release = release_of({"001_a.sql": "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t ((a + 1))"})
    with locked(table, "t") as pid, pytest.raises(StillRunningError, match=rf"own query .*waits for pid {pid} \("):
        run(table.connect, release, limits=SHORT)
    assert run(table.connect, release).applied == ("001_a.sql",)


def test_the_deadline_holds_where_the_ledger_is_locked(table: TestDatabase, release_of: ReleaseOf) -> None:
    run(table.connect, release_of({"001_a.sql": "SELECT 1"}))
    with locked(table, "public.schema_migrations") as pid:
        started = time.monotonic()
        with pytest.raises(StillRunningError, match=rf"own query .*waits for pid {pid} \("):
            run(table.connect, release_of({"001_a.sql": "SELECT 1"}), limits=SHORT)
        assert time.monotonic() - started < 4
        with interrupted(after_s=0.3), pytest.raises(KeyboardInterrupt):
            run(table.connect, release_of({"001_a.sql": "SELECT 1"}))


def test_the_deadline_holds_over_many_short_statements(table: TestDatabase, release_of: ReleaseOf) -> None:
    sql = ";".join(["SELECT pg_sleep(0.3)"] * 20)
    started = time.monotonic()
    with pytest.raises(StillRunningError, match=r"001_a\.sql: SELECT"):
        run(table.connect, release_of({"001_a.sql": sql}), limits=RunLimits(deadline_s=1, poll_interval_s=10))
    assert time.monotonic() - started < 3


def sessions(database: TestDatabase) -> list[int]:
    return [
        pid
        for (pid,) in database.query(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    ]


class Stopper:
    """A report that stops the server, once, while a statement runs; a context manager that lets it go on."""

    def __init__(self, database: TestDatabase) -> None:
        self._database, self._stack, self._is_stopped = database, contextlib.ExitStack(), False

    def __call__(self, message: str, **_fields: object) -> None:
        if "running" in message and not self._is_stopped:
            self._is_stopped = True
            self._stack.enter_context(stopped(self._database.server_pid(), *sessions(self._database)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


SLOW = {"001_a.sql": "VACUUM t; SELECT pg_sleep(2)"}


def test_a_stopped_server_does_not_hold_a_run_past_its_deadline(table: TestDatabase, release_of: ReleaseOf) -> None:
    started = time.monotonic()
    with Stopper(table) as stop, pytest.raises(StillRunningError, match="goes on in the database"):
        run(table.connect, release_of(SLOW), limits=RunLimits(deadline_s=1.5, poll_interval_s=0.2), report=stop)
    assert time.monotonic() - started < 6


def test_a_stopped_server_does_not_hold_a_run_past_ctrl_c(table: TestDatabase, release_of: ReleaseOf) -> None:
    started = time.monotonic()
    with Stopper(table) as stop, interrupted(after_s=1.5), pytest.raises(KeyboardInterrupt):
        run(table.connect, release_of(SLOW), limits=RunLimits(poll_interval_s=0.2), report=stop)
    assert time.monotonic() - started < 4


def test_a_server_that_falls_silent_ends_a_run_without_a_deadline(
    table: TestDatabase, release_of: ReleaseOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "SILENCE_S", 1)
    with (
        Stopper(table) as stop,
        pytest.raises(DatabaseUnavailableError, match="has not answered for 1 s and may be stopped"),
    ):
        run(table.connect, release_of(SLOW), limits=RunLimits(poll_interval_s=0.2), report=stop)


def test_a_blocker_that_may_not_be_seen_does_not_stop_a_run() -> None:
    class Cursor:
        description = ()

        def execute(self, sql: str, _parameters: object) -> None:
            self.sql = sql

        def fetchone(self) -> Any:
            self.description = [type("Column", (), {"name": name}) for name in row(None)]  # type: ignore[assignment]
            return tuple(row("waiting for writers before build").values())

        def fetchall(self) -> Any:
            return [(7, None, None, None, None)]

    progress = watch(Cursor(), 1)
    assert progress is not None
    assert progress.waits_for == "pid 7 (another user, unnamed, state unknown, since when is not to be seen)"


def test_a_file_in_a_transaction_that_does_not_end_in_time_is_undone_at_once(
    table: TestDatabase, release_of: ReleaseOf
) -> None:
    sql = "CREATE TABLE u (a int); DO $$ BEGIN PERFORM pg_sleep(30); END $$"
    started = time.monotonic()
    with pytest.raises(StillRunningError, match="was undone; give the function more time, or split the file"):
        run(table.connect, release_of({"001_a.sql": sql}), limits=SHORT)
    assert time.monotonic() - started < 10
    assert table.query("SELECT to_regclass('u')") == [(None,)]
    wait_until_unlocked(table)


def test_a_session_whose_client_is_gone_does_not_keep_the_lock(table: TestDatabase, release_of: ReleaseOf) -> None:
    writer = hold_back(table)
    with pytest.raises(StillRunningError):
        run(table.connect, release_of(INDEX), limits=SHORT)
    assert len(locks(table)) == 1
    writer.rollback()
    writer.close()
    wait_until_unlocked(table)


def row(phase: str | None, done: int = 0, total: int = 0, *, tuples: bool = False) -> dict[str, Any]:
    counted, other = ("tuples", "blocks") if tuples else ("blocks", "tuples")
    return {
        "seconds": 10.0,
        "phase": phase,
        f"{counted}_done": done,
        f"{counted}_total": total,
        f"{other}_done": 0,
        f"{other}_total": 0,
    }


def test_the_phases_of_a_build_add_up_to_a_hundred_per_cent() -> None:
    assert sum(PHASES.values()) == 100


@pytest.mark.parametrize(
    ("state", "percent", "remaining_s"),
    [
        (row("initializing"), 0, None),
        (row("building index: scanning table", 500, 1000), 15, 56.7),
        (row("building index: loading tuples in tree", 5, 10, tuples=True), 55, 8.2),
        (row("waiting for old snapshots"), 100, 0),
        (row("an unknown phase", 1, 2), None, None),
        (row(None), None, None),
    ],
)
def test_progress_tells_per_cent_and_time_to_go(
    state: dict[str, Any], percent: float | None, remaining_s: float | None
) -> None:
    progress = measure(state, "")
    assert progress.percent == percent
    assert progress.remaining_s == (None if remaining_s is None else pytest.approx(remaining_s, abs=0.1))


def test_progress_reads_as_a_sentence() -> None:
    progress = measure(row("building index: scanning table", 500, 1000), "pid 7 (app, scanner, active)")
    assert str(progress) == (
        "building index: scanning table, 15 %, 500 of 1,000 blocks, about 57 s to go, "
        "waits for pid 7 (app, scanner, active)"
    )


def test_a_session_whose_wire_is_gone_already_can_be_given_up(table: TestDatabase) -> None:
    session = Session(table.connect, limits=SHORT, report=lambda *_args, **_fields: None)
    with session:
        session._connection.close()
        hang_up(session._connection)


def test_a_statement_after_many_short_ones_is_watched_as_the_first_is(
    table: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(QUERIES, "prepare_session", QUERIES["prepare_session"].replace("'60s'", "'1s'"))
    with Session(table.connect, limits=RunLimits(poll_interval_s=0.1), report=lambda *_, **__: None) as session:
        ends_at = time.monotonic() + 1.5
        while time.monotonic() < ends_at:
            session.execute("SELECT pg_sleep(0.05)", what="a try", may_outlive=False)
        session.execute("SELECT pg_sleep(0.3)", what="a statement", may_outlive=False)
