"""Times writers while a job is retired: their longest statement, against the same writers alone; rows per second.

`make bench-retire ROWS=5000000` writes `lab/bench/results/retire.md` and `.json`.
"""

import argparse
import contextlib
import json
import sys
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg2
from rich.console import Console

from handlers.migrator.runner import run
from handlers.progress.retirement import JobState, list_retirable, retire
from lab.bench import RESULTS, report
from lab.bench.own_server import run_on_own_server
from lab.embedded_postgres import EmbeddedPostgres
from lab.load import WriteLoad
from scannerdb.options import Session, current_release
from stacks import ROOT

BUILD = ROOT / "build" / "bench-retire"
DATABASE = "retire"
WRITERS = 4
GOAL_S = 1.0
AGE = timedelta(days=90)
# One object in so many has a finding.
OBJECTS_A_FINDING = 50
# The writers' own job is as large as a fifth of the one that leaves.
ACTIVE_SHARE = 5
ALONE_S = 20.0

LOAD_JOB = "INSERT INTO jobs (job_id, bucket, created_at, updated_at) VALUES (%(job)s, 'b', %(at)s, %(at)s)"
LOAD_OBJECTS = """
INSERT INTO job_objects (job_id, bucket, key, etag, status, updated_at)
SELECT %(job)s, 'b', n::text, 'e', %(status)s, %(at)s
FROM generate_series(1, %(rows)s) AS n
"""
LOAD_FINDINGS = f"""
INSERT INTO findings (job_id, bucket, key, etag, detector, masked_match, context, byte_offset)
SELECT %(job)s, 'b', n::text, %(job)s, 'email_address', '****' || n %% 10000, 'column 3', n %% 65536
FROM generate_series({OBJECTS_A_FINDING}, %(rows)s, {OBJECTS_A_FINDING}) AS n
"""


class Bench:
    """One database with a large job to retire, and a smaller one that writers write to."""

    def __init__(self, server: EmbeddedPostgres, rows: int, console: Console) -> None:
        self.server, self.rows, self.console = server, rows, console
        self.retiring, self.active = str(uuid4()), str(uuid4())

    def connect(self, user: str = "scanner_admin") -> "psycopg2.extensions.connection":
        """Open a connection in autocommit mode."""
        connection = psycopg2.connect(self.server.dsn(database=DATABASE, user=user))
        connection.autocommit = True
        return connection

    def query(self, sql: str, values: dict[str, Any] | None = None) -> Any:
        """Run one statement as the owner, and return the first column of its first row."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]

    def prepare(self) -> None:
        """Migrate an empty database, and load both jobs."""
        with self.server.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {DATABASE} OWNER scanner_admin")
        run(self.connect, current_release())
        for job, rows, status, age_days in (
            (self.retiring, self.rows, "succeeded", 100),
            (self.active, self.rows // ACTIVE_SHARE, "queued", 0),
        ):
            at = self.query(f"SELECT now() - INTERVAL '{age_days} days'")
            values = {"job": job, "rows": rows, "status": status, "at": at}
            self.console.log(f"loading {rows:,} objects")
            for sql in (LOAD_JOB, LOAD_OBJECTS, LOAD_FINDINGS):
                self.query(sql, values)
        self.query("SELECT refresh_job_progress()")
        for sql in ("VACUUM (ANALYZE) jobs, job_objects, findings", "CHECKPOINT"):
            with self.server.connect(user="postgres", database=DATABASE) as connection, connection.cursor() as cursor:
                cursor.execute(sql)

    def measure(self) -> dict[str, Any]:
        """Run writers, alone first and then beside the retirement; return both, and what is left of the job."""
        session = Session(self.server.dsn(database=DATABASE, user="progress_refresher"))
        deleted, longest_batch_s, batches, state = 0, 0.0, 0, JobState.KEPT
        objects = self.rows // ACTIVE_SHARE
        with WriteLoad(lambda: self.connect("scanner_app"), self.active, objects, writers=WRITERS) as load:
            self.console.log(f"{WRITERS} writers alone")
            time.sleep(ALONE_S)
            alone_s, load.longest_wait_s = load.longest_wait_s, 0.0
            self.console.log("retiring")
            started = batch_at = time.monotonic()
            for batch in retire(session, list_retirable(session, AGE), AGE):
                longest_batch_s = max(longest_batch_s, time.monotonic() - batch_at)
                deleted += batch.objects + batch.findings
                batches, state, batch_at = batches + 1, batch.state, time.monotonic()
            duration_s = time.monotonic() - started
        if load.errors:
            raise load.errors[0]
        return {
            "duration_s": round(duration_s, 1),
            "deleted_rows": deleted,
            "rows_per_s": round(deleted / duration_s),
            "batches": batches,
            "longest_batch_with_rest_s": round(longest_batch_s, 3),
            "last_state": str(state),
            "longest_wait_s": round(load.longest_wait_s, 3),
            "longest_wait_alone_s": round(alone_s, 3),
            "drifted_jobs": self.query("SELECT count(*) FROM verify_job_progress()"),
            "rows_left": self.query("SELECT count(*) FROM job_objects WHERE job_id = %(job)s", {"job": self.retiring}),
        }


def write(results: dict[str, Any], console: Console) -> None:
    """Print the table; write it as Markdown and JSON."""
    held = results["longest_wait_s"] <= GOAL_S and not results["drifted_jobs"] and not results["rows_left"]
    cells = {
        "rows deleted (objects and findings)": f"{results['deleted_rows']:,}",
        "rows per second, with the rests": f"{results['rows_per_s']:,}",
        "duration": f"{results['duration_s']} s in {results['batches']} batches",
        "longest batch, with its rest": f"{results['longest_batch_with_rest_s']} s",
        "longest statement of a writer": f"{results['longest_wait_s']} s",
        f"the same in {ALONE_S:.0f} s without a retirement": f"{results['longest_wait_alone_s']} s",
        "jobs that differ from a full count afterwards": str(results["drifted_jobs"]),
        "rows of the job afterwards": str(results["rows_left"]),
    }
    setting = (
        f"`make bench-retire ROWS={results['rows']}`, on the embedded PostgreSQL {results['version']}, "
        f"{results['cores']} cores. One object in {OBJECTS_A_FINDING} has a finding. The writers "
        "update and insert objects of another job."
    )
    lines = [
        f"# Retiring a job of {results['rows']:,} objects under {WRITERS} writers",
        "",
        setting,
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in cells.items()),
        "",
        f"Goal: no statement of a writer over {GOAL_S} s, and exact progress; {'held' if held else 'missed'}.",
    ]
    for line in lines[4:]:
        console.print(line)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "retire.md").write_text("\n".join(lines) + "\n")
    (RESULTS / "retire.json").write_text(json.dumps(results, indent=2) + "\n")


def measure(server: EmbeddedPostgres, rows: int, console: Console) -> None:
    """Measure both in one run and write the results."""
    bench = Bench(server, rows, console)
    bench.prepare()
    results = {"rows": rows, "writers": WRITERS, **bench.measure()}
    write({**results, "version": bench.query("SHOW server_version"), **report.machine()}, console)


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench.retire", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="default: %(default)s")
    rows = parser.parse_args().rows
    return run_on_own_server(BUILD, lambda server: measure(server, rows, Console()))


if __name__ == "__main__":
    sys.exit(main())
