-- What `scannerdb doctor` reads, and what each refresh measures of the sessions: waits for locks and open transactions.

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

-- The doctor counts; what was found, and where, it cannot read.
GRANT SELECT (job_id, created_at, updated_at) ON jobs TO scanner_doctor;
GRANT SELECT (job_id, status, updated_at) ON job_objects TO scanner_doctor;
GRANT SELECT (job_id) ON findings TO scanner_doctor;
GRANT SELECT ON job_progress, job_progress_live, job_progress_counts, job_progress_deltas,
    materialized_view_refresh_log TO scanner_doctor;

-- The ledger is the runner's; without the runner there is none.
DO $$
BEGIN
    IF to_regclass('public.schema_migrations') IS NOT NULL THEN
        GRANT SELECT ON public.schema_migrations TO scanner_doctor;
    END IF;
END
$$;
