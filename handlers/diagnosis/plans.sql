-- Whether statements find their way: indexes, plans, and which statements are slow.

-- name: indexes
-- The indexes of our tables; whether one is being built now; how often it was used, and for how long that was counted.
SELECT index_class.relname AS name,
       format('%%I.%%I', index_class.relnamespace::regnamespace::text, index_class.relname) AS qualified_name,
       table_class.relname AS table_name,
       index.indisvalid AS is_valid,
       -- Of the table, because a REINDEX that waits does not say which index it builds.
       (SELECT min(pid) FROM pg_stat_progress_create_index AS build WHERE build.relid = index.indrelid) AS builder,
       coalesce(statistics.idx_scan, 0) AS scans,
       pg_relation_size(index.indexrelid) AS bytes,
       extract(epoch FROM clock_timestamp() - coalesce(whole.stats_reset, pg_postmaster_start_time()))::float8
           AS counted_seconds
FROM pg_index AS index
JOIN pg_class AS index_class ON index_class.oid = index.indexrelid
JOIN pg_class AS table_class ON table_class.oid = index.indrelid
LEFT JOIN pg_stat_user_indexes AS statistics ON statistics.indexrelid = index.indexrelid
JOIN pg_stat_database AS whole ON whole.datname = current_database()
WHERE index.indrelid IN (SELECT to_regclass('public.' || name) FROM unnest(%(tables)s::text[]) AS name)
ORDER BY index_class.relname;

-- name: tables
-- Which of our tables are there, and how many rows the last ANALYZE or VACUUM counted; -1 when none has.
SELECT class.relname AS name, class.reltuples::bigint AS rows
FROM unnest(%(tables)s::text[]) AS wanted (name)
JOIN pg_class AS class ON class.oid = to_regclass('public.' || wanted.name);

-- name: largest_job
-- The job whose count costs most, as far as is known.
SELECT job_id
FROM public.job_progress
ORDER BY total_objects DESC
LIMIT 1;

-- name: as_reader
-- What progress_reader plans with (roles.sql), until the transaction ends.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true);

-- name: explain_job_progress
EXPLAIN (FORMAT JSON)
SELECT * FROM public.job_progress WHERE job_id = %(job_id)s;

-- name: explain_job_objects
EXPLAIN (FORMAT JSON)
SELECT status, count(*) FROM public.job_objects WHERE job_id = %(job_id)s GROUP BY status;

-- name: statements_extension
-- The schema of pg_stat_statements; no row when it is not installed.
SELECT set_config('search_path', concat_ws(', ', 'public', extnamespace::regnamespace::text), false)
FROM pg_extension
WHERE extname = 'pg_stat_statements';

-- name: statements
-- What costs most among the statements that take so long on average. What refresh runs by itself is judged by its duration,
-- and a statement that ran once says nothing of the next. Utility statements are left out: they keep their literals.
SELECT queryid,
       query,
       calls,
       mean_exec_time AS mean_ms,
       total_exec_time AS total_ms,
       shared_blks_read * current_setting('block_size')::bigint AS read_bytes
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND toplevel
  AND calls > 1
  AND mean_exec_time >= %(slow_ms)s
  AND query ~* '^\s*(with|select|insert|update|delete|merge)\M'
  AND query !~ '(refresh|verify|rebuild)_job_progress'
  AND userid IS DISTINCT FROM to_regrole('scanner_doctor')
ORDER BY total_exec_time DESC
LIMIT 3;
