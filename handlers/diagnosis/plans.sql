-- Indexes, the plans of status reads, and slow statements.

-- name: indexes
-- The indexes of our tables; whether one is being built now; how often it was used, and for how long that was counted.
-- For a partitioned table, uses and bytes are sums over its partitions' indexes; the invalid ones among these are rows too.
SELECT index_class.relname AS name,
       format('%%I.%%I', index_class.relnamespace::regnamespace::text, index_class.relname) AS qualified_name,
       table_class.relname AS table_name,
       index_class.relkind = 'I' AS is_partitioned,
       index.indisvalid AS is_valid,
       -- By table, because a REINDEX that waits does not report which index it builds.
       (SELECT min(pid) FROM pg_stat_progress_create_index AS build WHERE build.relid = index.indrelid) AS builder,
       used.scans,
       used.bytes,
       extract(epoch FROM clock_timestamp() - coalesce(whole.stats_reset, pg_postmaster_start_time()))::float8
           AS counted_seconds
FROM pg_index AS index
JOIN pg_class AS index_class ON index_class.oid = index.indexrelid
JOIN pg_class AS table_class ON table_class.oid = index.indrelid
CROSS JOIN LATERAL (
    SELECT coalesce(sum(statistics.idx_scan), 0)::bigint AS scans,
           sum(pg_relation_size(leaf.relid))::bigint AS bytes
    FROM (
        SELECT relid FROM pg_partition_tree(index.indexrelid) WHERE isleaf
        UNION
        SELECT index.indexrelid
    ) AS leaf
    LEFT JOIN pg_stat_user_indexes AS statistics ON statistics.indexrelid = leaf.relid
) AS used
JOIN pg_stat_database AS whole ON whole.datname = current_database()
WHERE index.indrelid IN (SELECT to_regclass('public.' || name) FROM unnest(%(tables)s::text[]) AS name)
   OR (NOT index.indisvalid
       AND index.indrelid IN (SELECT part.relid
                              FROM unnest(%(tables)s::text[]) AS name
                              CROSS JOIN LATERAL pg_partition_tree(to_regclass('public.' || name)) AS part
                              WHERE part.isleaf))
ORDER BY index_class.relname;

-- name: tables
-- Which of our tables exist, which relations hold their rows, and how many rows the last ANALYZE or VACUUM counted: below
-- 0 when none has run.
SELECT class.relname AS name,
       class.relkind = 'p' AS is_partitioned,
       array_agg(leaf.relname::text) AS relations,
       sum(leaf.reltuples)::bigint AS rows
FROM unnest(%(tables)s::text[]) AS wanted (name)
JOIN pg_class AS class ON class.oid = to_regclass('public.' || wanted.name)
LEFT JOIN LATERAL pg_partition_tree(class.oid) AS part ON part.isleaf
JOIN pg_class AS leaf ON leaf.oid = coalesce(part.relid, class.oid)
GROUP BY class.oid, class.relname, class.relkind;

-- name: largest_job
-- The job with the most objects at the last refresh, whose count costs most.
SELECT job_id
FROM public.job_progress
ORDER BY total_objects DESC
LIMIT 1;

-- name: as_reader
-- The settings of progress_reader (roles.sql), until the transaction ends.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true);

-- name: explain_job_progress
EXPLAIN (FORMAT JSON)
SELECT * FROM public.job_progress WHERE job_id = %(job_id)s;

-- name: explain_job_objects
EXPLAIN (FORMAT JSON)
SELECT status, count(*) FROM public.job_objects WHERE job_id = %(job_id)s GROUP BY status;

-- name: statements_extension
-- No row when pg_stat_statements is not installed.
SELECT extname FROM pg_extension WHERE extname = 'pg_stat_statements';

-- name: statements_path
-- Puts the schema of pg_stat_statements into the search_path, until the transaction ends.
SELECT set_config('search_path', concat_ws(', ', 'pg_catalog', extnamespace::regnamespace), true)
FROM pg_extension
WHERE extname = 'pg_stat_statements';

-- name: statements
-- The statements with the most total time among those that average at least `slow_ms`. Left out: what a refresh runs, which
-- has its own threshold; statements that ran once; and utility statements, because their literals are kept.
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
