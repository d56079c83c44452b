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

-- From here on expected_rights() lists the rights of the doctor: it reads ids, states and times; not the content of a
-- finding, and not the key of an object.
SELECT grant_rights();
