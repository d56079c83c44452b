"""Times the longest wait of a writer during all migrations: the runner against `psql -f` without CONCURRENTLY.

`make bench-migrations ROWS=5000000` writes `lab/bench/results/migrations.md` and `.json`.
"""

import argparse
import contextlib
import json
import sys
import time
from typing import Any
from uuid import uuid4

import psycopg2
from rich.console import Console
from rich.table import Table

from handlers.migrator.runner import run
from handlers.migrator.session import RunLimits
from lab.bench import RESULTS
from lab.bench.own_server import run_on_own_server
from lab.embedded_postgres import EmbeddedPostgres
from lab.load import WriteLoad
from scannerdb.options import current_release
from stacks import ROOT

BUILD = ROOT / "build" / "bench-migrations"
WRITERS = 4
GOAL_S = 1.0


class Bench:
    """One server with a database of `rows` objects for each of the two ways."""

    def __init__(self, server: EmbeddedPostgres, rows: int, console: Console) -> None:
        self.server, self.rows, self.console = server, rows, console
        self.release = current_release()

    def connect(self, name: str, user: str = "scanner_admin") -> "psycopg2.extensions.connection":
        """Open a connection in autocommit mode."""
        connection = psycopg2.connect(self.server.dsn(database=name, user=user))
        connection.autocommit = True
        return connection

    def prepare(self, name: str) -> str:
        """Create a database with migration 001 and one job of `rows` objects; return the job's id."""
        with self.server.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} OWNER scanner_admin")
        job_id = str(uuid4())
        with contextlib.closing(self.connect(name)) as connection, connection.cursor() as cursor:
            for statement in (*self.release.roles.statements, *self.release.migrations[0].statements):
                cursor.execute(statement.sql)
            cursor.execute("INSERT INTO jobs (job_id, bucket) VALUES (%s, 'b')", (job_id,))
            cursor.execute(
                "INSERT INTO job_objects (job_id, bucket, key, etag, status) "
                "SELECT %s, 'b', n::text, 'e', 'queued' FROM generate_series(1, %s) AS n",
                (job_id, self.rows),
            )
            cursor.execute("VACUUM ANALYZE job_objects")
        return job_id

    def ours(self, name: str) -> None:
        """Migrate with the runner."""
        limits = RunLimits(poll_interval_s=2)
        run(lambda: self.connect(name), self.release, limits=limits, report=lambda m, **_: self.console.log(m))

    def plain(self, name: str) -> None:
        """Run the same statements in order, as `psql -f` does, without CONCURRENTLY."""
        with contextlib.closing(self.connect(name)) as connection, connection.cursor() as cursor:
            for migration in self.release.migrations:
                for statement in migration.statements:
                    self.console.log(f"plain: {statement.title}")
                    cursor.execute(statement.sql.replace(" CONCURRENTLY IF", " IF"))

    def measure(self, way: str) -> dict[str, Any]:
        """Migrate in one way under load; return the duration and a writer's longest wait, in seconds."""
        self.console.log(f"{way}: filling a database with {self.rows:,} objects")
        job_id = self.prepare(way)
        with WriteLoad(lambda: self.connect(way, "scanner_app"), job_id, self.rows, writers=WRITERS) as load:
            started = time.monotonic()
            getattr(self, way)(way)
            duration_s = time.monotonic() - started
        if load.errors:
            raise load.errors[0]
        return {"duration_s": round(duration_s, 1), "longest_wait_s": round(load.longest_wait_s, 3)}


def run_both(server: EmbeddedPostgres, rows: int, console: Console) -> None:
    """Measure both ways in one run and write the results."""
    bench = Bench(server, rows, console)
    report(rows, {way: bench.measure(way) for way in ("ours", "plain")}, console)


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench.migrations", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="default: %(default)s")
    rows = parser.parse_args().rows
    return run_on_own_server(BUILD, lambda server: run_both(server, rows, Console()))


def report(rows: int, results: dict[str, dict[str, Any]], console: Console) -> None:
    """Print the table; write it as Markdown and JSON."""
    labels = {"ours": "the runner", "plain": "`psql -f`, without CONCURRENTLY"}
    table = Table("way", "duration", "longest wait of a writer")
    lines = [
        f"# Migrating {rows:,} objects under {WRITERS} writers",
        "",
        "Both ways in one run, on the embedded PostgreSQL 17; `make bench-migrations`.",
        "",
        "| way | duration | longest wait of a writer |",
        "|---|---|---|",
    ]
    for way, result in results.items():
        cells = (labels[way], f"{result['duration_s']} s", f"{result['longest_wait_s']} s")
        table.add_row(*cells)
        lines.append(f"| {' | '.join(cells)} |")
    ratio = results["plain"]["longest_wait_s"] / results["ours"]["longest_wait_s"]
    held = results["ours"]["longest_wait_s"] <= GOAL_S
    lines += [
        "",
        f"Goal: at most {GOAL_S} s; {'held' if held else 'missed'}. The plain way waits {ratio:.0f} times as long.",
    ]
    console.print(table)
    console.print(lines[-1])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "migrations.md").write_text("\n".join(lines) + "\n")
    (RESULTS / "migrations.json").write_text(json.dumps({"rows": rows, "writers": WRITERS, **results}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
