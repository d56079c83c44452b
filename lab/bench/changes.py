"""Single-row updates as a scanner sends them, looped inside the server to save round trips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.bench.dataset import ETAG, KEY, STATUSES, BenchJob

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg2

# Round robin over the jobs, consecutive objects of each.
UPDATE_ONE_BY_ONE = f"""
DO $$
DECLARE
    job_ids CONSTANT uuid[] := %(job_ids)s::uuid[];
    buckets CONSTANT text[] := %(buckets)s::text[];
    prefixes CONSTANT text[] := %(prefixes)s::text[];
    statuses CONSTANT text[] := %(statuses)s::text[];
    job int;
    object bigint;
BEGIN
    FOR step IN 0 .. %(updates)s - 1 LOOP
        job := 1 + step %% cardinality(job_ids);
        object := (%(first)s + step / cardinality(job_ids)) %% %(objects)s;
        UPDATE job_objects
        SET status = statuses[1 + floor(random() * 4)::int], updated_at = clock_timestamp()
        WHERE job_id = job_ids[job]
          AND bucket = buckets[job]
          AND key = prefixes[job] || {KEY.format(number="object")}
          AND etag = {ETAG.format(number="object", job_id="job_ids[job]")};
        IF NOT FOUND THEN
            RAISE EXCEPTION 'object %% of job %% does not exist', object, job_ids[job];
        END IF;
        IF (step + 1) %% %(commit_every)s = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END
$$
"""


def update_one_by_one(
    cursor: psycopg2.extensions.cursor, jobs: Sequence[BenchJob], *, updates: int, first: int, commit_every: int = 1000
) -> None:
    """Run `updates` statements; each sets one object to a random status.

    Args:
        cursor: of a connection in autocommit mode as `scanner_app`.
        jobs: their objects are updated round robin.
        updates: how many, over all jobs.
        first: the number of the first object in each job; wraps around at the size of the smallest job.
        commit_every: so many updates are one transaction.

    """
    parameters = {
        "job_ids": [job.job_id for job in jobs],
        "buckets": [job.bucket for job in jobs],
        "prefixes": [job.prefix for job in jobs],
        "statuses": list(STATUSES),
        "updates": updates,
        "first": first,
        "commit_every": commit_every,
        "objects": min(job.objects for job in jobs),
    }
    cursor.execute(UPDATE_ONE_BY_ONE, parameters)
