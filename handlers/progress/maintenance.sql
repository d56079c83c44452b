-- What refresh runs. Each query is one statement, so it is one round trip in autocommit mode.

-- name: measure_sessions
-- The longest wait for a lock and the oldest transaction of all sessions of the database.
SELECT longest_lock_wait_seconds, oldest_transaction_age_seconds
FROM public.measure_sessions();

-- name: objects_to_restore
-- The public objects of the migrations that are missing, or that an older deployment's script has made since.
SELECT name, is_missing
FROM public.objects_to_restore()
ORDER BY name;

-- name: refresh
-- Fold, refresh and log in one transaction; refreshed is false when another refresh is running. With the names of the
-- columns, so that an older deployment's function of this name is refused before it runs.
SELECT refreshed, refresh_duration_ms, total_jobs, total_objects, folded_rows, backlog_rows, lag_seconds
FROM public.refresh_job_progress();

-- name: verify
-- The jobs whose counts and deltas differ from a full count.
SELECT *
FROM public.verify_job_progress();

-- name: rebuild
-- Subtract each job's drift from its counts; returns the number of jobs that had one.
SELECT public.rebuild_job_progress() AS mended_jobs;
