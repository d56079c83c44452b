-- What status reads. Each query is one statement, so it is one round trip in autocommit mode.
-- Each route has a `_cached` query, which reads job_progress, and a `_real_time` query, which reads the live numbers: those
-- of one job from job_progress_live, those of all from job_progress_source.

-- name: job_cached
-- One job as JSON: from job_progress while that is fresh enough for it, else the live numbers; null without such a job.
SELECT public.read_job_progress(%(job_id)s, false) AS progress;

-- name: job_real_time
-- One job as JSON, from the live numbers; null without such a job.
SELECT public.read_job_progress(%(job_id)s, true) AS progress;

-- name: job_direct
-- One job counted from its rows: after a rollback to 002, which has no live numbers.
SELECT row_to_json(direct) AS progress
FROM public.job_progress_direct AS direct
WHERE job_id = %(job_id)s;

-- name: jobs_of_active
-- Which jobs a list examines for a state; Step Functions decides about those with an execution. Not done, or all found
-- objects are done and the execution may list more: where it does, an object was added or changed a short time ago.
CASE
    WHEN succeeded_count + failed_count < total_objects THEN true
    WHEN coalesce(execution_arn, '') = '' THEN false
    ELSE total_objects = 0 OR last_object_update > now() - INTERVAL '30 minutes'
END

-- name: jobs_of_completed
-- All found objects are done.
succeeded_count + failed_count = total_objects

-- name: jobs_of_failed
-- Only an execution fails a job.
execution_arn <> ''

-- name: jobs_of_all
-- Each job.
true

-- name: jobs_cached
-- The jobs of a state after a cursor, newest first, from job_progress; at least one row, which holds its age. Jobs
-- without created_at come last: their cursor is -infinity.
SELECT listed.*,
       log.last_refreshed_at AS cache_refreshed_at,
       log.refresh_duration_ms AS cache_refresh_duration_ms
FROM (VALUES ('job_progress')) AS cache (view_name)
LEFT JOIN public.materialized_view_refresh_log AS log USING (view_name)
LEFT JOIN (
    SELECT *
    FROM public.job_progress
    WHERE /* of the state */ true
      AND (coalesce(created_at, '-infinity'), job_id) < (%(created_at)s::timestamptz, %(job_id)s::uuid)
    ORDER BY created_at DESC NULLS LAST, job_id DESC
    LIMIT %(limit)s
) AS listed ON true
ORDER BY listed.created_at DESC NULLS LAST, listed.job_id DESC;

-- name: active_jobs_cached
-- The same for the state active. The index of the jobs below 100 % serves the first two branches, and would serve no OR.
SELECT listed.*,
       log.last_refreshed_at AS cache_refreshed_at,
       log.refresh_duration_ms AS cache_refresh_duration_ms
FROM (VALUES ('job_progress')) AS cache (view_name)
LEFT JOIN public.materialized_view_refresh_log AS log USING (view_name)
LEFT JOIN (
    (SELECT *
     FROM public.job_progress
     WHERE progress_percent < 100
       AND (total_objects > 0 OR execution_arn <> '')
       AND (created_at, job_id) < (%(created_at)s::timestamptz, %(job_id)s::uuid)
     ORDER BY created_at DESC, job_id DESC
     LIMIT %(limit)s)
    UNION ALL
    (SELECT *
     FROM public.job_progress
     WHERE progress_percent < 100
       AND (total_objects > 0 OR execution_arn <> '')
       AND created_at IS NULL
       AND (%(created_at)s::timestamptz > '-infinity' OR job_id < %(job_id)s::uuid)
     ORDER BY job_id DESC
     LIMIT %(limit)s)
    UNION ALL
    (SELECT *
     FROM public.job_progress
     WHERE progress_percent = 100
       AND execution_arn <> ''
       AND last_object_update > now() - INTERVAL '30 minutes'
       AND (coalesce(created_at, '-infinity'), job_id) < (%(created_at)s::timestamptz, %(job_id)s::uuid)
     ORDER BY created_at DESC NULLS LAST, job_id DESC
     LIMIT %(limit)s)
) AS listed ON true
ORDER BY listed.created_at DESC NULLS LAST, listed.job_id DESC
LIMIT %(limit)s;

-- name: jobs_real_time
-- The same from the live numbers, which no index of created_at serves.
SELECT *
FROM public.job_progress_source
WHERE /* of the state */ true
  AND (coalesce(created_at, '-infinity'), job_id) < (%(created_at)s::timestamptz, %(job_id)s::uuid)
ORDER BY created_at DESC NULLS LAST, job_id DESC
LIMIT %(limit)s;

-- name: statistics_cached
-- All jobs in one row, from job_progress, with its age. The sums of job_statistics are numeric, for older callers.
SELECT statistics.total_jobs,
       statistics.completed_jobs,
       statistics.in_progress_jobs,
       statistics.pending_jobs,
       statistics.total_objects_all_jobs::bigint,
       statistics.total_objects_processed::bigint,
       statistics.total_findings_all_jobs::bigint,
       round(statistics.avg_progress, 2) AS avg_progress,
       statistics.most_recent_job,
       statistics.oldest_active_job,
       log.last_refreshed_at AS cache_refreshed_at,
       log.refresh_duration_ms AS cache_refresh_duration_ms
FROM public.job_statistics AS statistics
LEFT JOIN public.materialized_view_refresh_log AS log ON log.view_name = 'job_progress';

-- name: statistics_real_time
-- The same from the live numbers; the columns are those of job_statistics. OFFSET 0, because the planner would otherwise
-- write the expression of each column wherever it is named, and compute progress_percent four times for each job.
SELECT count(*) AS total_jobs,
       count(*) FILTER (WHERE progress_percent = 100) AS completed_jobs,
       count(*) FILTER (WHERE progress_percent < 100 AND succeeded_count + failed_count > 0) AS in_progress_jobs,
       count(*) FILTER (WHERE succeeded_count + failed_count = 0) AS pending_jobs,
       coalesce(sum(total_objects), 0)::bigint AS total_objects_all_jobs,
       coalesce(sum(succeeded_count), 0)::bigint AS total_objects_processed,
       coalesce(sum(total_findings), 0)::bigint AS total_findings_all_jobs,
       coalesce(round(avg(progress_percent), 2), 0) AS avg_progress,
       max(created_at) AS most_recent_job,
       min(created_at) FILTER (WHERE progress_percent < 100) AS oldest_active_job
FROM (
    SELECT total_objects, succeeded_count, failed_count, total_findings, progress_percent, created_at
    FROM public.job_progress_source
    OFFSET 0
) AS progress;
