"""Checks of the disk: dead rows, the age of transaction ids, free space and replication slots."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg2

from handlers.contract.databases import RdsKind
from handlers.diagnosis.model import Context, Finding, critical, ok, warning
from handlers.diagnosis.plans import TABLES
from handlers.diagnosis.text import duration, plural, size
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("storage.sql"))
# Autovacuum starts at a fifth of the live rows. At twice that it does not keep up.
DEAD_SHARE = 0.4
# Fewer dead rows do no harm. Autovacuum of the deltas starts at a tenth of this (003).
DEAD_ROWS = 100_000
# A delta takes about 96 bytes.
DELTA_BYTES = 96
BLOATED_BYTES = 64 * 1024**2
BLOATED_TIMES = 100
# PostgreSQL refuses writes near this age: https://www.postgresql.org/docs/17/routine-vacuuming.html
LAST_TRANSACTION_ID = 2_000_000_000
FULL_PERCENT = 95
SLOT_PERCENT = 10
_RETIRE = "At its limit the volume grows no more and writes fail: let old jobs leave (docs/operations/retirement.md)."


def vacuum(context: Context) -> Iterable[Finding]:
    """Compare dead rows with live ones, and the delta table's size with its rows."""
    rows = context.fetch(QUERIES["vacuum"], {"tables": TABLES})
    found = False
    for row in rows:
        name, last = row["name"], _vacuumed(row)
        if row["dead"] >= max(DEAD_ROWS, DEAD_SHARE * row["live"]):
            found = True
            yield warning(
                f"{name}: {row['dead']:,} dead rows, {row['live']:,} live rows, {last}",
                sql=f"VACUUM (ANALYZE) {row['qualified_name']}",
            )
        elif name == "job_progress_deltas" and row["bytes"] >= max(
            BLOATED_BYTES, BLOATED_TIMES * DELTA_BYTES * row["live"]
        ):
            found = True
            yield warning(
                f"{name}: {size(row['bytes'])} for {plural(row['live'], 'row')}, {last}",
                sql=f"VACUUM (ANALYZE) {row['qualified_name']}",
            )
    if not found:
        most = f"; most in {rows[0]['name']}, {_vacuumed(rows[0])}" if rows and rows[0]["dead"] else ""
        yield ok(f"{plural(sum(row['dead'] for row in rows), 'dead row')} in our tables{most}")


def _vacuumed(row: dict[str, Any]) -> str:
    last_s = row["vacuumed_seconds"]
    return "never vacuumed" if last_s is None else f"vacuumed {duration(last_s)} ago"


def transaction_ids(context: Context) -> Iterable[Finding]:
    """Compare the age of the oldest transaction id with the threshold."""
    (row,) = context.fetch(QUERIES["transaction_ids"], {})
    value = f"{row['age']:,} of {LAST_TRANSACTION_ID:,} used (database {row['datname']})"
    if row["age"] < context.thresholds.transaction_ids:
        yield ok(value)
        return
    half_way = (context.thresholds.transaction_ids + LAST_TRANSACTION_ID) / 2
    found = critical if row["age"] >= half_way else warning
    yield found(
        f"{value}; the oldest table here is {row['table_name']} with {row['table_age']:,}",
        sql=f"VACUUM (FREEZE) {row['table_name']}",
    )


def storage(context: Context) -> Iterable[Finding]:
    """Compare what is used, and what a day adds, with the size that the disk, or a cluster's volume, may grow to."""
    is_cluster = context.commands.database.kind is RdsKind.CLUSTER
    (used,) = context.fetch(QUERIES["volume" if is_cluster else "storage"], {})
    used_bytes, most_bytes = used["database_bytes"] + used["wal_bytes"], context.thresholds.storage_gib * 1024**3
    percent = 100 * used_bytes / most_bytes
    day_bytes = _growth(context)
    hours = (most_bytes - used_bytes) / (day_bytes / 24) if day_bytes else float("inf")
    top = ", ".join(f"{row['name']} {size(row['bytes'])}" for row in context.fetch(QUERIES["top_relations"], {}))
    growth = "growth unknown" if day_bytes is None else f"grows by about {size(day_bytes)} a day"
    wal = "" if is_cluster else f", WAL {size(used['wal_bytes'])}"
    value = f"{size(used_bytes)} of {size(most_bytes)} ({percent:.0f} %){wal}; {growth}; largest: {top}"
    slots = list(_idle_slots(context) if is_cluster else _slots(context, most_bytes))
    yield from slots
    next_, why = ("", _RETIRE) if is_cluster else _larger(context)
    if percent >= FULL_PERCENT:
        yield critical(value, next=next_, why=why)
    elif hours < context.thresholds.storage_hours:
        yield warning(f"{value}; full in {hours:.0f} h", next=next_, why=why)
    elif not slots:
        yield ok(value)


def _larger(context: Context) -> tuple[str, str]:
    """Return the command that lets the disk grow further, and what goes with it."""
    setting = f"database.max_allocated_storage_gib in environments/{context.commands.environment}.toml"
    if not context.commands.is_deployed:
        return "", "Give the server a larger disk; a full disk stops the database."
    if context.expected is None:
        grow = context.commands.grow_disk(context.thresholds.storage_gib)
        return grow, f"Raise {setting}, or the next deploy takes it back; a full disk stops the database."
    twice = round(2 * context.thresholds.storage_gib)
    command = (
        f"aws rds modify-db-instance --db-instance-identifier {context.expected.identifier} "
        f"--max-allocated-storage {twice} --apply-immediately"
    )
    return command, f"A full disk stops the database. Then set {setting} to {twice}."


def _growth(context: Context) -> float | None:
    """Return the bytes that the jobs of the last day have added; `None` where progress cannot tell."""
    try:
        (row,) = context.fetch(QUERIES["growth"], {})
    except psycopg2.ProgrammingError:
        return None
    except psycopg2.errors.ObjectNotInPrerequisiteState:  # the view was never filled
        return None
    return float(row["objects"] * row["bytes_per_object"])


def _slots(context: Context, most_bytes: float) -> Iterator[Finding]:
    for row in context.fetch(QUERIES["slots"], {}):
        if row["bytes"] >= SLOT_PERCENT / 100 * most_bytes and not row["active"]:
            yield warning(
                f"the replication slot {row['slot_name']}, which has no reader, keeps {size(row['bytes'])} of WAL",
                sql=f"SELECT pg_drop_replication_slot('{row['slot_name']}')",
                why="The WAL that it keeps grows until the disk is full.",
            )


def _idle_slots(context: Context) -> Iterator[Finding]:
    for row in context.fetch(QUERIES["idle_slots"], {}):
        yield warning(
            f"the replication slot {row['slot_name']} has no reader",
            sql=f"SELECT pg_drop_replication_slot('{row['slot_name']}')",
            why="The WAL that it keeps takes space in the volume, and old rows that it holds cannot be vacuumed.",
        )
