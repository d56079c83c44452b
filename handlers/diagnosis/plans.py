"""Checks of indexes, of the plans of a status read, and of slow statements."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlers.contract.alarms.answers import SLOW_STATEMENTS_LOOK
from handlers.diagnosis.model import Context, Finding, critical, ok, unknown, warning
from handlers.diagnosis.text import duration, plural, size, statement
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("plans.sql"))
TABLES = [
    *("jobs", "job_objects", "findings", "job_progress", "job_progress_counts", "job_progress_deltas"),
    "job_progress_bounds",
    "materialized_view_refresh_log",
]
# Below this number of rows a sequential scan may be the best plan.
SMALLEST_JUDGED_ROWS = 10_000
# Long enough for a job that runs once a week.
UNUSED_AFTER_S = 7 * 24 * 3600
# The names of what an interrupted REINDEX CONCURRENTLY leaves: the new index, or the old one.
_LEFT_BEHIND = re.compile(r"_cc(new|old)\d*$")
_ON_PARTITIONS = (
    "as docs/operations/partitions.md says: "
    "ON ONLY the table, CONCURRENTLY on each partition, then ATTACH PARTITION for each"
)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """An index that the migrations build."""

    table: str
    definition: str
    unique: bool = False
    # Whether a refresh fails without it.
    is_vital: bool = False


EXPECTED = {
    "idx_job_objects_job_status": Expected(table="job_objects", definition="(job_id, status)"),
    "idx_job_objects_job_updated": Expected(table="job_objects", definition="(job_id, updated_at DESC)"),
    "idx_job_objects_bucket_key_composite": Expected(table="job_objects", definition="(bucket, key, job_id)"),
    "idx_findings_job_detector": Expected(table="findings", definition="(job_id, detector)"),
    "idx_job_progress_job_id": Expected(table="job_progress", definition="(job_id)", unique=True, is_vital=True),
    "idx_job_progress_active": Expected(
        table="job_progress", definition="(created_at DESC) WHERE progress_percent < 100"
    ),
    "idx_job_progress_deltas_job_id": Expected(table="job_progress_deltas", definition="(job_id, written_by)"),
    "idx_job_progress_deltas_written_by": Expected(table="job_progress_deltas", definition="(written_by)"),
    "idx_job_progress_bounds_job_id": Expected(table="job_progress_bounds", definition="(job_id, folded_to)"),
}


def indexes(context: Context) -> Iterable[Finding]:
    """Find the indexes that are invalid, missing or unused."""
    rows = {row["name"]: row for row in context.fetch(QUERIES["indexes"], {"tables": TABLES})}
    tables = {row["name"]: row for row in context.fetch(QUERIES["tables"], {"tables": TABLES})}
    problems = [*_invalid(rows.values()), *_missing(context, set(rows), tables), *_unused(rows)]
    yield from problems
    if not problems:
        building = [name for name, row in rows.items() if row["builder"] and not row["is_valid"]]
        yield ok(
            f"{len(rows)} valid, among them all {len(EXPECTED)} of the migrations"
            if not building
            else f"being built now: {', '.join(building)}"
        )


def _invalid(rows: Iterable[dict[str, Any]]) -> Iterator[Finding]:
    for row in rows:
        if row["is_valid"] or row["builder"]:
            continue
        if row["is_partitioned"]:
            yield warning(
                f"{row['name']} on {row['table_name']} is INVALID: not every partition's index is attached to it",
                why=f"Build what is missing {_ON_PARTITIONS}.",
            )
            continue
        is_rest = _LEFT_BEHIND.search(row["name"])
        command = "DROP INDEX CONCURRENTLY" if is_rest else "REINDEX INDEX CONCURRENTLY"
        yield warning(
            f"{row['name']} on {row['table_name']} is INVALID: its build was interrupted",
            sql=f"{command} {row['qualified_name']}",
            why="No read uses an invalid index, and every write maintains it.",
        )


def _missing(context: Context, names: set[str], tables: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    if "job_progress" not in tables:
        yield warning("those of migration 002 are missing, because it is not applied", next=context.commands.migrate())
        return
    for name, expected in EXPECTED.items():
        if name in names or expected.table not in tables:
            continue
        found = critical if expected.is_vital else warning
        if tables[expected.table]["is_partitioned"]:
            yield found(
                f"{name} on {expected.table} is missing",
                why=f"PostgreSQL builds no index of a partitioned table CONCURRENTLY: build it {_ON_PARTITIONS}.",
            )
            continue
        yield found(
            f"{name} on {expected.table} is missing",
            sql=_creation(name),
            why="Without it every refresh fails." if expected.is_vital else "Reads that need it scan the whole table.",
        )


def _unused(rows: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    for name in EXPECTED:
        row = rows.get(name)
        if row and row["is_valid"] and not row["scans"] and row["counted_seconds"] >= UNUSED_AFTER_S:
            yield warning(
                f"{name} ({size(row['bytes'])}) was not used in {duration(row['counted_seconds'])}",
                why="Every write maintains it. If no query needs it, drop it in a new migration.",
            )


def _creation(name: str) -> str:
    expected = EXPECTED[name]
    unique = "UNIQUE " if expected.unique else ""
    return f"CREATE {unique}INDEX CONCURRENTLY IF NOT EXISTS {name} ON public.{expected.table} {expected.definition}"


def status_plan(context: Context) -> Iterable[Finding]:
    """Plan the two reads behind a status with the settings of progress_reader, and find scans of a whole table."""
    tables = {row["name"]: row for row in context.fetch(QUERIES["tables"], {"tables": TABLES})}
    largest = context.fetch(QUERIES["largest_job"], {})
    judged = [
        (table, index)
        for table, index in (
            ("job_progress", "idx_job_progress_job_id"),
            ("job_objects", "idx_job_objects_job_status"),
        )
        if table in tables and tables[table]["rows"] >= SMALLEST_JUDGED_ROWS
    ]
    if not judged or not largest:
        yield ok(f"not judged: no table had {SMALLEST_JUDGED_ROWS:,} rows at its last ANALYZE")
        return
    scans = []
    for table, index in judged:
        nodes = set(_nodes(_plan(context, f"explain_{table}", largest[0])))
        scanned = [relation for relation in tables[table]["relations"] if ("Seq Scan", relation) in nodes]
        if scanned:
            yield warning(
                f"Seq Scan on {', '.join(scanned)} ({tables[table]['rows']:,} rows)",
                sql="" if tables[table]["is_partitioned"] else _creation(index),
            )
        else:
            scans.append(", ".join(f"{kind} on {name}" for kind, name in sorted(nodes)))
    if len(scans) == len(judged):
        yield ok("; ".join(scans))


def _plan(context: Context, query: str, parameters: dict[str, Any]) -> dict[str, Any]:
    plan = context.fetch(f"{QUERIES['as_reader']}; {QUERIES[query]}", parameters)[0]["QUERY PLAN"]
    return dict((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def _nodes(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the kind and the relation of each node that reads one."""
    if "Relation Name" in plan:
        yield plan["Node Type"], plan["Relation Name"]
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def slow_statements(context: Context) -> Iterable[Finding]:
    """Name the statements that are slow on average, those with the most total time first."""
    if not context.fetch(QUERIES["statements_extension"], {}):
        yield unknown(
            "the extension pg_stat_statements is missing",
            sql="CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
        )
        return
    limit_ms = context.thresholds.slow_statement_ms
    rows = _statements(context, limit_ms)
    for row in rows:
        yield warning(
            f"{_cost(row)} (queryid {row['queryid']})",
            next=context.commands.look(SLOW_STATEMENTS_LOOK),
        )
    if not rows:
        costliest = _statements(context, 0)
        most = f". Most time in total: {_cost(costliest[0])}" if costliest else ""
        yield ok(f"no statement averages {limit_ms:,.0f} ms{most}")


def _statements(context: Context, slow_ms: float) -> list[dict[str, Any]]:
    return context.fetch(f"{QUERIES['statements_path']}; {QUERIES['statements']}", {"slow_ms": slow_ms})


def _cost(row: dict[str, Any]) -> str:
    return (
        f"{row['mean_ms']:,.0f} ms on average, {plural(row['calls'], 'call')}, {duration(row['total_ms'] / 1000)} and "
        f"{size(row['read_bytes'])} read in all: {statement(row['query'])}"
    )
