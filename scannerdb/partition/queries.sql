-- Catalogue queries of `scannerdb partition`. The session's search_path is pg_catalog alone, so that PostgreSQL prints
-- definitions with qualified names, which can be executed unchanged.

-- name: relation_kind
-- 'r' for a table, 'p' for a partitioned one; no row when there is none.
SELECT relkind FROM pg_class WHERE oid = to_regclass(%(table)s);

-- name: definition
-- Everything that the other table must have too, in one JSON. Triggers of this tool are left out, by the schema of their
-- functions. ONLY is removed from the definition of a partitioned table's index, so that it equals a plain one's.
SELECT jsonb_build_object(
    'owner', pg_get_userbyid(class.relowner),
    'comment', obj_description(class.oid, 'pg_class'),
    'replica_identity', class.relreplident,
    'options', to_jsonb(coalesce(class.reloptions, '{}') || coalesce(ARRAY(
        SELECT 'toast.' || option FROM pg_class AS toast, unnest(toast.reloptions) AS option
        WHERE toast.oid = class.reltoastrelid), '{}')),
    'columns', (
        SELECT jsonb_agg(jsonb_build_object(
                   'name', attname,
                   'type', format_type(atttypid, atttypmod),
                   'collation', nullif(attcollation, 0)::regcollation::text,
                   'not_null', attnotnull,
                   'default', pg_get_expr(adbin, adrelid),
                   'storage', attstorage,
                   'compression', attcompression,
                   'statistics', attstattarget,
                   'options', array_to_string(attoptions, ', '),
                   'comment', col_description(attrelid, attnum)) ORDER BY attnum)
        FROM pg_attribute
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped),
    'key', (
        SELECT jsonb_agg(attname ORDER BY position)
        FROM pg_constraint
        CROSS JOIN unnest(conkey) WITH ORDINALITY AS column_of_key (number, position)
        JOIN pg_attribute ON attrelid = conrelid AND attnum = number
        WHERE conrelid = class.oid AND contype = 'p'),
    'constraints', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', conname,
                   'type', contype,
                   'definition', pg_get_constraintdef(oid),
                   'references', nullif(confrelid, 0)::regclass::text,
                   'comment', obj_description(oid, 'pg_constraint')) ORDER BY conname), '[]')
        FROM pg_constraint
        WHERE conrelid = class.oid AND contype IN ('p', 'c', 'f')),
    'indexes', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', index_class.relname,
                   'definition', replace(
                       pg_get_indexdef(indexrelid),
                       format(' ON ONLY %%s ', class.oid::regclass),
                       format(' ON %%s ', class.oid::regclass)),
                   'is_key', indisprimary,
                   'comment', obj_description(indexrelid, 'pg_class')) ORDER BY index_class.relname), '[]')
        FROM pg_index
        JOIN pg_class AS index_class ON index_class.oid = indexrelid
        WHERE indrelid = class.oid),
    -- A partitioned table has these on its partitions only.
    'marked_indexes', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', indexrelid::regclass::text, 'clustered', indisclustered, 'identity', indisreplident)), '[]')
        FROM pg_index
        WHERE indrelid = class.oid AND (indisclustered OR indisreplident)),
    'triggers', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', tgname,
                   'definition', pg_get_triggerdef(pg_trigger.oid),
                   'enabled', tgenabled,
                   'comment', obj_description(pg_trigger.oid, 'pg_trigger')) ORDER BY tgname), '[]')
        FROM pg_trigger
        JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE tgrelid = class.oid AND NOT tgisinternal
          AND pronamespace <> coalesce(to_regnamespace(%(schema)s), 0)),
    'grants', (
        SELECT coalesce(jsonb_agg(to_jsonb(grants) ORDER BY grantee, column_name NULLS FIRST, privilege), '[]')
        FROM (
            SELECT coalesce(pg_get_userbyid(nullif(grantee, 0)), '') AS grantee,
                   privilege_type AS privilege,
                   is_grantable,
                   NULL AS column_name
            FROM aclexplode(coalesce(class.relacl, acldefault('r', class.relowner)))
            UNION ALL
            SELECT coalesce(pg_get_userbyid(nullif(grantee, 0)), ''), privilege_type, is_grantable, attname
            FROM pg_attribute
            CROSS JOIN aclexplode(attacl)
            WHERE attrelid = class.oid AND NOT attisdropped
        ) AS grants),
    'views', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', view.oid::regclass::text,
                   'definition', pg_get_viewdef(view.oid),
                   'owner', pg_get_userbyid(view.relowner),
                   'options', array_to_string(view.reloptions, ', ')) ORDER BY view.oid DESC), '[]')
        FROM pg_class AS view
        WHERE view.relkind = 'v'
          AND view.oid IN (SELECT ev_class
                           FROM pg_depend
                           JOIN pg_rewrite ON pg_rewrite.oid = objid
                           WHERE classid = 'pg_rewrite'::regclass
                             AND refclassid = 'pg_class'::regclass
                             AND refobjid = class.oid)),
    'functions', (
        SELECT coalesce(jsonb_agg(pg_get_functiondef(pg_proc.oid) ORDER BY pg_proc.oid), '[]')
        FROM pg_proc
        WHERE pg_proc.oid IN (SELECT objid
                              FROM pg_depend
                              WHERE classid = 'pg_proc'::regclass
                                AND refclassid = 'pg_class'::regclass
                                AND refobjid = class.oid))
)
FROM pg_class AS class
WHERE class.oid = %(table)s::regclass;

-- name: obstacles
-- Each reason why a partitioned table could not replace this one without a loss, with its way out.
WITH subject AS (SELECT * FROM pg_class WHERE oid = %(table)s::regclass)
SELECT 'it is not a plain, logged table' FROM subject WHERE relkind <> 'r' OR relpersistence <> 'p' OR reloftype <> 0
UNION ALL
SELECT 'it lies in a tablespace of its own; move it to the default one' FROM subject WHERE reltablespace <> 0
UNION ALL
SELECT format('it is part of an inheritance with %%s', CASE WHEN inhrelid = subject.oid THEN inhparent ELSE inhrelid END::regclass)
FROM subject JOIN pg_inherits ON subject.oid IN (inhrelid, inhparent)
UNION ALL
SELECT 'row level security is on; switch it off' FROM subject WHERE relrowsecurity OR relforcerowsecurity
UNION ALL
SELECT format('it has the policy %%s; drop it', polname) FROM subject JOIN pg_policy ON polrelid = subject.oid
UNION ALL
SELECT format('it has the rule %%s; drop it', rulename) FROM subject JOIN pg_rewrite ON ev_class = subject.oid
UNION ALL
SELECT format('it has the extended statistics %%s; drop them, and create them again afterwards', stxname)
FROM subject JOIN pg_statistic_ext ON stxrelid = subject.oid
UNION ALL
SELECT format('the publication %%s publishes it; take it out, and put it back afterwards', publication.pubname)
FROM subject
CROSS JOIN pg_publication AS publication
CROSS JOIN LATERAL pg_get_publication_tables(publication.pubname::text) AS published
WHERE published.relid = subject.oid
UNION ALL
SELECT format('the foreign key %%s of %%s points to it; drop it', conname, conrelid::regclass)
FROM subject JOIN pg_constraint ON confrelid = subject.oid AND contype = 'f' AND conparentid = 0
UNION ALL
SELECT format('its constraint %%s is not validated; validate it', conname)
FROM subject JOIN pg_constraint ON conrelid = subject.oid AND NOT convalidated
UNION ALL
SELECT format('its constraint %%s is deferrable; only foreign keys may be', conname)
FROM subject JOIN pg_constraint ON conrelid = subject.oid AND condeferrable AND contype IN ('p', 'u', 'x')
UNION ALL
SELECT format('its constraint %%s is %%s; a partitioned table has but its primary key here; drop it',
              conname, pg_get_constraintdef(pg_constraint.oid))
FROM subject JOIN pg_constraint ON conrelid = subject.oid AND contype IN ('u', 'x')
UNION ALL
SELECT format('its index %%1$s is INVALID; rebuild it: REINDEX INDEX CONCURRENTLY %%1$s', indexrelid::regclass)
FROM subject JOIN pg_index ON indrelid = subject.oid AND NOT indisvalid
UNION ALL
SELECT format('its index %%s is unique without being the primary key; drop it', indexrelid::regclass)
FROM subject JOIN pg_index ON indrelid = subject.oid AND indisunique AND NOT indisprimary
UNION ALL
SELECT format('its column %%s is generated or an identity', attname)
FROM subject JOIN pg_attribute ON attrelid = subject.oid AND (attgenerated <> '' OR attidentity <> '') AND NOT attisdropped
UNION ALL
SELECT format('it has no primary key that begins with %%s', %(partition_key)s)
FROM subject
WHERE NOT EXISTS (SELECT FROM pg_constraint
                  JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
                  WHERE conrelid = subject.oid AND contype = 'p' AND attname = %(partition_key)s)
UNION ALL
SELECT format('its trigger %%s runs for each row with a transition table, which a partitioned table cannot have', tgname)
FROM subject
JOIN pg_trigger ON tgrelid = subject.oid AND NOT tgisinternal AND tgtype & 1 = 1 AND coalesce(tgoldtable, tgnewtable) IS NOT NULL
UNION ALL
SELECT format('the materialized view %%s reads it directly; let it read a view, which can be replaced', view.oid::regclass)
FROM subject
JOIN pg_depend ON refclassid = 'pg_class'::regclass AND refobjid = subject.oid AND classid = 'pg_rewrite'::regclass
JOIN pg_rewrite ON pg_rewrite.oid = objid
JOIN pg_class AS view ON view.oid = ev_class AND view.relkind = 'm'
UNION ALL
SELECT format('%%s uses its row type, which is another one afterwards; drop it', pg_describe_object(classid, objid, objsubid))
FROM subject
JOIN pg_type ON pg_type.oid = subject.reltype
JOIN pg_depend ON refclassid = 'pg_type'::regclass AND refobjid IN (pg_type.oid, pg_type.typarray) AND deptype = 'n'
UNION ALL
SELECT format('%%s depends on it; drop it', pg_describe_object(classid, objid, objsubid))
FROM subject
JOIN pg_depend ON refclassid = 'pg_class'::regclass AND refobjid = subject.oid AND deptype IN ('n', 'a')
WHERE classid NOT IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_constraint'::regclass, 'pg_trigger'::regclass,
                      'pg_attrdef'::regclass, 'pg_publication_rel'::regclass, 'pg_statistic_ext'::regclass,
                      'pg_policy'::regclass)
  AND NOT (classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_index WHERE indexrelid = objid));

-- name: missing_privileges
-- The privileges that the login role lacks.
WITH subject AS (SELECT * FROM pg_class WHERE oid = %(table)s::regclass)
SELECT format('the rights of %%I, who owns %%s', pg_get_userbyid(owner), name)
FROM (
    SELECT relowner AS owner, subject.oid::regclass AS name FROM subject
    UNION
    SELECT referenced.relowner, referenced.oid::regclass
    FROM subject JOIN pg_constraint ON conrelid = subject.oid
    JOIN pg_class AS referenced ON referenced.oid = confrelid
    UNION
    SELECT view.relowner, view.oid::regclass
    FROM subject
    JOIN pg_depend ON refclassid = 'pg_class'::regclass AND refobjid = subject.oid AND classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite ON pg_rewrite.oid = objid
    JOIN pg_class AS view ON view.oid = ev_class
) AS owned
WHERE NOT pg_has_role(owner, 'USAGE')
UNION ALL
SELECT format('CREATE on the database %%I', current_database())
WHERE NOT has_database_privilege(current_database(), 'CREATE')
UNION ALL
SELECT format('CREATE on the schema %%I', nspname)
FROM subject JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE NOT has_schema_privilege(pg_namespace.oid, 'CREATE')
UNION ALL
SELECT 'the role pg_monitor, to see how old the transactions of others are'
WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE');

-- name: names_taken
SELECT name FROM unnest(%(names)s) AS name WHERE to_regclass(name) IS NOT NULL;

-- name: long_transactions
-- Sessions with a transaction older than so many seconds, or with a snapshot older than a transaction id.
SELECT format('pid %%s (%%s, %%s, %%s since %%s UTC)', pid, usename, nullif(application_name, ''), state,
              to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))
FROM pg_stat_activity
WHERE datname = current_database()
  AND backend_type = 'client backend'
  AND pid <> pg_backend_pid()
  AND (xact_start < clock_timestamp() - %(seconds)s * INTERVAL '1 s'
       OR age(backend_xmin) > age(%(before)s::text::xid8::xid))
ORDER BY xact_start;

-- name: unfinished_migration
-- Migrations that were applied in part.
SELECT name
FROM public.schema_migrations
WHERE applied_at IS NULL;

-- name: size
-- Bytes of a table, or of its partitions, with the indexes, and the rows as of the last ANALYZE.
SELECT sum(pg_total_relation_size(leaf.oid))::bigint, sum(greatest(leaf.reltuples, 0))::bigint
FROM pg_class AS leaf
WHERE leaf.oid IN (SELECT %(table)s::regclass UNION SELECT relid FROM pg_partition_tree(%(table)s::regclass) WHERE isleaf)
  AND leaf.relkind <> 'p';

-- name: locked_by
-- Sessions that hold locks on a table.
SELECT DISTINCT format('pid %%s (%%s, %%s)', pid, coalesce(usename, backend_type), coalesce(state, 'at work'))
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE relation = %(table)s::regclass AND granted AND pid <> pg_backend_pid();

-- name: partitions
SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(%(table)s) ORDER BY 1;

-- name: child_indexes
-- The partitions' indexes that are attached to an index of the partitioned table.
SELECT child.indrelid::regclass::text, child_class.relname
FROM pg_inherits
JOIN pg_index AS child ON child.indexrelid = inhrelid
JOIN pg_class AS child_class ON child_class.oid = inhrelid
WHERE inhparent = %(index)s::regclass;

-- name: constraint_state
-- Whether a constraint is validated; no row when there is none.
SELECT convalidated FROM pg_constraint WHERE conrelid = %(table)s::regclass AND conname = %(name)s;

-- name: mirror_is_off
-- Triggers of this tool that are missing or not ENABLE ALWAYS; a plain ENABLE TRIGGER loses ALWAYS.
SELECT name
FROM unnest(%(triggers)s) AS name
WHERE NOT EXISTS (SELECT FROM pg_trigger
                  JOIN pg_proc ON pg_proc.oid = tgfoid
                  WHERE tgrelid = %(table)s::regclass AND tgname = name AND tgenabled = 'A'
                    AND pronamespace = to_regnamespace(%(schema)s));
