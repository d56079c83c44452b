"""The original guide: its view, and the figures that it published."""

# Joins all tables, then counts. Changed from the guide: no division by zero, and the unique index that it lacks.
CREATE_VIEW = """
CREATE MATERIALIZED VIEW guide_job_progress AS
SELECT j.job_id, j.bucket, j.prefix, j.execution_arn, j.created_at, j.updated_at,
       count(o.job_id) AS total_objects,
       count(*) FILTER (WHERE o.status = 'queued') AS queued_count,
       count(*) FILTER (WHERE o.status = 'processing') AS processing_count,
       count(*) FILTER (WHERE o.status = 'succeeded') AS succeeded_count,
       count(*) FILTER (WHERE o.status = 'failed') AS failed_count,
       coalesce(f.total_findings, 0) AS total_findings,
       coalesce(
           round(100.0 * count(*) FILTER (WHERE o.status IN ('succeeded', 'failed')) / nullif(count(o.job_id), 0), 2), 0
       ) AS progress_percent,
       max(o.updated_at) AS last_object_update
FROM jobs AS j
LEFT JOIN job_objects AS o ON o.job_id = j.job_id
LEFT JOIN (SELECT job_id, count(*) AS total_findings FROM findings GROUP BY job_id) AS f ON f.job_id = j.job_id
GROUP BY j.job_id, f.total_findings
"""

# Milliseconds by number of objects, on the guide's machine.
PUBLISHED_READS_MS = {
    "count, no index": {1_000_000: 30_000.0},
    "count, composite index": {1_000_000: 2_000.0},
    "row of the view": {1_000_000: 5.0},
}
PUBLISHED_REFRESH_MS = {10_000_000: 10_000.0, 100_000_000: 120_000.0}
