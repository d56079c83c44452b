-- Answer a job's status from an index, and from a materialized view once it is warm.
-- Runs outside a transaction because of the CONCURRENTLY builds: writers go on writing all the while.

-- Count one job's objects by status: job_progress_direct.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_job_status ON job_objects (job_id, status);

-- The last change of one job: job_progress_direct, last_object_update.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_job_updated ON job_objects (job_id, updated_at DESC);

-- The jobs that met one S3 object.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_bucket_key_composite ON job_objects (bucket, key, job_id);

-- One job's findings, by detector.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_findings_job_detector ON findings (job_id, detector);

-- Progress counted from the rows themselves, exact now. Objects and findings are aggregated before the join, so a
-- filter on job_id reads one range of an index, and a whole read is a parallel index-only scan.
CREATE OR REPLACE VIEW job_progress_direct AS
SELECT jobs.job_id,
       jobs.bucket,
       jobs.prefix,
       jobs.execution_arn,
       jobs.created_at,
       jobs.updated_at,
       coalesce(objects.total_objects, 0) AS total_objects,
       coalesce(objects.queued_count, 0) AS queued_count,
       coalesce(objects.processing_count, 0) AS processing_count,
       coalesce(objects.succeeded_count, 0) AS succeeded_count,
       coalesce(objects.failed_count, 0) AS failed_count,
       coalesce(found.total_findings, 0) AS total_findings,
       coalesce(round(100.0 * (objects.succeeded_count + objects.failed_count) / objects.total_objects, 2), 0)
           AS progress_percent,
       (SELECT max(job_objects.updated_at)
        FROM job_objects
        WHERE job_objects.job_id = jobs.job_id) AS last_object_update
FROM jobs
LEFT JOIN (
    SELECT job_id,
           count(*) AS total_objects,
           count(*) FILTER (WHERE status = 'queued') AS queued_count,
           count(*) FILTER (WHERE status = 'processing') AS processing_count,
           count(*) FILTER (WHERE status = 'succeeded') AS succeeded_count,
           count(*) FILTER (WHERE status = 'failed') AS failed_count
    FROM job_objects
    GROUP BY job_id
) AS objects ON objects.job_id = jobs.job_id
LEFT JOIN (
    SELECT job_id, count(*) AS total_findings
    FROM findings
    GROUP BY job_id
) AS found ON found.job_id = jobs.job_id;

-- Filled by the first refresh below, which also writes the log.
CREATE MATERIALIZED VIEW IF NOT EXISTS job_progress AS
SELECT * FROM job_progress_direct
WITH NO DATA;

-- One job's row, and what REFRESH ... CONCURRENTLY compares by. Nobody waits for this: the view is not filled yet.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX IF NOT EXISTS idx_job_progress_job_id ON job_progress (job_id);

-- The jobs that still run, newest first: active_jobs_progress.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS idx_job_progress_active ON job_progress (created_at DESC) WHERE progress_percent < 100;

CREATE OR REPLACE VIEW active_jobs_progress AS
SELECT *
FROM job_progress
WHERE progress_percent < 100
ORDER BY created_at DESC;

CREATE OR REPLACE VIEW job_statistics AS
SELECT count(*) AS total_jobs,
       count(*) FILTER (WHERE progress_percent = 100) AS completed_jobs,
       count(*) FILTER (WHERE progress_percent > 0 AND progress_percent < 100) AS in_progress_jobs,
       count(*) FILTER (WHERE progress_percent = 0) AS pending_jobs,
       coalesce(sum(total_objects), 0)::bigint AS total_objects_all_jobs,
       coalesce(sum(succeeded_count + failed_count), 0)::bigint AS total_objects_processed,
       coalesce(sum(total_findings), 0)::bigint AS total_findings_all_jobs,
       coalesce(round(avg(progress_percent), 2), 0) AS avg_progress,
       max(created_at) AS most_recent_job,
       min(created_at) FILTER (WHERE progress_percent < 100) AS oldest_active_job
FROM job_progress;

CREATE TABLE IF NOT EXISTS materialized_view_refresh_log (
    view_name text PRIMARY KEY,
    last_refreshed_at timestamptz NOT NULL,
    -- 24 days of milliseconds are enough.
    -- squawk-ignore prefer-bigint-over-int
    refresh_duration_ms int,
    total_jobs bigint,
    total_objects bigint
);

-- Refreshes and logs in the caller's transaction. Takes EXCLUSIVE on job_progress (readers go on) and a transaction
-- lock of its own, so that of two callers one works and the other returns at once with refreshed = false.
-- last_refreshed_at is taken before the snapshot: every change committed by then is in the view.
-- Runs as its owner, so that its callers need no right on the tables.
-- An older deployment's function returns nothing, and a result type cannot be replaced in place.
-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS refresh_job_progress();
CREATE FUNCTION refresh_job_progress(
    OUT refreshed boolean,
    OUT refresh_duration_ms int,
    OUT total_jobs bigint,
    OUT total_objects bigint
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    started_at timestamptz := clock_timestamp();
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('refresh_job_progress', 0)) THEN
        refreshed := false;
        RETURN;
    END IF;

    IF (SELECT relispopulated FROM pg_class WHERE oid = 'job_progress'::regclass) THEN
        REFRESH MATERIALIZED VIEW CONCURRENTLY job_progress;
    ELSE
        REFRESH MATERIALIZED VIEW job_progress;
    END IF;

    refreshed := true;
    refresh_duration_ms := round(extract(epoch FROM clock_timestamp() - started_at) * 1000);
    SELECT count(*), coalesce(sum(progress.total_objects), 0)
    INTO total_jobs, total_objects
    FROM job_progress AS progress;

    INSERT INTO materialized_view_refresh_log AS log
        (view_name, last_refreshed_at, refresh_duration_ms, total_jobs, total_objects)
    VALUES
        ('job_progress', started_at, refresh_job_progress.refresh_duration_ms,
         refresh_job_progress.total_jobs, refresh_job_progress.total_objects)
    ON CONFLICT (view_name) DO UPDATE
    SET last_refreshed_at = excluded.last_refreshed_at,
        refresh_duration_ms = excluded.refresh_duration_ms,
        total_jobs = excluded.total_jobs,
        total_objects = excluded.total_objects;
END
$$;

-- Takes no lock. True when what was refreshed then is older than five minutes now, or was never refreshed.
CREATE OR REPLACE FUNCTION should_refresh_progress(last_refreshed_at timestamptz)
RETURNS boolean
LANGUAGE sql
STABLE
RETURN last_refreshed_at IS NULL OR last_refreshed_at < now() - INTERVAL '5 minutes';

REVOKE EXECUTE ON FUNCTION refresh_job_progress() FROM public;
GRANT EXECUTE ON FUNCTION refresh_job_progress() TO progress_refresher;
GRANT SELECT ON job_progress, job_progress_direct, active_jobs_progress, job_statistics,
    materialized_view_refresh_log TO progress_reader;

SELECT refresh_job_progress();
