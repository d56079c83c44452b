-- Back to counting rows: the views, the functions and the log go at once or not at all, then the indexes, one by one,
-- while writers go on writing. What others built on the views has to go first: it would be lost.
-- Dropping is what a rollback is for.
-- squawk-ignore-file ban-drop-table, ban-drop-view, ban-drop-function

DO $$
BEGIN
    -- 002 may have stopped before it took the place of an older deployment's views; those are not ours to drop. Its
    -- index got this name in the moment of the exchange.
    IF to_regclass('idx_job_progress_active') IS NOT NULL THEN
        DROP FUNCTION IF EXISTS should_refresh_progress(timestamptz);
        DROP FUNCTION IF EXISTS refresh_job_progress();
        DROP VIEW IF EXISTS job_statistics;
        DROP VIEW IF EXISTS active_jobs_progress;
        DROP MATERIALIZED VIEW IF EXISTS job_progress;
        DROP TABLE IF EXISTS materialized_view_refresh_log;
    END IF;
    DROP MATERIALIZED VIEW IF EXISTS job_progress_next;
    DROP VIEW IF EXISTS job_progress_source;
    DROP VIEW IF EXISTS job_progress_direct;
END
$$;

DROP INDEX CONCURRENTLY IF EXISTS idx_findings_job_detector;
DROP INDEX CONCURRENTLY IF EXISTS idx_job_objects_bucket_key_composite;
DROP INDEX CONCURRENTLY IF EXISTS idx_job_objects_job_updated;
DROP INDEX CONCURRENTLY IF EXISTS idx_job_objects_job_status;
