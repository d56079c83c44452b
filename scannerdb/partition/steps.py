"""The steps before the swap, each from the phase before it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from handlers.migrator.session import Session
from scannerdb.partition import definition as definitions
from scannerdb.partition import mirror, preflight, shadow
from scannerdb.partition import state as states
from scannerdb.partition.definition import STRUCTURE
from scannerdb.partition.errors import LongTransactionError
from scannerdb.partition.locks import Locks, run_all, with_locks
from scannerdb.partition.names import ORIGINAL, QUERIES, SHADOW, TABLE, TO_PARTITIONS, identifier, partition_names
from scannerdb.partition.state import Phase, State
from scannerdb.partition.verify import verify

AGAIN = "undo the copy with --revert, and begin again"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to partition.

    Attributes:
        modulus: the number of partitions.
        confirm: called with a sentence before the first change; raises when the answer is no.
        free_gib: free storage; `None` when not known.
        until_copied: stop before the swap.

    """

    modulus: int = 16
    confirm: Callable[[str], None] = lambda _sentence: None
    free_gib: float | None = None
    until_copied: bool = False


def prepare(session: Session, options: Options) -> None:
    """Check, ask for confirmation, and make the empty table."""
    cursor = session.cursor
    preflight.check_table(cursor, options.modulus)
    needed, rows = preflight.needed_bytes(cursor)
    preflight.check_disk(needed, options.free_gib)
    # The confirmation may take longer than the minute after which the server ends an idle session.
    cursor.execute("SELECT set_config('idle_session_timeout', '15min', false)")
    options.confirm(
        f"About {rows:,} rows of {ORIGINAL} will be copied into {options.modulus} partitions. That takes about "
        f"{preflight.gibibytes(needed)} of disk until --finish; CloudWatch's FreeStorageSpace says what there is. "
        f"MERGE INTO {TABLE} is refused afterwards; INSERT ... ON CONFLICT is not."
    )
    cursor.execute("SELECT set_config('idle_session_timeout', '60s', false)")
    session.report("making the partitioned table")
    shadow.create(session, definitions.read(cursor, ORIGINAL), options.modulus)


def begin_mirroring(session: Session) -> None:
    """Create the triggers, so that each write goes to both tables."""
    cursor, definition = session.cursor, current(session.cursor).definition

    def work() -> None:
        run_all(cursor, [mirror.to_partitions(definition, complete=False), mirror.triggers(TO_PARTITIONS)])
        states.enter(cursor, Phase.COPYING)

    session.report("from now on writers write both tables")
    locks = Locks(gently=[ORIGINAL], tables=[(ORIGINAL, "SHARE ROW EXCLUSIVE")])
    with_locks(session, locks, work, what="triggers")


def complete(session: Session) -> None:
    """Add foreign keys and statistics to the copy, and compare every row."""
    cursor, state = session.cursor, current(session.cursor)
    check_unchanged(session)
    _wait_for_snapshots(session, state)
    cursor.execute(mirror.to_partitions(state.definition, complete=True))
    shadow.add_foreign_keys(session, state.definition, state.modulus)
    session.report(f"vacuum and statistics of {state.modulus} partitions")
    cursor.execute("SET vacuum_cost_delay = '2ms'")  # as autovacuum: writers need the disk too
    for name in partition_names(state.modulus):
        cursor.execute(sql.SQL("VACUUM (ANALYZE) {}").format(identifier(name)))
    cursor.execute(sql.SQL("ANALYZE {}").format(identifier(SHADOW)))
    with index_scans(cursor):
        verify(session, state.definition, SHADOW, way_out=AGAIN)


def _wait_for_snapshots(session: Session, state: State) -> None:
    """Wait until no snapshot is older than the copy: after the swap it would see only a part of the rows.

    Raises:
        LongTransactionError: one is still open after `lock_patience_s`.

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


def check_unchanged(session: Session) -> None:
    """Check that the original did not change since the copy was made, and that it may still be partitioned."""
    now, state = definitions.read(session.cursor, ORIGINAL), current(session.cursor)
    definitions.check_same(now, state.definition, STRUCTURE, way_out=AGAIN)
    preflight.check_obstacles(session.cursor)
    preflight.check_privileges(session.cursor)


@contextmanager
def index_scans(cursor: Any) -> Iterator[None]:
    """Force index scans of the primary key: without sorts, only that index returns rows in the order of a batch.

    Otherwise the planner may choose another index that begins with the job, and each batch would read the whole job.
    enable_sort = off inflates the cost of a sort that is left, which would trigger JIT; turn JIT off.
    """
    scans = ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort", "enable_mergejoin")
    switches = (*scans, "jit")
    cursor.execute("; ".join(f"SET {switch} = off" for switch in switches))
    yield
    cursor.execute("; ".join(f"RESET {switch}" for switch in switches))


def current(cursor: Any) -> State:
    """Return the state, which must exist."""
    state = states.read(cursor)
    assert state is not None
    return state
