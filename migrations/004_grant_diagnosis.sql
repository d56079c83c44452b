-- What `scannerdb doctor` reads and what mends what it finds; what each refresh measures of the sessions: waits for locks and
-- open transactions.

-- The slowest statements, without their values. RDS lets the master user create it. A server that does not is no reason to
-- stop a deployment: the doctor says that the extension is missing, and how to get it.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
        RAISE WARNING 'pg_stat_statements is not there: %', SQLERRM;
END
$$;

-- How long the longest wait for a lock and the oldest transaction of this database last by now, 0 when there is none.
-- It runs as its owner, who sees all sessions through pg_monitor; its callers see two numbers. Takes no lock.
-- Only a build or a drop that runs CONCURRENTLY waits for a virtual transaction; nobody queues behind it, so that is no wait
-- that anybody suffers from. Nor is the transaction of such a build: vacuum of the other tables passes it over.
CREATE OR REPLACE FUNCTION measure_sessions(
    OUT longest_lock_wait_seconds double precision,
    OUT oldest_transaction_age_seconds double precision
)
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH sessions AS MATERIALIZED (
        SELECT activity.pid, activity.xact_start
        FROM pg_catalog.pg_stat_activity AS activity
        WHERE activity.datname = pg_catalog.current_database()
          AND activity.backend_type = 'client backend'
          AND activity.pid <> pg_catalog.pg_backend_pid()
    )
    SELECT (SELECT coalesce(max(extract(epoch FROM pg_catalog.clock_timestamp() - locks.waitstart)), 0)
            FROM pg_catalog.pg_locks AS locks
            JOIN sessions USING (pid)
            WHERE NOT locks.granted
              AND locks.locktype <> 'virtualxid'),
           (SELECT coalesce(max(extract(epoch FROM pg_catalog.clock_timestamp() - sessions.xact_start)), 0)
            FROM sessions
            WHERE NOT EXISTS (SELECT
                              FROM pg_catalog.pg_stat_progress_create_index AS build
                              WHERE build.pid = sessions.pid
                                AND build.command LIKE '%CONCURRENTLY'))
$$;

REVOKE EXECUTE ON FUNCTION measure_sessions() FROM public;
GRANT EXECUTE ON FUNCTION measure_sessions() TO progress_refresher, scanner_doctor;

-- Builds job_progress, its indexes, helper views and grants again where somebody dropped them, and returns the names of what
-- it built; the ledger says that 002 is applied, so no deployment would. Only the owner may call it. It reads counts, not
-- rows; nobody waits, because nobody can use what is not there.
CREATE OR REPLACE FUNCTION restore_job_progress()
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    restored text[] := '{}';
BEGIN
    IF to_regclass('public.job_progress') IS NULL THEN
        CREATE MATERIALIZED VIEW public.job_progress AS
        SELECT * FROM public.job_progress_source;

        CREATE UNIQUE INDEX idx_job_progress_job_id ON public.job_progress (job_id);
        CREATE INDEX idx_job_progress_active ON public.job_progress (created_at DESC) WHERE progress_percent < 100;
        GRANT SELECT ON public.job_progress TO progress_reader, scanner_doctor;
        restored := restored || 'job_progress'::text;
    END IF;

    IF to_regclass('public.active_jobs_progress') IS NULL THEN
        CREATE VIEW public.active_jobs_progress AS
        SELECT *
        FROM public.job_progress
        WHERE progress_percent < 100
        ORDER BY created_at DESC;

        GRANT SELECT ON public.active_jobs_progress TO progress_reader;
        restored := restored || 'active_jobs_progress'::text;
    END IF;

    IF to_regclass('public.job_statistics') IS NULL THEN
        CREATE VIEW public.job_statistics AS
        SELECT count(*) AS total_jobs,
               count(*) FILTER (WHERE progress_percent = 100) AS completed_jobs,
               count(*) FILTER (WHERE progress_percent < 100 AND succeeded_count + failed_count > 0) AS in_progress_jobs,
               count(*) FILTER (WHERE succeeded_count + failed_count = 0) AS pending_jobs,
               coalesce(sum(total_objects), 0)::bigint AS total_objects_all_jobs,
               coalesce(sum(succeeded_count + failed_count), 0)::bigint AS total_objects_processed,
               coalesce(sum(total_findings), 0)::bigint AS total_findings_all_jobs,
               coalesce(round(avg(progress_percent), 2), 0) AS avg_progress,
               max(created_at) AS most_recent_job,
               min(created_at) FILTER (WHERE progress_percent < 100) AS oldest_active_job
        FROM public.job_progress;

        GRANT SELECT ON public.job_statistics TO progress_reader;
        restored := restored || 'job_statistics'::text;
    END IF;
    RETURN restored;
END
$$;

REVOKE EXECUTE ON FUNCTION restore_job_progress() FROM public;

-- The doctor counts; what was found, and where, it cannot read.
GRANT SELECT (job_id, created_at, updated_at) ON jobs TO scanner_doctor;
GRANT SELECT (job_id, status, updated_at) ON job_objects TO scanner_doctor;
GRANT SELECT (job_id) ON findings TO scanner_doctor;
GRANT SELECT ON job_progress, job_progress_live, job_progress_counts, job_progress_deltas,
    materialized_view_refresh_log TO scanner_doctor;
GRANT EXECUTE ON FUNCTION verify_job_progress() TO scanner_doctor;

-- The ledger is the runner's; without the runner there is none.
DO $$
BEGIN
    IF to_regclass('public.schema_migrations') IS NOT NULL THEN
        GRANT SELECT ON public.schema_migrations TO scanner_doctor;
    END IF;
END
$$;
