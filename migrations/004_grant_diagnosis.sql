-- The rights of `scannerdb doctor`, and the function by which each refresh measures lock waits and open transactions.

-- Statistics of statements, without their values. RDS lets the master user create the extension. Where the server
-- refuses, the migration goes on: the doctor reports the missing extension and how to create it.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
        RAISE WARNING 'pg_stat_statements is not there: %', SQLERRM;
END
$$;

-- The age of the longest lock wait and of the oldest transaction in this database, in seconds; 0 when there is none.
-- Runs with its owner's rights, who sees all sessions through pg_monitor; its callers see two numbers. Takes no lock.
-- Leaves out CREATE and DROP INDEX CONCURRENTLY: no session queues behind their waits (locktype virtualxid), and vacuum
-- of other tables ignores the transaction of such a build.
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

-- The doctor reads ids, states and times; not the content of a finding, and not the key of an object.
-- All its rights on objects are here. build_job_progress() repeats that on job_progress, for a view that is restored.
GRANT SELECT (job_id, created_at, updated_at) ON jobs TO scanner_doctor;
GRANT SELECT (job_id, status, updated_at) ON job_objects TO scanner_doctor;
GRANT SELECT (job_id) ON findings TO scanner_doctor;
GRANT SELECT ON job_progress, job_progress_live, job_progress_counts, job_progress_deltas,
    materialized_view_refresh_log TO scanner_doctor;
GRANT EXECUTE ON FUNCTION verify_job_progress() TO scanner_doctor;

-- The runner creates the ledger; where psql applied these files, there is none.
DO $$
BEGIN
    IF to_regclass('public.schema_migrations') IS NOT NULL THEN
        GRANT SELECT ON public.schema_migrations TO scanner_doctor;
    END IF;
END
$$;
