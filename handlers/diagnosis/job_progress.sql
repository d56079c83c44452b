-- Whether progress is fresh, complete and exact.

-- name: progress_view
-- is_populated is null when the view does not exist. The refresh log stays when the view is dropped, so it tells a dropped
-- view from one that was never made.
SELECT (SELECT relispopulated FROM pg_class WHERE oid = to_regclass('public.job_progress')) AS is_populated,
       to_regclass('public.materialized_view_refresh_log') IS NOT NULL AS was_there;

-- name: last_refresh
-- The last refresh that finished.
SELECT extract(epoch FROM clock_timestamp() - last_refreshed_at)::float8 AS age_seconds,
       coalesce(refresh_duration_ms, 0) AS duration_ms,
       total_jobs,
       total_objects
FROM public.materialized_view_refresh_log
WHERE view_name = 'job_progress';

-- name: refresh_at_work
-- The session that refreshes now: it holds the advisory lock. pg_locks shows its bigint key as two halves.
SELECT activity.pid,
       activity.backend_start AS began,
       activity.usename,
       activity.application_name,
       extract(epoch FROM clock_timestamp() - activity.xact_start)::float8 AS seconds
FROM pg_locks AS locks
JOIN pg_stat_activity AS activity USING (pid)
WHERE locks.locktype = 'advisory'
  AND locks.granted
  AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND locks.objsubid = 1
  AND (locks.classid::bigint << 32 | locks.objid::bigint) = hashtextextended('refresh_job_progress', 0);

-- name: coverage
-- How many jobs are old enough to be in the view and are missing from it, and how many jobs there are.
SELECT count(*) AS jobs,
       count(*) FILTER (WHERE job_progress.job_id IS NULL
                          AND jobs.created_at < clock_timestamp() - make_interval(secs => %(seconds)s)) AS missing
FROM public.jobs
LEFT JOIN public.job_progress USING (job_id);

-- name: backlog
-- The deltas that wait to be folded, and the oldest transaction that has changed the table of deltas.
SELECT waiting.rows,
       writer.pid,
       writer.began,
       writer.usename,
       writer.application_name,
       writer.seconds
FROM (SELECT count(*) AS rows FROM public.job_progress_deltas) AS waiting
LEFT JOIN (
    SELECT activity.pid,
           activity.backend_start AS began,
           activity.usename,
           activity.application_name,
           extract(epoch FROM clock_timestamp() - activity.xact_start)::float8 AS seconds
    FROM pg_locks AS locks
    JOIN pg_stat_activity AS activity USING (pid)
    WHERE locks.relation = to_regclass('public.job_progress_deltas')
      AND locks.granted
      AND locks.mode = 'RowExclusiveLock'
      AND activity.xact_start IS NOT NULL
    ORDER BY activity.xact_start
    LIMIT 1
) AS writer ON true;

-- name: is_quickly_verified
-- Whether a full count of every job takes little time, and the role may execute it.
SELECT coalesce((SELECT total_objects <= %(objects)s
                 FROM public.materialized_view_refresh_log
                 WHERE view_name = 'job_progress'), false)
       AND coalesce(has_function_privilege(to_regprocedure('public.verify_job_progress()'), 'EXECUTE'), false) AS is_quick;

-- name: verification
-- The jobs that differ from a full count.
SELECT drifted.job_id,
       coalesce(live.total_objects, 0) AS known_objects,
       coalesce(live.total_objects, 0) - drifted.queued_drift - drifted.processing_drift - drifted.succeeded_drift
           - drifted.failed_drift - drifted.other_drift AS counted_objects
FROM public.verify_job_progress() AS drifted
LEFT JOIN public.job_progress_live AS live USING (job_id);

-- name: drift
-- The newest jobs of moderate size: their live numbers and a full count, in one snapshot. Each count stops after
-- rows_of_a_job, because live numbers that are far too low could make it read millions.
WITH newest AS MATERIALIZED (
    SELECT job_id, greatest(created_at, updated_at) AS touched_at
    FROM public.jobs
    ORDER BY touched_at DESC NULLS LAST
    LIMIT 100
),
sample AS MATERIALIZED (
    SELECT live.*
    FROM newest
    JOIN public.job_progress_live AS live USING (job_id)
    WHERE live.total_objects + live.total_findings <= %(rows_of_a_job)s
    ORDER BY newest.touched_at DESC NULLS LAST
    LIMIT %(jobs)s
)
SELECT sample.job_id,
       sample.total_objects,
       counted.total_objects AS counted_objects,
       (sample.total_objects, sample.queued_count, sample.processing_count, sample.succeeded_count, sample.failed_count,
        sample.total_findings) IS NOT DISTINCT FROM
       (counted.total_objects, counted.queued_count, counted.processing_count, counted.succeeded_count,
        counted.failed_count, found.total_findings)
       AND sample.last_object_update IS NOT DISTINCT FROM changed.last_object_update AS is_exact
FROM sample
CROSS JOIN LATERAL (
    SELECT count(*) AS total_objects,
           count(*) FILTER (WHERE status::text = 'queued') AS queued_count,
           count(*) FILTER (WHERE status::text = 'processing') AS processing_count,
           count(*) FILTER (WHERE status::text = 'succeeded') AS succeeded_count,
           count(*) FILTER (WHERE status::text = 'failed') AS failed_count
    FROM (
        SELECT status
        FROM public.job_objects
        WHERE job_objects.job_id = sample.job_id
        LIMIT %(rows_of_a_job)s + 1
    ) AS objects
) AS counted
CROSS JOIN LATERAL (
    SELECT count(*) AS total_findings
    FROM (
        SELECT FROM public.findings WHERE findings.job_id = sample.job_id LIMIT %(rows_of_a_job)s + 1
    ) AS findings
) AS found
CROSS JOIN LATERAL (
    SELECT max(updated_at) AS last_object_update
    FROM public.job_objects
    WHERE job_objects.job_id = sample.job_id
) AS changed;

-- name: job_count
SELECT count(*) AS jobs FROM public.jobs;
