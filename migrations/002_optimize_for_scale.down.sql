-- Back to counting rows: the views, the functions and the log go, then the indexes, while writers go on writing.
-- Dropping is what a rollback is for.
-- squawk-ignore-file ban-drop-table, ban-drop-view, ban-drop-function

DROP FUNCTION IF EXISTS should_refresh_progress(timestamptz);
DROP FUNCTION IF EXISTS refresh_job_progress();
DROP VIEW IF EXISTS job_statistics;
DROP VIEW IF EXISTS active_jobs_progress;
DROP MATERIALIZED VIEW IF EXISTS job_progress;
DROP VIEW IF EXISTS job_progress_source;
DROP VIEW IF EXISTS job_progress_direct;
DROP TABLE IF EXISTS materialized_view_refresh_log;

DROP INDEX CONCURRENTLY IF EXISTS idx_findings_job_detector;
DROP INDEX CONCURRENTLY IF EXISTS idx_job_objects_bucket_key_composite;
DROP INDEX CONCURRENTLY IF EXISTS idx_job_objects_job_updated;
DROP INDEX CONCURRENTLY IF EXISTS idx_job_objects_job_status;
