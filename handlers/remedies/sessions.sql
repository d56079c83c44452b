-- Sessions that an on-call ends. A pid is given to another session after the end of its own, so a session is named by both its
-- pid and its beginning.

-- name: session
SELECT pid,
       backend_start AS began,
       coalesce(usename, '') AS usename,
       coalesce(application_name, '') AS application_name,
       coalesce(host(client_addr), '') AS client,
       coalesce(state, '') AS state,
       extract(epoch FROM clock_timestamp() - state_change)::float8 AS state_seconds,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_seconds,
       left(query, 1000) AS query,
       cardinality(ARRAY(SELECT waiting.pid
                         FROM pg_stat_activity AS waiting
                         WHERE waiting.wait_event_type = 'Lock'
                           AND activity.pid = ANY (pg_blocking_pids(waiting.pid)))) AS blocked
FROM pg_stat_activity AS activity
WHERE pid = %(pid)s
  AND backend_type = 'client backend'
  AND pid <> pg_backend_pid();

-- name: idle
-- The idle sessions by user and application, most first. RDS lets no client end a session of a superuser.
SELECT usename,
       coalesce(application_name, '') AS application_name,
       count(*) FILTER (WHERE state = 'idle') AS idle,
       count(*) AS sessions
FROM pg_stat_activity
WHERE backend_type = 'client backend'
  AND pid <> pg_backend_pid()
  AND usesysid NOT IN (SELECT oid FROM pg_roles WHERE rolsuper)
  AND (%(user)s::text IS NULL OR usename = %(user)s)
  AND (%(application)s::text IS NULL OR application_name = %(application)s)
GROUP BY usename, application_name
HAVING count(*) FILTER (WHERE state = 'idle') > 0
ORDER BY idle DESC, sessions DESC, usename, application_name;

-- name: terminate
-- Whether it ended, within five seconds.
SELECT pg_terminate_backend(pid, 5000) AS is_done
FROM pg_stat_activity
WHERE pid = %(pid)s
  AND backend_start = %(began)s;

-- name: cancel
SELECT pg_cancel_backend(pid) AS is_done
FROM pg_stat_activity
WHERE pid = %(pid)s
  AND backend_start = %(began)s;

-- name: terminate_idle
-- Without waiting for their end: there may be hundreds.
SELECT count(*) AS ended
FROM (SELECT pg_terminate_backend(pid) AS is_done
      FROM pg_stat_activity
      WHERE state = 'idle'
        AND backend_type = 'client backend'
        AND pid <> pg_backend_pid()
        AND usename = %(usename)s
        AND application_name = %(application_name)s) AS asked
WHERE is_done;
