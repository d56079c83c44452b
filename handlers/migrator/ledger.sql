-- The ledger schema_migrations and the lock that goes with it.

-- name: create_ledger
-- One row a migration; applied_at stays null while a file outside a transaction is on its way.
CREATE TABLE IF NOT EXISTS schema_migrations (
    version int PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_statements text[] NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_at timestamptz,
    duration_ms bigint NOT NULL DEFAULT 0,
    applied_by text NOT NULL DEFAULT session_user,
    release text NOT NULL
);

-- name: ledger_exists
SELECT to_regclass('schema_migrations') IS NOT NULL;

-- name: read_ledger
SELECT version, name, checksum, applied_statements, applied_at
FROM schema_migrations
ORDER BY version;

-- name: record_statements
-- How far a file has come, in the transaction of what was done; complete when `done`.
INSERT INTO schema_migrations AS ledger
    (version, name, checksum, applied_statements, applied_at, duration_ms, release)
VALUES
    (%(version)s, %(name)s, %(checksum)s, %(applied_statements)s,
     CASE WHEN %(done)s THEN clock_timestamp() END, %(duration_ms)s, %(release)s)
ON CONFLICT (version) DO UPDATE
SET checksum = excluded.checksum,
    applied_statements = excluded.applied_statements,
    applied_at = excluded.applied_at,
    duration_ms = ledger.duration_ms + excluded.duration_ms,
    release = excluded.release;

-- name: try_lock
-- A lock of the session: it ends with the connection, also after kill -9. Polled, because a session that waits inside
-- pg_advisory_lock holds a snapshot, and a concurrent index build of the holder would wait for that for ever.
SELECT pg_try_advisory_lock(hashtextextended('schema_migrations', 0));

-- name: lock_holder
-- Who holds the lock: a bigint key is stored as two halves.
SELECT activity.pid, activity.application_name, activity.backend_start
FROM pg_locks AS locks
JOIN pg_stat_activity AS activity USING (pid)
WHERE locks.locktype = 'advisory'
  AND locks.granted
  AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND locks.objsubid = 1
  AND (locks.classid::bigint << 32 | locks.objid::bigint) = hashtextextended('schema_migrations', 0);

-- name: index_state
-- Whether an index exists and is usable; no row when it does not exist.
SELECT indisvalid
FROM pg_index
WHERE indexrelid = to_regclass(%(index)s);
