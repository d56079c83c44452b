"""The progress of a session's statement: phase, per cent, blocks and an estimate, from PostgreSQL's own views."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from handlers.migrator.ledger import QUERIES

# The phases of CREATE INDEX CONCURRENTLY in their order and the share of the whole that each took here (10M rows, two
# columns, PostgreSQL 17). A phase that waits for other transactions has no share: how long they last is unknown.
# https://www.postgresql.org/docs/17/progress-reporting.html#CREATE-INDEX-PHASES
PHASES = {
    "initializing": 0,
    "waiting for writers before build": 0,
    "building index: scanning table": 30,
    "building index: sorting live tuples": 15,
    "building index: loading tuples in tree": 20,
    "waiting for writers before validation": 0,
    "index validation: scanning index": 10,
    "index validation: sorting tuples": 5,
    "index validation: scanning table": 20,
    "waiting for old snapshots": 0,
    "waiting for readers before marking dead": 0,
    "waiting for readers before dropping": 0,
}


@dataclass(frozen=True, kw_only=True)
class StatementProgress:
    """The progress of one statement.

    Attributes:
        phase: as PostgreSQL names it, or `running` where it has no phases.
        percent: of the whole statement, 0 to 100; `None` where it is unknown.
        blocks_done: table or index blocks of 8 KiB that this phase has read.
        blocks_total: those that it has to read.
        elapsed_s: seconds since the statement began.
        remaining_s: seconds to go at the present rate; `None` where it is unknown.
        waits_for: a description of the transactions that it waits for; empty when it runs.

    """

    phase: str
    percent: float | None
    blocks_done: int
    blocks_total: int
    elapsed_s: float
    remaining_s: float | None
    waits_for: str

    def fields(self) -> dict[str, Any]:
        """Return the fields of a log line."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [self.phase]
        if self.percent is not None:
            parts.append(f"{self.percent:.0f} %")
        if self.blocks_total:
            parts.append(f"{self.blocks_done:,} of {self.blocks_total:,} blocks")
        if self.remaining_s is not None:
            parts.append(f"about {self.remaining_s:.0f} s to go")
        if self.waits_for:
            parts.append(f"waits for {self.waits_for}")
        return ", ".join(parts)


def watch(cursor: Any, pid: int) -> StatementProgress | None:
    """Return the progress of the statement that the session `pid` runs; `None` when it runs none.

    Args:
        cursor: of another session.
        pid: the session's server process.

    """
    cursor.execute(QUERIES["activity"], {"pid": pid})
    row = cursor.fetchone()
    if row is None:
        return None
    names = [column.name for column in cursor.description]
    cursor.execute(QUERIES["blockers"], {"pid": pid})
    # Without pg_monitor, another user's session shows little more than its pid.
    blockers = [
        ", ".join(
            [
                f"pid {blocker} ({user or 'another user'}",
                application or "unnamed",
                state or "state unknown",
                f"since {since:%H:%M:%S} UTC)" if since else "since when is not to be seen)",
            ]
        )
        for blocker, user, application, state, since in cursor.fetchall()
    ]
    return measure(dict(zip(names, row, strict=True)), "; ".join(blockers))


def measure(row: Mapping[str, Any], waits_for: str) -> StatementProgress:
    """Turn a row of the query `activity` into a `StatementProgress`."""
    percent = _percent(row) if row["phase"] else None
    elapsed_s = row["seconds"]
    known = percent is not None and percent >= 1
    return StatementProgress(
        phase=row["phase"] or "running",
        percent=percent,
        blocks_done=row["blocks_done"] or 0,
        blocks_total=row["blocks_total"] or 0,
        elapsed_s=elapsed_s,
        remaining_s=elapsed_s * (100 - percent) / percent if known and percent is not None else None,
        waits_for=waits_for,
    )


def _percent(row: Mapping[str, Any]) -> float | None:
    phases = list(PHASES)
    if row["phase"] not in phases:
        return None  # an access method without these phases
    before = sum(PHASES[name] for name in phases[: phases.index(row["phase"])])
    done, total = row["blocks_done"] or 0, row["blocks_total"] or 0
    if not total:
        done, total = row["tuples_done"] or 0, row["tuples_total"] or 0
    return before + PHASES[row["phase"]] * (min(done / total, 1) if total else 0)
