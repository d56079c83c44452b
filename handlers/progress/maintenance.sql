-- What refresh runs. Each query is one statement, so it is one round trip in autocommit mode.

-- name: measure_sessions
-- The longest wait for a lock and the oldest transaction of all sessions of the database.
SELECT longest_lock_wait_seconds, oldest_transaction_age_seconds
FROM measure_sessions();

-- name: refresh
-- Fold, refresh and log in one transaction; refreshed is false when another refresh is running.
SELECT *
FROM refresh_job_progress();

-- name: verify
-- The jobs whose counts and deltas differ from a full count.
SELECT *
FROM verify_job_progress();

-- name: rebuild
-- Subtract each job's drift from its counts; returns the number of jobs that had one.
SELECT rebuild_job_progress() AS mended_jobs;
