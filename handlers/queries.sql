-- The queries of refresh and status. Each is one statement, so each is one round trip in autocommit mode.

-- name: cached_progress
-- One job from the materialized view, with the view's age; nothing for a job younger than five minutes.
SELECT progress.*,
       log.last_refreshed_at AS cache_refreshed_at,
       log.refresh_duration_ms AS cache_refresh_duration_ms
FROM job_progress AS progress
LEFT JOIN materialized_view_refresh_log AS log ON log.view_name = 'job_progress'
WHERE progress.job_id = %(job_id)s
  AND progress.created_at < now() - INTERVAL '5 minutes';

-- name: direct_progress
-- One job counted from its rows, exact now.
SELECT *
FROM job_progress_direct
WHERE job_id = %(job_id)s;

-- name: active_jobs
-- The jobs below 100 %, newest first, with the view's age on each row.
SELECT progress.*,
       log.last_refreshed_at AS cache_refreshed_at,
       log.refresh_duration_ms AS cache_refresh_duration_ms
FROM active_jobs_progress AS progress
LEFT JOIN materialized_view_refresh_log AS log ON log.view_name = 'job_progress'
ORDER BY progress.created_at DESC
LIMIT %(limit)s;

-- name: statistics
-- All jobs in one row, with the view's age.
SELECT statistics.*,
       log.last_refreshed_at AS cache_refreshed_at,
       log.refresh_duration_ms AS cache_refresh_duration_ms
FROM job_statistics AS statistics
LEFT JOIN materialized_view_refresh_log AS log ON log.view_name = 'job_progress';

-- name: refresh
-- Refresh and log in one transaction; refreshed is false when another refresh is at work.
SELECT refreshed, refresh_duration_ms, total_jobs, total_objects
FROM refresh_job_progress();
