"""The four commands: partition, take back, finish, and say how far it is."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from handlers.migrator.session import Connect, Limits, Report, Session
from ops.partition import definition as definitions
from ops.partition import mirror, preflight, shadow, swap
from ops.partition import state as states
from ops.partition.copy import Copier
from ops.partition.definition import STRUCTURE
from ops.partition.errors import AlreadyPartitionedError, LongTransactionError, WrongPhaseError
from ops.partition.locks import Locks, acquire, run_all, with_locks
from ops.partition.names import KEPT, ORIGINAL, QUERIES, SHADOW, TABLE, TO_PARTITIONS, identifier, partition_names
from ops.partition.state import MEANING, Phase, State
from ops.partition.verify import verify

PREPARE = """
SELECT set_config('search_path', 'pg_catalog', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('default_transaction_read_only', 'off', false)
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to partition.

    Attributes:
        modulus: how many partitions.
        confirm: asked with a sentence before anything is made; raises when the answer is no.
        free_gib: what is free on the disk, where that is known.
        longest_transaction_s: a transaction that is open for longer is a reason not to begin.
        until_copied: stop before the swap.

    """

    modulus: int = 16
    confirm: Callable[[str], None] = lambda _sentence: None
    free_gib: float | None = None
    longest_transaction_s: float = preflight.LONG_TRANSACTION_S
    until_copied: bool = False


@contextmanager
def _session(connect: Connect, limits: Limits, report: Report) -> Iterator[Session]:
    with Session(connect, limits=limits, report=report) as session:
        session.cursor.execute(PREPARE)
        acquire(session, patience_s=limits.lock_patience_s)
        yield session


def partition(connect: Connect, options: Options, *, limits: Limits, report: Report) -> None:
    """Partition the table, from wherever an earlier run has come to.

    Args:
        connect: opens a direct connection (not through RDS Proxy) in autocommit mode, as the owner of the tables.
        options: how.
        limits: how long a writer may wait for a lock of ours, and how long to go on trying to get one.
        report: is told each step.

    Raises:
        PartitionError: one of its kinds says why not; what was done stands, and the same command goes on.

    """
    with _session(connect, limits, report) as session:
        cursor = session.cursor
        state = states.read(cursor)
        if state is not None and state.phase is Phase.DISCARDING:
            swap.validate(session, state)
            swap.drop_partitions(session, state)
            state = None
        if state is not None and state.phase in {Phase.SWAPPED, Phase.FINISHING}:
            meaning, option = MEANING[state.phase]
            raise AlreadyPartitionedError(f"{ORIGINAL} is {meaning}; next: {option}")
        preflight.check_modulus(options.modulus, state.modulus if state else None)
        preflight.check_migrations(cursor)
        preflight.check_transactions(cursor, longest_s=options.longest_transaction_s)
        if state is None:
            _prepare(session, options)
        if _state(cursor).phase is Phase.SHADOW:
            _begin_mirroring(session)
        if _state(cursor).phase is Phase.COPYING:
            _check_unchanged(session)
            with _index_scans(cursor):
                Copier(session, _state(cursor).definition).run(_state(cursor))
        _complete(session)
        if not options.until_copied:
            swap.swap(session, _state(cursor))
            report(f"{ORIGINAL} is partitioned; the original is kept as {KEPT}. Next: --finish, or --revert")


def revert(connect: Connect, *, limits: Limits, report: Report) -> None:
    """Undo whatever was done; nothing that was written since is lost.

    Raises:
        WrongPhaseError: there is nothing to take back, or the original is about to be dropped.
        ChangedTableError: the partitioned table was changed since the swap.

    """
    with _session(connect, limits, report) as session:
        state = _state_or_end(session, ends_as="r", verb="take back")
        if state is None:
            report(f"{ORIGINAL} is as it was")
            return
        if state.phase is Phase.FINISHING:
            raise WrongPhaseError(f"--finish has begun and {KEPT} misses what was written since; run --finish again")
        if state.phase is Phase.SWAPPED:
            swap.swap_back(session, state)
        elif state.phase is not Phase.DISCARDING:
            swap.stop_mirroring(session, Phase.DISCARDING)
        swap.validate(session, state)
        swap.drop_partitions(session, state)
        report(f"{ORIGINAL} is as it was")


def finish(connect: Connect, *, limits: Limits, report: Report) -> None:
    """Drop the original table; from then on there is no way back.

    Raises:
        WrongPhaseError: the tables are not swapped.

    """
    with _session(connect, limits, report) as session:
        state = _state_or_end(session, ends_as="p", verb="finish")
        if state is None:
            report(f"{KEPT} is dropped; {ORIGINAL} is partitioned for good")
            return
        if state.phase not in {Phase.SWAPPED, Phase.FINISHING}:
            raise WrongPhaseError(f"{MEANING[state.phase][0]}: there is nothing to finish before the swap")
        if state.phase is Phase.SWAPPED:
            swap.stop_mirroring(session, Phase.FINISHING)
        swap.drop(session, KEPT)
        report(f"{KEPT} is dropped; {ORIGINAL} is partitioned for good")


def status(connect: Connect, table_option: str) -> dict[str, Any]:
    """Return `phase`, `meaning`, `modulus`, `copied_rows` and the `next_command`; touches nothing."""
    connection = connect()
    try:
        cursor: Any = connection.cursor()
        cursor.execute(PREPARE)
        state = states.read(cursor)
        cursor.execute(QUERIES["relation_kind"], {"table": ORIGINAL})
        row = cursor.fetchone()
    finally:
        connection.close()
    command = f"scannerdb partition {table_option}"
    if state is None and row == ("p",):
        return {"phase": "partitioned", "meaning": "partitioned for good", "next_command": None}
    meaning, option = MEANING[state.phase if state else None]
    return {
        "phase": state.phase.value if state else "none",
        "meaning": meaning,
        "modulus": state.modulus if state else None,
        "copied_rows": state.copied_rows if state else None,
        "next_command": f"{command} {option or f'--modulus {state.modulus if state else 16}'}",
    }


def _prepare(session: Session, options: Options) -> None:
    cursor = session.cursor
    preflight.check_table(cursor, options.modulus)
    needed, rows = preflight.needed_bytes(cursor)
    preflight.check_disk(needed, options.free_gib)
    # A person may think it over; the server ends a session that idles for a minute.
    cursor.execute("SELECT set_config('idle_session_timeout', '15min', false)")
    options.confirm(
        f"About {rows:,} rows of {ORIGINAL} will be copied into {options.modulus} partitions. That takes about "
        f"{preflight.gibibytes(needed)} of disk until --finish; CloudWatch's FreeStorageSpace says what there is. "
        f"MERGE INTO {TABLE} is refused afterwards; INSERT ... ON CONFLICT is not."
    )
    cursor.execute("SELECT set_config('idle_session_timeout', '60s', false)")
    session.report("making the partitioned table")
    shadow.create(session, definitions.read(cursor, ORIGINAL), options.modulus)


def _begin_mirroring(session: Session) -> None:
    cursor, definition = session.cursor, _state(session.cursor).definition

    def work() -> None:
        run_all(cursor, [mirror.to_partitions(definition, complete=False), mirror.triggers(TO_PARTITIONS)])
        states.enter(cursor, Phase.COPYING)

    session.report("from now on writers write both tables")
    locks = Locks(gently=[ORIGINAL], tables=[(ORIGINAL, "SHARE ROW EXCLUSIVE")])
    with_locks(session, locks, work, what="triggers")


def _complete(session: Session) -> None:
    """Give the copy what it lacks, foreign keys and statistics, and compare every row."""
    cursor, state = session.cursor, _state(session.cursor)
    _check_unchanged(session)
    _wait_for_snapshots(session, state)
    cursor.execute(mirror.to_partitions(state.definition, complete=True))
    shadow.add_foreign_keys(session, state.definition, state.modulus)
    session.report(f"vacuum and statistics of {state.modulus} partitions")
    cursor.execute("SET vacuum_cost_delay = '2ms'")  # as autovacuum does it: writers need the disk too
    for name in partition_names(state.modulus):
        cursor.execute(sql.SQL("VACUUM (ANALYZE) {}").format(identifier(name)))
    cursor.execute(sql.SQL("ANALYZE {}").format(identifier(SHADOW)))
    with _index_scans(cursor):
        verify(session, state.definition)


def _wait_for_snapshots(session: Session, state: State) -> None:
    """Wait until every open snapshot sees the whole copy: after the swap it would see a part of the rows.

    Raises:
        LongTransactionError: one is still open when the patience is over.

    """
    patient_until = time.monotonic() + session.limits.lock_patience_s
    while True:
        session.cursor.execute(QUERIES["long_transactions"], {"seconds": None, "before": state.copied_at})
        sessions = [text for (text,) in session.cursor.fetchall()]
        if not sessions:
            return
        if time.monotonic() > patient_until:
            raise LongTransactionError(
                f"{', '.join(sessions)} began before the copy ended and would not see all of it; wait for it, or end "
                "it with pg_terminate_backend(pid), and run the same command again"
            )
        session.report(f"waiting for {', '.join(sessions)}")
        time.sleep(min(session.limits.poll_interval_s, 1))


def _check_unchanged(session: Session) -> None:
    now, state = definitions.read(session.cursor, ORIGINAL), _state(session.cursor)
    definitions.check_same(
        now, state.definition, STRUCTURE, way_out="take the copy back with --revert, and begin again"
    )
    preflight.check_obstacles(session.cursor)
    preflight.check_privileges(session.cursor)


@contextmanager
def _index_scans(cursor: Any) -> Iterator[None]:
    """Keep the planner to the primary key, in whose order rows are asked for: without a sort, only that index gives it.

    Any index that begins with the job looks as good to it, and then each batch would read the whole job.
    """
    switches = ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort", "enable_mergejoin")
    cursor.execute("; ".join(f"SET {switch} = off" for switch in switches))
    yield
    cursor.execute("; ".join(f"RESET {switch}" for switch in switches))


def _state(cursor: Any) -> State:
    state = states.read(cursor)
    assert state is not None
    return state


def _state_or_end(session: Session, *, ends_as: str, verb: str) -> State | None:
    """Return the state; `None` when all is done, as by the server after whoever asked for it was killed.

    Raises:
        WrongPhaseError: nothing is under way, and the table is not of the kind that it ends as.

    """
    state = states.read(session.cursor)
    if state is None:
        session.cursor.execute(QUERIES["relation_kind"], {"table": ORIGINAL})
        if session.cursor.fetchone() != (ends_as,):
            raise WrongPhaseError(f"nothing is under way on {ORIGINAL}: there is nothing to {verb}")
    return state
