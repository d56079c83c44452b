-- What is looked at in the tables and their columns. Each row becomes a finding: `subject`, `value`, and the columns that
-- its record in checks.py names. Reads the catalogue only. Runs with search_path = pg_catalog, pg_temp.

-- name: elsewhere
-- The tables in another schema while public has no job_objects: fresh and empty ones would be made beside them.
SELECT schema.nspname || '.job_objects' AS subject,
       'public has no table job_objects' AS value,
       (SELECT string_agg(format('ALTER TABLE %%I.%%I SET SCHEMA public', schema.nspname, name), '; ')
        FROM unnest(%(tables)s::text[]) AS name
        WHERE to_regclass(format('%%I.%%I', schema.nspname, name)) IS NOT NULL
          AND to_regclass(format('public.%%I', name)) IS NULL) AS statement
FROM pg_class AS class
JOIN pg_namespace AS schema ON schema.oid = class.relnamespace
WHERE class.relname = 'job_objects'
  AND to_regclass('public.job_objects') IS NULL
  AND schema.nspname !~ '^(pg_|information_schema$)'
  AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = class.oid AND attname = 'job_id')
  AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = class.oid AND attname = 'status');

-- name: kind
-- Relations under our names that are of another kind.
SELECT class.oid::regclass::text AS subject,
       kinds.name AS value,
       CASE wanted.kind WHEN 'm' THEN 'view or a materialized view' WHEN 'v' THEN 'view' ELSE 'table' END AS wanted,
       format('ALTER %%s %%s RENAME TO ...', upper(kinds.name), class.oid::regclass) AS statement
FROM unnest(%(relations)s::text[], %(kinds)s::text[]) AS wanted (name, kind)
JOIN pg_class AS class ON class.oid = to_regclass(format('public.%%I', wanted.name))
JOIN (VALUES ('r', 'table', 't'), ('p', 'table', 't'), ('v', 'view', 'vm'), ('m', 'materialized view', 'm'),
             ('f', 'foreign table', ''), ('S', 'sequence', ''), ('i', 'index', ''), ('I', 'index', ''),
             ('c', 'type', '')) AS kinds (relkind, name, fits) ON kinds.relkind = class.relkind::text
WHERE strpos(kinds.fits, wanted.kind) = 0;

-- name: missing_columns
-- Columns that migrations, refreshes and reads use. One that only describes can be added in an instant.
SELECT class.oid::regclass || '.' || needed.name AS subject,
       'missing' AS value,
       CASE
           WHEN needed.identifies
               THEN format('Where it is the table of another application: ALTER TABLE %%s RENAME TO ...', class.oid::regclass)
           WHEN class.reloftype <> 0
               THEN format('ALTER TYPE %%s ADD ATTRIBUTE %%I %%s CASCADE', class.reloftype::regtype, needed.name,
                           needed.type)
           ELSE format('ALTER TABLE %%s ADD COLUMN %%I %%s; no row is rewritten. A COPY into the table must name its '
                       'columns first', class.oid::regclass, needed.name, needed.type)
       END AS statement
FROM (VALUES ('jobs', 'job_id', 'uuid', true),
             ('jobs', 'bucket', 'text', false),
             ('jobs', 'prefix', 'text', false),
             ('jobs', 'execution_arn', 'text', false),
             ('jobs', 'created_at', 'timestamptz', false),
             ('jobs', 'updated_at', 'timestamptz', false),
             ('job_objects', 'job_id', 'uuid', true),
             ('job_objects', 'bucket', 'text', true),
             ('job_objects', 'key', 'text', true),
             ('job_objects', 'status', 'text', true),
             ('job_objects', 'updated_at', 'timestamptz', false),
             ('findings', 'job_id', 'uuid', true),
             ('findings', 'detector', 'text', true),
             ('materialized_view_refresh_log', 'view_name', 'text', true)
     ) AS needed (relation, name, type, identifies)
JOIN pg_class AS class ON class.oid = to_regclass('public.' || needed.relation)
WHERE class.relkind IN ('r', 'p')
  AND NOT EXISTS (SELECT
                  FROM pg_attribute
                  WHERE attrelid = class.oid
                    AND attname = needed.name
                    AND NOT attisdropped);

-- name: job_id_types
-- Counts, deltas and the functions that take a job have uuid; a domain over uuid will do.
SELECT attrelid::regclass || '.job_id' AS subject,
       format_type(attribute.atttypid, attribute.atttypmod) AS value,
       CASE
           WHEN coalesce(nullif(type.typbasetype, 0), type.oid) IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
               THEN 'Numbers can become UUIDs, where the application then writes and reads these'
           ELSE 'Where each value is a UUID'
       END AS condition,
       format('ALTER TABLE %%s ALTER COLUMN job_id %%sTYPE uuid USING %%s',
              attrelid::regclass,
              CASE WHEN attribute.atthasdef THEN 'DROP DEFAULT, ALTER COLUMN job_id ' END,
              CASE
                  WHEN coalesce(nullif(type.typbasetype, 0), type.oid)
                       IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
                      THEN 'lpad(to_hex(job_id), 32, ''0'')::uuid'
                  ELSE 'job_id::text::uuid'
              END) AS statement
FROM unnest(%(tables)s::text[]) AS name
JOIN pg_attribute AS attribute ON attribute.attrelid = to_regclass('public.' || name)
JOIN pg_class AS class ON class.oid = attribute.attrelid
JOIN pg_type AS type ON type.oid = attribute.atttypid
WHERE attribute.attname = 'job_id'
  AND class.relkind IN ('r', 'p')
  AND 'uuid'::regtype NOT IN (type.oid, type.typbasetype);

-- name: nullable_job_ids
-- From PostgreSQL 18 on a NOT NULL constraint can be NOT VALID: rows that are older than it may be null.
SELECT attrelid::regclass || '.job_id' AS subject,
       'may be NULL' AS value,
       format('DELETE FROM %%1$s WHERE job_id IS NULL; ALTER TABLE %%1$s ALTER COLUMN job_id SET NOT NULL',
              attrelid::regclass) AS statement
FROM unnest(%(tables)s::text[]) AS name
JOIN pg_attribute AS attribute ON attribute.attrelid = to_regclass('public.' || name)
JOIN pg_class AS class ON class.oid = attribute.attrelid
WHERE attribute.attname = 'job_id'
  AND class.relkind IN ('r', 'p')
  AND (NOT attribute.attnotnull
       OR EXISTS (SELECT
                  FROM pg_constraint
                  WHERE conrelid = attribute.attrelid
                    AND contype = 'n'
                    AND conkey = ARRAY[attribute.attnum]
                    AND NOT convalidated));

-- name: jobs_without_key
-- job_progress has one row a job.
SELECT 'public.jobs.job_id' AS subject,
       'not unique' AS value
FROM pg_class AS class
JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid AND attribute.attname = 'job_id'
WHERE class.oid = to_regclass('public.jobs')
  AND class.relkind IN ('r', 'p')
  AND NOT EXISTS (SELECT
                  FROM pg_index AS index
                  WHERE index.indrelid = class.oid
                    AND index.indisunique
                    AND index.indisvalid
                    AND index.indpred IS NULL
                    AND index.indnkeyatts = 1
                    AND index.indkey[0] = attribute.attnum);

-- name: times_without_zone
-- The times of a job that are not timestamptz, and can be compared with one.
SELECT 'public.jobs.' || attname AS subject,
       format_type(atttypid, atttypmod) AS value
FROM pg_attribute
WHERE attrelid = to_regclass('public.jobs')
  AND attname IN ('created_at', 'updated_at')
  AND atttypid IN ('timestamp'::regtype, 'date'::regtype);

-- name: times_of_other_types
SELECT attrelid::regclass || '.' || attname AS subject,
       format_type(atttypid, atttypmod) AS value,
       format('ALTER TABLE %%s ALTER COLUMN %%I TYPE timestamptz', attrelid::regclass, attname) AS statement
FROM pg_attribute
WHERE (attrelid = to_regclass('public.jobs')
       AND attname IN ('created_at', 'updated_at')
       AND atttypid NOT IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype))
   OR (attrelid = to_regclass('public.job_objects')
       AND attname = 'updated_at'
       AND atttypid <> 'timestamptz'::regtype);

-- name: children
-- Tables that inherit from ours. Partitions are no such tables: their rows come and go through the parent.
SELECT child.inhrelid::regclass::text AS subject,
       'inherits from ' || child.inhparent::regclass AS value,
       format('ALTER TABLE %%s NO INHERIT %%s', child.inhrelid::regclass, child.inhparent::regclass) AS statement
FROM unnest(%(counted)s::text[]) AS name
JOIN pg_class AS class ON class.oid = to_regclass('public.' || name)
JOIN pg_inherits AS child ON child.inhparent = class.oid
WHERE class.relkind = 'r';

-- name: parents
SELECT child.inhrelid::regclass::text AS subject,
       CASE WHEN class.relispartition THEN 'is a partition of ' ELSE 'inherits from ' END
           || child.inhparent::regclass AS value
FROM unnest(%(counted)s::text[]) AS name
JOIN pg_class AS class ON class.oid = to_regclass('public.' || name)
JOIN pg_inherits AS child ON child.inhrelid = class.oid;

-- name: partitioned
-- Partitioned by other means than `scannerdb partition`, which guards its table by a rule.
SELECT class.oid::regclass::text AS subject,
       'partitioned ' || pg_get_partkeydef(class.oid) AS value
FROM unnest(%(counted)s::text[]) AS name
JOIN pg_class AS class ON class.oid = to_regclass('public.' || name)
WHERE class.relkind = 'p'
  AND NOT EXISTS (SELECT FROM pg_rewrite WHERE ev_class = class.oid AND rulename = 'merge_is_told_wrongly_here');

-- name: unlogged
SELECT class.oid::regclass::text AS subject,
       'unlogged' AS value
FROM unnest(%(counted)s::text[]) AS name
JOIN pg_class AS class ON class.oid = to_regclass('public.' || name)
WHERE class.relpersistence = 'u';

-- name: rules
SELECT class.oid::regclass::text AS subject,
       'rule ' || rewrite.rulename AS value
FROM unnest(%(counted)s::text[]) AS name
JOIN pg_class AS class ON class.oid = to_regclass('public.' || name)
JOIN pg_rewrite AS rewrite ON rewrite.ev_class = class.oid
WHERE class.relkind IN ('r', 'p')
  AND rewrite.rulename <> 'merge_is_told_wrongly_here';

-- name: hidden_rows
-- Row security that holds for this login: its functions count with its rights.
SELECT class.oid::regclass::text AS subject,
       'row security holds for ' || current_user AS value,
       format('ALTER TABLE %%s NO FORCE ROW LEVEL SECURITY', class.oid::regclass) AS statement
FROM unnest(%(tables)s::text[]) AS name
JOIN pg_class AS class ON class.oid = to_regclass('public.' || name)
WHERE row_security_active(class.oid);

-- name: row_security
SELECT class.oid::regclass::text AS subject,
       'row security is enabled, with '
           || (SELECT count(*) FROM pg_policy WHERE polrelid = class.oid) || ' policies' AS value
FROM unnest(%(tables)s::text[]) AS name
JOIN pg_class AS class ON class.oid = to_regclass('public.' || name)
WHERE class.relrowsecurity
  AND NOT row_security_active(class.oid);

-- name: triggers
-- Triggers under the names of ours, which CREATE OR REPLACE TRIGGER would replace.
SELECT trigger.tgrelid::regclass || ', trigger ' || trigger.tgname AS subject,
       'calls ' || trigger.tgfoid::regprocedure AS value,
       format('ALTER TRIGGER %%I ON %%s RENAME TO ...', trigger.tgname, trigger.tgrelid::regclass) AS statement
FROM unnest(%(counted)s::text[]) AS name
JOIN pg_trigger AS trigger ON trigger.tgrelid = to_regclass('public.' || name)
WHERE trigger.tgname ~ ('^track_' || name || '_(insert|update|delete|truncate)$')
  AND trigger.tgfoid IS DISTINCT FROM to_regprocedure(format('public.track_%%s()', name));

-- name: redundant_indexes
-- Indexes that another serves as well: it has the same columns, or they are its first, in the same order and under the
-- same predicate. One that enforces uniqueness is only replaced by one that does too.
SELECT spare.indexrelid::regclass::text AS subject,
       pg_size_pretty(pg_relation_size(spare.indexrelid))
           || CASE WHEN kept.same THEN ', equal to ' ELSE ', its columns are the first of ' END
           || kept.indexrelid::regclass AS value,
       format('DROP INDEX CONCURRENTLY %%s', spare.indexrelid::regclass) AS statement
FROM unnest(%(tables)s::text[]) AS name
JOIN pg_index AS spare ON spare.indrelid = to_regclass('public.' || name)
JOIN pg_class AS class ON class.oid = spare.indexrelid
JOIN pg_am AS method ON method.oid = class.relam
CROSS JOIN LATERAL (
    SELECT other.indexrelid,
           other.indnkeyatts = spare.indnkeyatts AS same
    FROM pg_index AS other
    JOIN pg_class AS other_class ON other_class.oid = other.indexrelid
    CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM pg_constraint WHERE conindid = other.indexrelid)
               OR other_class.relname = ANY (%(indexes)s) AS stays
    ) AS rank
    WHERE other.indrelid = spare.indrelid
      AND other.indexrelid <> spare.indexrelid
      AND other.indisvalid
      AND other_class.relam = class.relam
      AND other.indnkeyatts >= spare.indnatts
      AND starts_with(other.indkey::text || ' ', spare.indkey::text || ' ')
      AND starts_with(other.indclass::text || ' ', spare.indclass::text || ' ')
      AND starts_with(other.indcollation::text || ' ', spare.indcollation::text || ' ')
      AND starts_with(other.indoption::text || ' ', spare.indoption::text || ' ')
      AND other.indexprs IS NULL
      AND pg_get_expr(other.indpred, other.indrelid) IS NOT DISTINCT FROM pg_get_expr(spare.indpred, spare.indrelid)
      AND (NOT spare.indisunique
           OR (other.indisunique
               AND other.indimmediate
               AND other.indnkeyatts = spare.indnatts
               AND other.indnullsnotdistinct = spare.indnullsnotdistinct))
      AND (other.indnkeyatts > spare.indnatts
           OR rank.stays
           OR other.indisunique > spare.indisunique
           OR other.indexrelid < spare.indexrelid)
    ORDER BY same DESC, rank.stays DESC, other.indexrelid
    LIMIT 1
) AS kept
WHERE method.amname = 'btree'
  AND class.relkind = 'i'
  AND NOT class.relispartition
  AND class.relname <> ALL (%(indexes)s)
  AND spare.indisvalid
  AND spare.indexprs IS NULL
  AND spare.indnatts = spare.indnkeyatts
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = spare.indexrelid)
ORDER BY pg_relation_size(spare.indexrelid) DESC;

-- name: indexes_of_partitioned
-- Indexes that are to be built on a partitioned table, where CREATE INDEX CONCURRENTLY is refused.
SELECT indexed.oid::regclass::text AS subject,
       'partitioned, and without the index ' || wanted.name AS value,
       format('CREATE INDEX %%I ON %%s %%s', wanted.name, indexed.oid::regclass, wanted.definition) AS statement
FROM unnest(%(wanted_indexes)s::text[], %(wanted_tables)s::text[], %(wanted_definitions)s::text[])
     AS wanted (name, relation, definition)
JOIN pg_class AS indexed
  ON indexed.oid = to_regclass(
         CASE WHEN cardinality(parse_ident(wanted.relation)) = 1 THEN 'public.' ELSE '' END || wanted.relation
     )
WHERE indexed.relkind = 'p'
  AND NOT EXISTS (SELECT
                  FROM pg_class AS class
                  JOIN pg_index AS index ON index.indexrelid = class.oid
                  WHERE class.relnamespace = indexed.relnamespace
                    AND class.relname = wanted.name
                    AND index.indisvalid);
