-- The ledger public.schema_migrations, the lock that goes with it, and what the runner asks the server about its work.

-- name: create_ledger
-- One row a migration; applied_at stays null while a file outside a transaction is only partly applied.
CREATE TABLE IF NOT EXISTS public.schema_migrations (
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

-- name: ledger_columns
-- Null when there is no such table; another tool may have one of the same name.
SELECT array_agg(attname::text ORDER BY attnum)
FROM pg_attribute
WHERE attrelid = to_regclass('public.schema_migrations')
  AND attnum > 0
  AND NOT attisdropped;

-- name: other_ledgers
-- Ledgers in other schemas, and their owners.
SELECT quote_ident(namespace.nspname) || '.schema_migrations', quote_ident(pg_get_userbyid(class.relowner))
FROM pg_class AS class
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
WHERE class.relname = 'schema_migrations'
  AND class.relkind IN ('r', 'p')
  AND namespace.nspname <> 'public'
  AND attribute.attname = 'applied_statements'
  AND NOT attribute.attisdropped
ORDER BY 1;

-- name: read_ledger
SELECT version, name, checksum, applied_statements, applied_at
FROM public.schema_migrations
ORDER BY version;

-- name: table_sizes
-- The bytes of each table with its partitions, and of each index, by the name that a migration gives it.
SELECT class.oid::regclass::text AS name,
       CASE class.relkind
           WHEN 'p' THEN (SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(class.oid))
           ELSE pg_relation_size(class.oid)
       END::bigint AS bytes
FROM pg_class AS class
WHERE class.relkind IN ('r', 'p', 'm', 'i')
  AND class.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND class.relpersistence <> 't';

-- name: record_statements
-- The statements of a file that are applied, recorded in their own transaction; the file is complete when `done`.
INSERT INTO public.schema_migrations AS ledger
    (version, name, checksum, applied_statements, started_at, applied_at, duration_ms, release)
VALUES
    (%(version)s, %(name)s, %(checksum)s, %(applied_statements)s, %(started_at)s,
     CASE WHEN %(done)s THEN clock_timestamp() END,
     extract(epoch FROM clock_timestamp() - %(started_at)s) * 1000, %(release)s)
ON CONFLICT (version) DO UPDATE
SET checksum = excluded.checksum,
    applied_statements = excluded.applied_statements,
    applied_at = excluded.applied_at,
    duration_ms = ledger.duration_ms + excluded.duration_ms,
    release = excluded.release;

-- name: reopen
-- A rollback outside a transaction begins: if it dies, the next deploy runs the whole file again.
UPDATE public.schema_migrations
SET applied_at = NULL,
    applied_statements = '{}'
WHERE version = %(version)s;

-- name: forget
DELETE FROM public.schema_migrations
WHERE version = %(version)s;

-- name: reset_session
-- Undoes what a statement of a migration set for the session. RESET ALL leaves user and role as they are.
RESET SESSION AUTHORIZATION;
RESET ROLE;
RESET ALL;

-- name: prepare_session
-- What the runner and the migrations depend on, in place of the defaults of the server, the database and the role. Sets
-- what differs, because a user may lack the right to set session_replication_role.
-- An idle session must end with its client, because it holds the lock: the server ends it when it idles for a minute or
-- when the client does not answer keepalives. A running statement must outlive its client: no timeout ends it, the
-- server does not check the connection, and it sends no notices, which would fail.
SET statement_timeout = 0;
SELECT set_config(name, value, false)
FROM (VALUES
    -- Where unqualified names lead, and where objects are created.
    ('search_path', 'public, pg_temp'),
    ('default_table_access_method', 'heap'),
    -- How rows are seen. Under READ COMMITTED each statement sees what was committed before it; hidden rows raise.
    ('default_transaction_isolation', 'read committed'),
    ('default_transaction_read_only', 'off'),
    ('default_transaction_deferrable', 'off'),
    ('row_security', 'off'),
    ('restrict_nonsystem_relation_kind', ''),
    -- Triggers count what a migration writes.
    ('session_replication_role', 'origin'),
    -- How SQL is read.
    ('client_encoding', 'UTF8'),
    ('standard_conforming_strings', 'on'),
    ('array_nulls', 'on'),
    ('transform_null_equals', 'off'),
    ('check_function_bodies', 'on'),
    ('plpgsql.extra_errors', 'none'),
    ('plpgsql.extra_warnings', 'none'),
    ('exit_on_error', 'off'),
    -- How values and definitions are written.
    ('quote_all_identifiers', 'off'),
    ('datestyle', 'ISO, MDY'),
    ('intervalstyle', 'postgres'),
    ('timezone', 'UTC'),
    ('bytea_output', 'hex'),
    ('extra_float_digits', '1'),
    ('client_min_messages', 'error'),
    -- How long things last.
    ('idle_session_timeout', '60s'),
    ('tcp_keepalives_idle', '30'),
    ('tcp_keepalives_interval', '10'),
    ('tcp_keepalives_count', '3'),
    ('transaction_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('lock_timeout', '0'),
    ('client_connection_check_interval', '0')
) AS setting (name, value)
-- A setting that this version lacks reads as null.
WHERE current_setting(name, true) <> value;

-- name: try_lock
-- A lock of the session: it ends with the connection, also after kill -9. Polled, because a session that waits inside
-- pg_advisory_lock holds a snapshot, and a concurrent index build of the holder would wait for that snapshot for ever.
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

-- name: index_states
-- What exists under the names of indexes, in the schemas of their tables. An index has its keys, unless it has a part
-- that these do not tell: an expression, a predicate, INCLUDE, another operator class or collation than its column's.
-- Bits of indoption: INDOPTION_DESC and INDOPTION_NULLS_FIRST of PostgreSQL's src/include/catalog/pg_index.h.
SELECT class.oid::regclass::text AS subject,
       format('%%s.%%I', class.relnamespace::regnamespace, class.relname) AS qualified_name,
       index.indexrelid IS NOT NULL AS is_index,
       index.indisvalid AS valid,
       index.indisunique AS is_unique,
       index.indrelid = indexed.oid AS same_table,
       pg_get_indexdef(index.indexrelid) AS definition,
       method.amname AS method,
       CASE WHEN keys.tell_all AND index.indpred IS NULL AND index.indnatts = index.indnkeyatts
                 AND NOT index.indnullsnotdistinct
            THEN keys.list
       END AS keys,
       wanted.position - 1 AS position
FROM unnest(%(wanted_indexes)s::text[], %(wanted_tables)s::text[])
    WITH ORDINALITY AS wanted (name, relation, position)
JOIN pg_class AS indexed
  ON indexed.oid = to_regclass(
         CASE WHEN cardinality(parse_ident(wanted.relation)) = 1 THEN 'public.' ELSE '' END || wanted.relation
     )
JOIN pg_class AS class ON class.relnamespace = indexed.relnamespace AND class.relname = wanted.name
LEFT JOIN pg_index AS index ON index.indexrelid = class.oid
LEFT JOIN pg_am AS method ON method.oid = class.relam
CROSS JOIN LATERAL (
    SELECT bool_and(coalesce(opclass.opcdefault AND key.collated = attribute.attcollation, false)) AS tell_all,
           jsonb_agg(jsonb_build_object('column', attribute.attname,
                                        'descending', key.option & 1 <> 0,
                                        'nulls_first', key.option & 2 <> 0)
                     ORDER BY key.position) AS list
    FROM unnest(index.indkey::int2[], index.indoption::int2[], index.indclass::oid[], index.indcollation::oid[])
        WITH ORDINALITY AS key (number, option, opclass, collated, position)
    -- An expression has the number 0.
    LEFT JOIN pg_attribute AS attribute
      ON attribute.attrelid = index.indrelid AND attribute.attnum = nullif(key.number, 0)
    LEFT JOIN pg_opclass AS opclass ON opclass.oid = key.opclass
    -- A column of INCLUDE has no operator class.
    WHERE key.position <= index.indnkeyatts
) AS keys
ORDER BY wanted.position;

-- name: activity
-- The statement that a session runs, and the progress of an index build.
SELECT extract(epoch FROM clock_timestamp() - activity.query_start)::float8 AS seconds,
       progress.phase,
       progress.blocks_done,
       progress.blocks_total,
       progress.tuples_done,
       progress.tuples_total
FROM pg_stat_activity AS activity
LEFT JOIN pg_stat_progress_create_index AS progress USING (pid)
WHERE activity.pid = %(pid)s
  AND activity.state = 'active';

-- name: blockers
-- The sessions that a session waits for, oldest transaction first.
SELECT pid, usename, application_name, state, coalesce(xact_start, backend_start) AS since
FROM pg_stat_activity
WHERE pid = ANY (pg_blocking_pids(%(pid)s))
ORDER BY since;

-- name: other_owners
-- Relations whose owner's rights the session does not have, and that owner.
SELECT name, quote_ident(pg_get_userbyid(class.relowner))
FROM unnest(%(relations)s::text[]) AS name
JOIN pg_class AS class ON class.oid = to_regclass(name)
WHERE NOT pg_has_role(class.relowner, 'USAGE');

-- name: relation_size
-- Rows of a table, and the average width of some of its columns, as the last ANALYZE left them.
SELECT greatest(class.reltuples, 0)::bigint AS rows,
       (SELECT sum(stats.avg_width)
        FROM pg_stats AS stats
        WHERE stats.schemaname = class.relnamespace::regnamespace::text
          AND stats.tablename = class.relname
          AND stats.attname = ANY (%(columns)s)) AS width
FROM pg_class AS class
WHERE class.oid = to_regclass(%(relation)s);

-- name: adopted_views
-- Views of an older deployment, how many grants each has, on columns too, and whether 002 replaces it or builds it again.
WITH RECURSIVE dependents AS (
    SELECT to_regclass(name)::oid AS oid
    FROM unnest(ARRAY['job_progress', 'active_jobs_progress', 'job_statistics']) AS name
    WHERE to_regclass(name) IS NOT NULL
    UNION
    SELECT rewrite.ev_class
    FROM dependents
    JOIN pg_depend AS depend
      ON depend.refclassid = 'pg_class'::regclass
     AND depend.refobjid = dependents.oid
     AND depend.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite AS rewrite ON rewrite.oid = depend.objid
)
SELECT class.oid::regclass::text,
       CASE class.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END,
       (SELECT count(*) FROM aclexplode(class.relacl) AS grants WHERE grants.grantee <> class.relowner)
           + (SELECT count(*) FROM pg_attribute CROSS JOIN aclexplode(attacl) WHERE attrelid = class.oid),
       class.oid IN (to_regclass('public.job_progress'), to_regclass('public.active_jobs_progress'),
                     to_regclass('public.job_statistics'))
FROM dependents
JOIN pg_class AS class USING (oid)
ORDER BY class.oid;

-- name: adoption_changes
-- What 002 does not keep of an older deployment's objects, a sentence each.
WITH job_progress AS (
    SELECT attrelid, attnum, attname
    FROM pg_attribute
    WHERE attrelid = to_regclass('public.job_progress')
      AND attnum > 0
      AND NOT attisdropped
      AND attname <> ALL (ARRAY[
          'job_id', 'bucket', 'prefix', 'execution_arn', 'created_at', 'updated_at', 'total_objects', 'queued_count',
          'processing_count', 'succeeded_count', 'failed_count', 'total_findings', 'progress_percent', 'last_object_update'
      ])
)
SELECT format('job_progress loses its column %I', attname)
FROM job_progress
UNION ALL
SELECT DISTINCT format('job_progress loses its index %s, for want of the column %I', depend.objid::regclass, attname)
FROM job_progress
JOIN pg_depend AS depend
  ON depend.refclassid = 'pg_class'::regclass
 AND depend.refobjid = attrelid
 AND depend.refobjsubid = attnum
 AND depend.classid = 'pg_class'::regclass
JOIN pg_index AS index ON index.indexrelid = depend.objid
UNION ALL
SELECT 'total_objects_processed of job_statistics is computed otherwise, and will count the objects that succeeded'
FROM pg_attribute
WHERE attrelid = to_regclass('public.job_statistics')
  AND attname = 'total_objects_processed'
  AND pg_get_viewdef(attrelid) !~ 'sum\((job_progress\.)?succeeded_count\)(, \(?0\)?(::numeric)?\))? AS total_objects_processed'
UNION ALL
SELECT format('last_refreshed_at of materialized_view_refresh_log is a %s and becomes a timestamptz',
              format_type(atttypid, atttypmod))
FROM pg_attribute
WHERE attrelid = to_regclass('public.materialized_view_refresh_log')
  AND attname = 'last_refreshed_at'
  AND atttypid <> 'timestamptz'::regtype
UNION ALL
SELECT 'PUBLIC may no longer execute refresh_job_progress(): GRANT EXECUTE to each role that calls it'
FROM pg_proc
CROSS JOIN LATERAL aclexplode(coalesce(proacl, acldefault('f', proowner))) AS grants
WHERE oid = to_regprocedure('public.refresh_job_progress()')
  AND grants.grantee = 0;
