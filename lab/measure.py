"""Times the ways to read one job's progress: medians of several samples on a warm connection."""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handlers.progress.reads import QUERIES
from lab import api_client
from lab.embedded_postgres import EmbeddedPostgres

if TYPE_CHECKING:
    import psycopg2

COUNT_BY_STATUS = """
SELECT count(*),
       count(*) FILTER (WHERE status = 'queued'),
       count(*) FILTER (WHERE status = 'processing'),
       count(*) FILTER (WHERE status = 'succeeded'),
       count(*) FILTER (WHERE status = 'failed')
FROM job_objects
WHERE job_id = %(job_id)s
"""
# The primary key always exists, so these settings stand for a table without an index.
WITHOUT_INDEX = ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")
# For a job with half of the rows the planner may prefer a sequential scan.
WITH_INDEX = ("enable_seqscan", "enable_bitmapscan")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One way to read: its name, the scan that was executed, the median here, and the original guide's figure."""

    name: str
    scan: str
    median_ms: float
    published: str


def measure(postgres: EmbeddedPostgres, *, job_id: str, status_url: str, region: str) -> tuple[Measurement, ...]:
    """Time the ways that the original guide compares, and a request over HTTP.

    Args:
        postgres: the server; job_objects is vacuumed first, as autovacuum does soon after a bulk load.
        job_id: the job to read.
        status_url: the URL of its status.
        region: the region that requests are signed for.

    Raises:
        RuntimeError: a response is not 200.

    """
    with postgres.connect() as connection, connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) job_objects")
    no_index, index = (_count(postgres, job_id, switched_off=settings) for settings in (WITHOUT_INDEX, WITH_INDEX))
    cached, live = (_read(postgres, job_id, real_time=real_time) for real_time in (False, True))
    return (
        Measurement(name="count rows, no index", published="30 s", scan=no_index[0], median_ms=no_index[1]),
        Measurement(name="count rows, composite index", published="2 s", scan=index[0], median_ms=index[1]),
        Measurement(name="row of job_progress", published="5 ms", scan="primary key", median_ms=cached),
        Measurement(name="exact now", published="", scan="counts and deltas", median_ms=live),
        Measurement(
            name="GET /jobs/{job_id}",
            published="",
            scan="signed HTTP, Lambda process",
            median_ms=_sample(lambda: _expect_200(status_url, region), samples=50),
        ),
    )


def _count(postgres: EmbeddedPostgres, job_id: str, *, switched_off: Sequence[str]) -> tuple[str, float]:
    """Return the scan that counted a job's rows, and the median in milliseconds."""
    with postgres.connect(user="scanner_app") as connection, connection.cursor() as cursor:
        for setting in switched_off:
            cursor.execute(f"SET {setting} = off")
        parameters = {"job_id": job_id}
        cursor.execute(f"EXPLAIN (FORMAT JSON) {COUNT_BY_STATUS}", parameters)
        row = cursor.fetchone()
        assert row is not None
        return _largest_scan(row[0][0]["Plan"]), _sample_query(cursor, COUNT_BY_STATUS, parameters, samples=5)


def _read(postgres: EmbeddedPostgres, job_id: str, *, real_time: bool) -> float:
    """Return the median in milliseconds of the query of the function `status`."""
    with postgres.connect(user="progress_reader") as connection, connection.cursor() as cursor:
        query = QUERIES["job_real_time" if real_time else "job_cached"]
        return _sample_query(cursor, query, {"job_id": job_id}, samples=200)


def _largest_scan(plan: Mapping[str, Any]) -> str:
    """Return the type of the plan's scan with the most rows, such as `index only scan`."""
    node, parallel = plan, False
    while "Plans" in node:
        parallel = parallel or node["Node Type"] == "Gather"
        node = max(node["Plans"], key=lambda child: child["Plan Rows"])
    return f"{'parallel ' if parallel else ''}{node['Node Type'].lower()}"


def _sample_query(
    cursor: "psycopg2.extensions.cursor", sql: str, parameters: Mapping[str, Any], *, samples: int
) -> float:
    def ask() -> None:
        cursor.execute(sql, parameters)
        cursor.fetchall()

    return _sample(ask, samples=samples)


def _sample(ask: Callable[[], None], *, samples: int) -> float:
    ask()  # warms the caches
    taken_ms = []
    for _ in range(samples):
        started_s = time.perf_counter()
        ask()
        taken_ms.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(taken_ms)


def _expect_200(url: str, region: str) -> None:
    answer = api_client.get(url, region=region)
    if answer.status_code != 200:  # noqa: PLR2004 - HTTP's OK
        raise RuntimeError(f"GET {url} answered {answer.status_code}: {json.dumps(answer.body)}")
