-- Connections, lock waits and open transactions.

-- name: connection
-- Which server answers, and since when it runs.
SELECT current_setting('server_version') AS version,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS up_seconds;

-- name: sessions
-- The sessions by user and application, and max_connections.
SELECT coalesce(usename, 'unknown') AS usename,
       coalesce(application_name, '') AS application_name,
       count(*) AS sessions,
       count(*) FILTER (WHERE state = 'idle') AS idle,
       coalesce(bool_or(usesysid IN (SELECT oid FROM pg_roles WHERE rolsuper)), true) AS is_superuser,
       current_setting('max_connections')::int AS max_connections
FROM pg_stat_activity
WHERE backend_type = 'client backend'
GROUP BY usename, application_name
ORDER BY sessions DESC, usename, application_name;

-- name: lock_waits
-- The sessions that wait for a lock and those that they wait for. Waits for a virtual transaction are left out: only a build
-- or drop that runs CONCURRENTLY does that, and no session queues behind it.
WITH waiting AS MATERIALIZED (
    SELECT pid,
           extract(epoch FROM clock_timestamp() - min(waitstart))::float8 AS wait_seconds,
           pg_blocking_pids(pid) AS blockers
    FROM pg_locks
    JOIN pg_stat_activity USING (pid)
    WHERE NOT granted
      AND locktype <> 'virtualxid'
      AND datname = current_database()
    GROUP BY pid
)
SELECT pid,
       backend_start AS began,
       coalesce(usename, backend_type) AS usename,
       application_name,
       coalesce(state, 'active') AS state,
       backend_type = 'client backend' AS is_client,
       left(query, 1000) AS query,
       coalesce(extract(epoch FROM clock_timestamp() - state_change), 0)::float8 AS state_seconds,
       coalesce(waiting.wait_seconds, 0) AS wait_seconds,
       coalesce(waiting.blockers, '{}') AS blockers
FROM pg_stat_activity
LEFT JOIN waiting USING (pid)
WHERE waiting.pid IS NOT NULL
   OR pid = ANY (ARRAY(SELECT unnest(blockers) FROM waiting));

-- name: prepared
-- The prepared transactions of this database, oldest first: they hold locks and have no session.
SELECT gid,
       owner,
       extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds
FROM pg_prepared_xacts
WHERE database = current_database()
ORDER BY prepared;

-- name: long_transactions
-- Transactions older than `seconds`, oldest first, without those of concurrent index builds.
SELECT pid,
       backend_start AS began,
       usename,
       application_name,
       state,
       left(query, 1000) AS query,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
FROM pg_stat_activity
WHERE datname = current_database()
  AND backend_type = 'client backend'
  AND pid <> pg_backend_pid()
  AND xact_start < clock_timestamp() - make_interval(secs => %(seconds)s)
  AND pid NOT IN (SELECT pid FROM pg_stat_progress_create_index WHERE command LIKE '%%CONCURRENTLY')
ORDER BY xact_start;

-- name: idle_in_transaction
-- Sessions that have been idle in a transaction for `seconds`, oldest first.
SELECT pid,
       backend_start AS began,
       usename,
       application_name,
       left(query, 1000) AS query,
       extract(epoch FROM clock_timestamp() - state_change)::float8 AS seconds
FROM pg_stat_activity
WHERE datname = current_database()
  AND state LIKE 'idle in transaction%%'
  AND state_change < clock_timestamp() - make_interval(secs => %(seconds)s)
ORDER BY state_change;
