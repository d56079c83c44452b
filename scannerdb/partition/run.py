"""The four actions: partition, revert, finish, status."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from handlers.migrator.connecting import connect_to_supported
from handlers.migrator.session import Connect, Report, RunLimits, Session
from scannerdb.partition import preflight, steps, swap
from scannerdb.partition import state as states
from scannerdb.partition.copy import Copier
from scannerdb.partition.errors import AlreadyPartitionedError, WrongPhaseError
from scannerdb.partition.locks import acquire
from scannerdb.partition.names import KEPT, ORIGINAL, QUERIES, TABLE
from scannerdb.partition.state import MEANING, Phase, State
from scannerdb.partition.steps import Options

PREPARE = """
SELECT set_config('search_path', 'pg_catalog', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('default_transaction_read_only', 'off', false)
"""

SWAPPED = f"{ORIGINAL} is partitioned; the original is kept as {KEPT}. Next: --finish, or --revert"


@contextmanager
def _session(connect: Connect, limits: RunLimits, report: Report) -> Iterator[Session]:
    with Session(connect, limits=limits, report=report) as session:
        session.cursor.execute(PREPARE)
        acquire(session, patience_s=limits.lock_patience_s)
        yield session


def partition(connect: Connect, options: Options, *, limits: RunLimits, report: Report) -> None:
    """Partition the table, or continue an earlier run.

    Args:
        connect: opens a direct connection (not through RDS Proxy) in autocommit mode, as the owner of the tables.
        options: how.
        limits: how long writers may queue behind a lock request, and how long to retry.
        report: called with each step.

    Raises:
        PartitionError: one of its kinds says why not; what was done stays, and the same command continues.

    """
    with _session(connect, limits, report) as session:
        cursor = session.cursor
        state = states.read(cursor)
        if state is not None and state.phase is Phase.DISCARDING:
            swap.validate(session, state)
            swap.drop_partitions(session, state)
            state = None
        preflight.check_modulus(options.modulus, state.modulus if state else None)
        if state is not None and state.phase is Phase.SWAPPED:
            report(SWAPPED)
            return
        if state is not None and state.phase is Phase.FINISHING:
            meaning, option = MEANING[state.phase]
            raise AlreadyPartitionedError(f"{ORIGINAL} is {meaning}; next: {option}")
        preflight.check_migrations(cursor)
        preflight.check_transactions(cursor)
        if state is None:
            steps.prepare(session, options)
        if steps.current(cursor).phase is Phase.SHADOW:
            steps.begin_mirroring(session)
        if steps.current(cursor).phase is Phase.COPYING:
            steps.check_unchanged(session)
            with steps.index_scans(cursor):
                Copier(session, steps.current(cursor).definition).run(steps.current(cursor))
        steps.complete(session)
        if not options.until_copied:
            swap.swap(session, steps.current(cursor))
            report(SWAPPED)


def revert(connect: Connect, *, limits: RunLimits, report: Report) -> None:
    """Undo a partitioning in any phase before `finish`; no row that was written since is lost.

    Raises:
        WrongPhaseError: there is nothing to revert, or the original is about to be dropped.
        ChangedTableError: the partitioned table was changed since the swap.
        CopyDiffersError: the original misses a write since the swap, which would be lost.

    """
    with _session(connect, limits, report) as session:
        state = _state_or_end(session, ends_as="r", verb="revert")
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


def finish(connect: Connect, *, limits: RunLimits, report: Report) -> None:
    """Drop the original table; this cannot be undone.

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


def status(connect: Connect) -> dict[str, Any]:
    """Return `phase`, `meaning`, `modulus`, `copied_rows` and the `next_command`; change nothing."""
    connection = connect_to_supported(connect)
    try:
        cursor: Any = connection.cursor()
        cursor.execute(PREPARE)
        state = states.read(cursor)
        cursor.execute(QUERIES["relation_kind"], {"table": ORIGINAL})
        row = cursor.fetchone()
    finally:
        connection.close()
    command = f"scannerdb partition {TABLE}"
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


def _state_or_end(session: Session, *, ends_as: str, verb: str) -> State | None:
    """Return the state; `None` when all is done, as when the server committed after the client was killed.

    Raises:
        WrongPhaseError: no partitioning is under way, and the table is not of the kind that the action ends with.

    """
    state = states.read(session.cursor)
    if state is None:
        session.cursor.execute(QUERIES["relation_kind"], {"table": ORIGINAL})
        if session.cursor.fetchone() != (ends_as,):
            raise WrongPhaseError(f"nothing is under way on {ORIGINAL}: there is nothing to {verb}")
    return state
