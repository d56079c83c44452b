-- Which statuses occur in job_objects, at a cost that does not grow with its rows.

-- name: column
-- The column `status`: whether an index begins with it, the size of the table, what the last ANALYZE found, and the
-- statuses that a CHECK constraint allows. A type whose operators an extension made, as citext, compares in its own way:
-- a constraint and an index on it say too little.
SELECT NOT attribute.attnotnull AS nullable,
       type.typtype = 'e' OR coalesce(base.typnamespace, type.typnamespace) = 'pg_catalog'::regnamespace AS plain,
       EXISTS (SELECT
               FROM pg_index AS index
               JOIN pg_class AS index_class ON index_class.oid = index.indexrelid
               JOIN pg_am AS method ON method.oid = index_class.relam
               WHERE index.indrelid = attribute.attrelid
                 AND index.indkey[0] = attribute.attnum
                 AND index.indisvalid
                 AND index.indpred IS NULL
                 AND method.amname = 'btree') AS indexed,
       (SELECT coalesce(sum(pg_relation_size(relid)), 0) FROM pg_partition_tree(attribute.attrelid))::bigint
           + pg_relation_size(attribute.attrelid) AS bytes,
       stats.most_common_vals::text::text[] AS common,
       stats.null_frac > 0 AS has_nulls,
       (SELECT array_agg(literal[1])
        FROM pg_constraint AS rule
        CROSS JOIN regexp_matches(pg_get_constraintdef(rule.oid), '''([^'']*)''', 'g') AS literal
        WHERE rule.conrelid = attribute.attrelid
          AND rule.contype = 'c'
          AND rule.convalidated
          AND rule.conkey = ARRAY[attribute.attnum]
          AND pg_get_constraintdef(rule.oid) ~ '^CHECK \(\(\(*"?status"?\)*(::text)? = ANY \(+ARRAY\[[^()]*\]\)+(::text\[\]\)+)?$'
       ) AS allowed
FROM pg_attribute AS attribute
JOIN pg_class AS class ON class.oid = attribute.attrelid
JOIN pg_type AS type ON type.oid = attribute.atttypid
LEFT JOIN pg_type AS base ON base.oid = type.typbasetype
LEFT JOIN pg_stats AS stats
  ON stats.schemaname = 'public'
 AND stats.tablename = 'job_objects'
 AND stats.attname = 'status'
 AND stats.inherited = (class.relkind = 'p')
WHERE attribute.attrelid = to_regclass('public.job_objects')
  AND class.relkind IN ('r', 'p')
  AND attribute.attname = 'status'
  AND NOT attribute.attisdropped;

-- name: by_index
-- Jumps from one status to the next in the index: as many steps as there are statuses.
WITH RECURSIVE jumps AS (
    (SELECT status FROM public.job_objects WHERE status IS NOT NULL ORDER BY status LIMIT 1)
    UNION ALL
    SELECT (SELECT next.status
            FROM public.job_objects AS next
            WHERE next.status > jumps.status
            ORDER BY next.status
            LIMIT 1)
    FROM jumps
    WHERE jumps.status IS NOT NULL
)
SELECT status::text FROM jumps WHERE status IS NOT NULL
UNION ALL
(SELECT NULL FROM public.job_objects WHERE status IS NULL LIMIT 1);

-- name: by_reading
SELECT DISTINCT status::text FROM public.job_objects;
