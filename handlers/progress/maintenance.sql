-- What refresh runs. Each query is one statement, so it is one round trip in autocommit mode.

-- name: measure_sessions
-- The longest wait for a lock and the oldest transaction of all sessions of the database.
SELECT longest_lock_wait_seconds, oldest_transaction_age_seconds
FROM measure_sessions();

-- name: reads_its_source
-- Whether job_progress is the one of the migrations: an older deployment's script replaces it by one that counts rows.
-- True also where one of both is missing: refresh says that better.
SELECT to_regclass('public.job_progress') IS NULL
    OR to_regclass('public.job_progress_source') IS NULL
    OR EXISTS (
    SELECT
    FROM pg_catalog.pg_rewrite AS rule
    INNER JOIN pg_catalog.pg_depend AS dependency
        ON dependency.classid = 'pg_catalog.pg_rewrite'::regclass
       AND dependency.objid = rule.oid
    WHERE rule.ev_class = to_regclass('public.job_progress')
      AND dependency.refclassid = 'pg_catalog.pg_class'::regclass
      AND dependency.refobjid = to_regclass('public.job_progress_source')
) AS reads_its_source;

-- name: refresh
-- Fold, refresh and log in one transaction; refreshed is false when another refresh is running. With the names of the
-- columns, so that an older deployment's function of this name is refused before it runs.
SELECT refreshed, refresh_duration_ms, total_jobs, total_objects, folded_rows, backlog_rows, lag_seconds
FROM refresh_job_progress();

-- name: verify
-- The jobs whose counts and deltas differ from a full count.
SELECT *
FROM verify_job_progress();

-- name: rebuild
-- Subtract each job's drift from its counts; returns the number of jobs that had one.
SELECT rebuild_job_progress() AS mended_jobs;
