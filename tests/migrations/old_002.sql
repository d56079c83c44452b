-- The second script of an older deployment, whose init script tells people to run it: once more after a repair, too.
-- It begins by dropping job_progress with everything that reads it.

CREATE TABLE IF NOT EXISTS materialized_view_refresh_log (
    view_name text PRIMARY KEY,
    last_refreshed_at timestamptz NOT NULL DEFAULT now(),
    refresh_duration_ms int,
    total_jobs int,
    total_objects bigint
);
INSERT INTO materialized_view_refresh_log (view_name, last_refreshed_at) VALUES ('job_progress', now())
ON CONFLICT (view_name) DO NOTHING;

DROP MATERIALIZED VIEW IF EXISTS job_progress CASCADE;
CREATE MATERIALIZED VIEW job_progress AS
SELECT j.job_id, j.bucket, j.prefix, j.execution_arn, j.created_at, j.updated_at,
       count(o.job_id) AS total_objects,
       count(*) FILTER (WHERE o.status = 'queued') AS queued_count,
       count(*) FILTER (WHERE o.status = 'processing') AS processing_count,
       count(*) FILTER (WHERE o.status = 'succeeded') AS succeeded_count,
       count(*) FILTER (WHERE o.status = 'failed') AS failed_count,
       (SELECT count(*) FROM findings AS f WHERE f.job_id = j.job_id) AS total_findings,
       CASE
           WHEN count(o.job_id) = 0 THEN 0
           ELSE round(count(*) FILTER (WHERE o.status IN ('succeeded', 'failed'))::numeric / count(o.job_id) * 100, 2)
       END AS progress_percent,
       max(o.updated_at) AS last_object_update
FROM jobs AS j
LEFT JOIN job_objects AS o ON o.job_id = j.job_id
GROUP BY j.job_id;
CREATE UNIQUE INDEX idx_job_progress_job_id ON job_progress (job_id);
CREATE INDEX idx_job_progress_progress ON job_progress (progress_percent);
CREATE INDEX idx_job_progress_created ON job_progress (created_at DESC);

-- Fails where a function of this name returns something else; the script goes on.
CREATE OR REPLACE FUNCTION refresh_job_progress() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    REFRESH MATERIALIZED VIEW CONCURRENTLY job_progress;
END
$$;
CREATE OR REPLACE FUNCTION should_refresh_progress(last_refresh_time timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN now() - last_refresh_time > INTERVAL '5 minutes';
END
$$;

CREATE OR REPLACE VIEW active_jobs_progress AS
SELECT * FROM job_progress WHERE progress_percent < 100 ORDER BY created_at DESC;
CREATE OR REPLACE VIEW job_statistics AS
SELECT count(*) AS total_jobs,
       count(*) FILTER (WHERE progress_percent = 100) AS completed_jobs,
       count(*) FILTER (WHERE progress_percent > 0 AND progress_percent < 100) AS in_progress_jobs,
       count(*) FILTER (WHERE progress_percent = 0) AS pending_jobs,
       sum(total_objects) AS total_objects_all_jobs,
       sum(succeeded_count) AS total_objects_processed,
       sum(total_findings) AS total_findings_all_jobs,
       avg(progress_percent) AS avg_progress,
       max(created_at) AS most_recent_job,
       min(created_at) FILTER (WHERE progress_percent < 100) AS oldest_active_job
FROM job_progress;

GRANT SELECT ON job_progress, active_jobs_progress, job_statistics TO public;
GRANT EXECUTE ON FUNCTION refresh_job_progress() TO public;
