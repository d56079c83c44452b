-- Dead rows, transaction ids, and what takes disk space.

-- name: vacuum
-- Dead and live rows, and when each table or partition was vacuumed last.
SELECT statistics.relname AS name,
       format('%%I.%%I', statistics.schemaname, statistics.relname) AS qualified_name,
       statistics.n_live_tup AS live,
       statistics.n_dead_tup AS dead,
       pg_table_size(statistics.relid) AS bytes,
       extract(epoch FROM clock_timestamp() - greatest(statistics.last_vacuum, statistics.last_autovacuum))::float8
           AS vacuumed_seconds
FROM pg_stat_user_tables AS statistics
WHERE statistics.relid IN (SELECT coalesce(part.relid, wanted.relation)
                           FROM (SELECT to_regclass('public.' || name) AS relation
                                 FROM unnest(%(tables)s::text[]) AS name) AS wanted
                           LEFT JOIN LATERAL pg_partition_tree(wanted.relation) AS part ON part.isleaf)
ORDER BY dead DESC, name;

-- name: transaction_ids
-- The oldest transaction id of any database; and in this one, which table has the oldest.
SELECT oldest.age, oldest.datname, oldest_table.name AS table_name, oldest_table.age AS table_age
FROM (SELECT datname, age(datfrozenxid) AS age FROM pg_database ORDER BY age DESC LIMIT 1) AS oldest
CROSS JOIN (
    SELECT oid::regclass::text AS name, age(relfrozenxid) AS age
    FROM pg_class
    WHERE relkind IN ('r', 'm', 't')
      AND NOT relisshared
    ORDER BY age DESC, relpages DESC
    LIMIT 1
) AS oldest_table;

-- name: storage
-- The size of all databases, and of the write-ahead log.
SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database)::bigint AS database_bytes,
       (SELECT coalesce(sum(size), 0) FROM pg_ls_waldir())::bigint AS wal_bytes;

-- name: volume
-- The size of all databases of an Aurora cluster, which refuses pg_ls_waldir() and keeps its log out of the volume's size.
SELECT sum(pg_database_size(oid))::bigint AS database_bytes, 0::bigint AS wal_bytes
FROM pg_database;

-- name: top_relations
-- The largest relations with their indexes. One that is dropped meanwhile has no size.
SELECT name, bytes
FROM (
    SELECT oid::regclass::text AS name, pg_total_relation_size(oid) AS bytes
    FROM pg_class
    WHERE relkind IN ('r', 'm')
      AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
) AS sized
WHERE bytes IS NOT NULL
ORDER BY bytes DESC, name
LIMIT 3;

-- name: growth
-- The objects of the jobs of the last day, and the bytes that an object takes on average with its indexes and findings. While
-- the table is being partitioned, writers write both tables, so both count.
SELECT coalesce(sum(total_objects) FILTER (WHERE created_at > clock_timestamp() - INTERVAL '1 day'), 0)::bigint AS objects,
       (SELECT sum(pg_total_relation_size(coalesce(part.relid, relation.oid)))
        FROM pg_class AS relation
        LEFT JOIN LATERAL pg_partition_tree(relation.oid) AS part ON part.isleaf
        WHERE (relation.relnamespace::regnamespace::text, relation.relname) IN
              (('public', 'job_objects'), ('public', 'findings'), ('public', 'job_objects_before_partitioning'),
               ('job_objects_partitioning', 'job_objects')))
       / greatest(sum(total_objects), 1)::float8 AS bytes_per_object
FROM public.job_progress;

-- name: slots
-- How much of the write-ahead log each replication slot keeps, largest first.
SELECT slot_name, active, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS bytes
FROM pg_replication_slots
WHERE restart_lsn IS NOT NULL
ORDER BY bytes DESC;

-- name: idle_slots
-- Replication slots of an Aurora cluster that have no reader. It refuses pg_current_wal_lsn(), so what they keep is not known.
SELECT slot_name
FROM pg_replication_slots
WHERE NOT active
ORDER BY slot_name;
