-- What retires jobs. Each query is one statement, so it is one round trip and one transaction in autocommit mode.

-- name: retirable
-- The jobs that may be retired; those whose deletion has begun first.
SELECT job_id, objects, findings, bytes, deleted_objects, last_update
FROM public.retirable_jobs(%(older_than)s);

-- name: retire
-- Delete the next rows of one job, and the job with its last ones.
SELECT state, objects, findings
FROM public.retire_job(%(job_id)s, %(older_than)s, %(most_rows)s);
