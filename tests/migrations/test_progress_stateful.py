"""Progress is exact after every step of any interleaving of writers, refreshes, compactions, rebuilds and deaths.

Beside them a snapshot is held, and transactions are prepared for a commit in two phases.

`make test` tries 120 interleavings, always the same; `EXAMPLES=5000` as many others.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.progress import (
    DIFFERENCES,
    JOBS,
    KEYS,
    OTHER_STATUSES,
    REFRESHED_DIFFERENCES,
    STATUSES,
    TRUNCATIONS,
    USELESS_COUNTS,
    WRITES,
    allow_any_status,
    compact_often,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.database import TestDatabase

EXAMPLES = int(os.environ.get("EXAMPLES", "120"))
STEPS = 50
# What is rare leaves room for what is frequent.
WRITES_BEFORE_REBUILD = WRITES_BEFORE_KILL = 4
WRITES_BEFORE_TRUNCATE = 8
PREPARED = 3
SESSIONS = {
    "writer 1": "scanner_app",
    "writer 2": "scanner_app",
    "writer 3": "scanner_app",
    "owner": "scanner_admin",
    "refresher": "progress_refresher",
}
WRITERS = st.sampled_from(("writer 1", "writer 2", "writer 3", "owner"))
READ_COMMITTED = "READ COMMITTED"
ISOLATIONS = (READ_COMMITTED, READ_COMMITTED, "REPEATABLE READ", "SERIALIZABLE")
# Refusals that any client of PostgreSQL must expect: they end a statement, and the transaction that it belongs to.
# FeatureNotSupported: what cannot be exact in a snapshot that is older than the statement.
REFUSALS = (
    psycopg2.errors.LockNotAvailable,
    psycopg2.errors.SerializationFailure,
    psycopg2.errors.UniqueViolation,
    psycopg2.errors.ForeignKeyViolation,
    psycopg2.errors.FeatureNotSupported,
)

pytestmark = pytest.mark.slow
RESET = """
TRUNCATE jobs, job_objects, findings, job_progress_counts, job_progress_deltas, job_progress_recounts,
    job_progress_bounds;
INSERT INTO jobs (job_id, bucket) SELECT unnest(%(jobs)s::uuid[]), 'b';
INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at)
SELECT %(job)s, 'b', key, 'e', 'queued', '2026-11-23 10:00:05+00' FROM unnest(%(keys)s) AS key;
INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at)
SELECT %(other)s, 'b', key, 'e', 'failed', '2026-11-23 10:00:06+00' FROM unnest(%(other_keys)s) AS key;
INSERT INTO findings (job_id, bucket, key, etag, detector, byte_offset)
SELECT job_id, 'b', job_id::text, 'e', 'card', 1 FROM jobs;
SELECT refresh_job_progress();
"""


class Session:
    """One connection, in a transaction or not. No statement waits for a lock for long: the test has but one thread."""

    def __init__(self, database: TestDatabase, user: str) -> None:
        self._database, self._user = database, user
        self.connect(0)

    def connect(self, seed: int) -> None:
        self.connection = self._database.connect(self._user)
        self.cursor = self.connection.cursor()
        self.cursor.execute("SET lock_timeout = '10ms'")
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Leave no transaction open, and let chance begin anew, so that an example can be repeated."""
        self.cursor.execute("ROLLBACK; SELECT setseed(%s / 100.0)", (seed,))
        self.isolation, self.savepoints = READ_COMMITTED, 0

    @property
    def in_transaction(self) -> bool:
        return bool(self.connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE)

    def send(
        self, sql: str, values: Any = None, *, by: Callable[..., None] | None = None
    ) -> list[tuple[Any, ...]] | None:
        """Run one statement; return its rows, or `None` when it was refused and undone."""
        try:
            if by is None:
                self.cursor.execute(sql, values)
            else:
                by(self.cursor, sql, values)
            return self.cursor.fetchall() if self.cursor.description else []
        except REFUSALS as refusal:
            note(f"refused: {refusal}")
            if self.savepoints:
                self.cursor.execute("ROLLBACK TO step")
            else:
                self.end("ROLLBACK")
            return None

    def begin(self, isolation: str) -> None:
        """Begin a transaction, or a part of the one that is open."""
        if self.in_transaction:
            self.cursor.execute("SAVEPOINT step")
            self.savepoints += 1
        else:
            # A query makes the snapshot of the stricter levels, which is older than whatever follows.
            self.cursor.execute(f"BEGIN ISOLATION LEVEL {isolation}; SELECT")
            self.isolation = isolation

    def end(self, how: str) -> None:
        """COMMIT, ROLLBACK, or ROLLBACK TO the newest savepoint, where there is one."""
        if how == "ROLLBACK TO" and self.savepoints:
            self.cursor.execute("ROLLBACK TO step; RELEASE step")
            self.savepoints -= 1
        elif self.in_transaction:
            self.savepoints = 0
            self.send("ROLLBACK" if how == "ROLLBACK TO" else how)
            self.isolation = READ_COMMITTED

    def differences(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a comparison; none while somebody holds a table for TRUNCATE. Leaves no lock behind."""
        inside = self.in_transaction
        try:
            if inside:
                self.cursor.execute("SAVEPOINT looking")
            self.cursor.execute(sql)
            return self.cursor.fetchall()
        except psycopg2.errors.LockNotAvailable:
            return []
        finally:
            if inside:
                self.cursor.execute("ROLLBACK TO looking; RELEASE looking")


def writes(*kinds: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a rule that sends one of these kinds of statements."""
    return rule(
        writer=WRITERS,
        isolation=st.sampled_from((None, None, None, *ISOLATIONS)),
        kind=st.sampled_from(kinds),
        jobs=st.permutations(JOBS),
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True),
        status=st.sampled_from((*STATUSES, *STATUSES, *OTHER_STATUSES)),
        second=st.integers(0, 9),
    )


class Progress(RuleBasedStateMachine):
    """Few jobs and few keys, so that statements of different transactions meet."""

    sessions: ClassVar[dict[str, Session]]
    observer: ClassVar[Session]
    holder: ClassVar[Session]
    superuser: ClassVar[psycopg2.extensions.connection]

    def __init__(self) -> None:
        super().__init__()
        self.acted: Session | None = None
        self.writes = 0
        self.truncating = False
        self.prepared: list[str] = []
        for session in (*self.sessions.values(), self.holder):
            session.reset(0)
        with self.superuser.cursor() as cursor:
            cursor.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
            for (name,) in cursor.fetchall():
                cursor.execute("ROLLBACK PREPARED %s", (name,))
        rows = {
            "jobs": list(JOBS),
            "job": JOBS[0],
            "keys": list(KEYS[:4]),
            "other": JOBS[1],
            "other_keys": list(KEYS[2:]),
        }
        self.observer.cursor.execute(RESET, rows)

    @initialize(seed=st.integers(1, 100))
    def choose_which_statements_compact(self, seed: int) -> None:
        self.seed = seed
        for number, session in enumerate(self.sessions.values()):
            session.reset(max(1, seed - number))

    def write(  # noqa: PLR0917 - a rule passes them by name
        self,
        writer: str,
        isolation: str | None,
        kind: str,
        jobs: list[str],
        keys: list[str],
        status: str | None,
        second: int,
    ) -> None:
        """Send a statement, alone or as the first of a transaction, unless one is open."""
        self.acted = self.sessions[writer]
        if isolation is not None and not self.acted.in_transaction:
            self.acted.begin(isolation)
        at = f"2026-11-23 10:00:0{second}+00"
        values = {"job": jobs[0], "other": jobs[1], "key": keys[0], "keys": keys, "status": status, "at": at}
        self.acted.send(WRITES[kind], values, by=write)
        self.writes += 1

    begin_jobs = writes("create job", "create jobs with objects", "create jobs with objects")(write)
    insert = writes("insert", "insert into two jobs", "copy")(write)
    upsert = writes("insert or nothing", "insert or update", "merge")(write)
    update = writes("update", "update two jobs", "touch")(write)
    move = writes("move", "move one", "delete and insert")(write)
    delete = writes("delete", "delete", "delete job", "delete two jobs")(write)
    insert_findings = writes("insert findings", "copy findings", "insert or move findings")(write)
    change_findings = writes("move findings", "delete findings", "mask findings")(write)

    @precondition(lambda self: self.writes >= WRITES_BEFORE_TRUNCATE)
    @rule(
        sql=st.sampled_from(TRUNCATIONS),
        isolation=st.sampled_from((None, *ISOLATIONS)),
        how=st.sampled_from(("COMMIT", "ROLLBACK")),
    )
    def truncate(self, sql: str, isolation: str | None, how: str) -> None:
        """Alone or in a transaction; it needs a moment in which no other is open."""
        self.acted = self.sessions["owner"]
        for session in self.sessions.values():
            if session is not self.acted:
                session.end(how)
        # A snapshot that is older than a TRUNCATE sees an empty table.
        self.holder.end("COMMIT")
        if isolation is not None and not self.acted.in_transaction:
            self.acted.begin(isolation)
        self.acted.send(sql)
        self.truncating = self.acted.in_transaction
        self.writes = 0

    @rule(session=st.sampled_from(tuple(SESSIONS)), isolation=st.sampled_from(ISOLATIONS))
    def begin(self, session: str, isolation: str) -> None:
        self.acted = self.sessions[session]
        self.acted.begin(isolation)

    @rule(
        session=st.sampled_from(tuple(SESSIONS)),
        how=st.sampled_from(("COMMIT", "COMMIT", "COMMIT", "ROLLBACK", "ROLLBACK TO")),
    )
    def end(self, session: str, how: str) -> None:
        self.acted = self.sessions[session]
        self.acted.end(how)

    @precondition(lambda self: not self.awaits_rebuild())
    @rule(hold=st.sampled_from((True, True, True, False)))
    def hold_a_snapshot(self, hold: bool) -> None:
        """Begin, or keep, a transaction that reads the numbers of its time; or end it."""
        truncating = self.truncating and self.sessions["owner"].in_transaction
        if not hold:
            self.holder.end("COMMIT")
        elif not self.holder.in_transaction and not truncating:
            self.holder.begin("REPEATABLE READ")

    @rule(session=st.sampled_from(("writer 1", "writer 2", "writer 3")))
    def prepare(self, session: str) -> None:
        """End the first phase of a commit: the transaction stays open without its session."""
        writer = self.sessions[session]
        if writer.in_transaction and len(self.prepared) < PREPARED:
            self.acted = None
            name = f"{self.observer.connection.info.dbname} {len(self.prepared)} {session}"
            writer.savepoints = 0
            if name not in self.prepared and writer.send("PREPARE TRANSACTION %s", (name,)) is not None:
                self.prepared.append(name)
            writer.isolation = READ_COMMITTED

    @precondition(lambda self: self.prepared)
    @rule(how=st.sampled_from(("COMMIT", "COMMIT", "ROLLBACK")))
    def end_prepared(self, how: str) -> None:
        self.acted = None
        with self.superuser.cursor() as cursor:
            cursor.execute(f"{how} PREPARED %s", (self.prepared.pop(),))

    @rule(jobs=st.lists(st.sampled_from(JOBS), min_size=1, unique=True))
    def compact(self, jobs: list[str]) -> None:
        """What the triggers do by chance, within a transaction that may stay open."""
        self.acted = self.sessions["owner"]
        rows = self.acted.send("SELECT compact_job_progress_deltas(%s::uuid[])", (jobs,))
        assert rows is not None, "a compaction was refused"

    @rule(quietly=st.booleans())
    def refresh(self, quietly: bool) -> None:
        """Amid open transactions, or when all have committed."""
        for session in self.sessions.values() if quietly else ():
            session.end("COMMIT")
        self.acted = self.sessions["refresher"]
        quiet = not self.prepared and not any(session.in_transaction for session in self.sessions.values())
        # No writer makes a refresh wait or fail; a TRUNCATE does, and so may a snapshot older than other changes.
        truncating = self.truncating and self.sessions["owner"].in_transaction
        may_fail = truncating or self.acted.isolation != READ_COMMITTED
        waiting = self.observer.send("SELECT count(*) FROM job_progress_deltas")
        rows = self.acted.send("SELECT refreshed, folded_rows FROM refresh_job_progress()")
        if rows is None:
            assert may_fail, "a refresh was refused"
            return
        ((refreshed, folded_rows),) = rows
        assert refreshed or not quiet
        if refreshed and self.acted.isolation == READ_COMMITTED:
            looking = self.acted if self.acted.in_transaction else self.observer
            assert looking.differences(REFRESHED_DIFFERENCES) == []
        if quiet:
            assert waiting == [(folded_rows,)]
            assert self.observer.send("SELECT 1 FROM job_progress_deltas") == []
            assert self.observer.send(USELESS_COUNTS) == []

    @precondition(lambda self: self.writes >= WRITES_BEFORE_REBUILD)
    @rule(session=st.sampled_from(("owner", "refresher")))
    def rebuild(self, session: str) -> None:
        self.acted = self.sessions[session]
        inexact = self.awaits_rebuild()
        rows = self.acted.send("SELECT rebuild_job_progress()")
        assert inexact or rows in ([(0,)], None), "a rebuild mended what was exact"

    def awaits_rebuild(self) -> bool:
        """After a TRUNCATE above READ COMMITTED, which may not see the newest commits, the next refresh rebuilds."""
        return self.observer.send("SELECT FROM job_progress_recounts LIMIT 1") != []

    @precondition(lambda self: self.writes >= WRITES_BEFORE_KILL)
    @rule(session=st.sampled_from(("refresher", "refresher", "owner", "writer 1")))
    def kill(self, session: str) -> None:
        """The death of whoever has a transaction open: a refresher before it commits, above all."""
        self.acted = None
        victim = self.sessions[session]
        if victim.in_transaction:
            with self.superuser.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 10000)", (victim.connection.info.backend_pid,))
                assert cursor.fetchone() == (True,)
            victim.connection.close()
            victim.connect(self.seed)

    @invariant()
    def progress_is_exact_for_everybody(self) -> None:
        """For those outside, and for the transaction that acted: its own changes are counted before they are committed.

        Not for an older snapshot: PostgreSQL shows a table that was truncated since as empty there.
        """
        if self.awaits_rebuild():
            return
        assert self.observer.differences(DIFFERENCES) == []
        if self.holder.in_transaction:
            assert self.holder.differences(DIFFERENCES) == []
        if self.acted is not None and self.acted.in_transaction and self.acted.isolation == READ_COMMITTED:
            assert self.acted.differences(DIFFERENCES) == []


@pytest.fixture
def machine(database: TestDatabase) -> Iterator[type[Progress]]:
    """The machine, on a database in which everybody may look and compaction is frequent."""
    compact_often(database, 0.3)
    allow_any_status(database)
    database.query("GRANT SELECT ON job_progress, job_progress_live, job_progress_direct TO public")
    database.query("GRANT EXECUTE ON FUNCTION verify_job_progress() TO public")
    Progress.sessions = {name: Session(database, user) for name, user in SESSIONS.items()}
    Progress.observer, Progress.holder = Session(database, "scanner_admin"), Session(database, "scanner_admin")
    Progress.superuser = database.connect("postgres")
    yield Progress
    for session in (*Progress.sessions.values(), Progress.observer, Progress.holder):
        session.connection.close()
    Progress.superuser.close()


def test_progress_is_exact_at_every_step_of_interleaved_transactions(machine: type[Progress]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize="EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck),
        ),
    )
