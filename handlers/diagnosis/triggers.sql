-- Whether each write is counted: the triggers, what they read, and the ways around them.

-- name: triggers
-- The triggers that call our functions: on which table, as what, and whether they fire for a session with
-- session_replication_role = origin, such as the scanner's. The query fails where 003 is not applied.
SELECT tgname AS name,
       tgrelid::regclass::text AS table_name,
       pg_get_triggerdef(trigger.oid) AS definition,
       tgenabled IN ('O', 'A') AS is_enabled
FROM pg_trigger AS trigger
WHERE NOT tgisinternal
  AND (tgname ~ '^track_(job_objects|findings)_'
       OR tgfoid IN (to_regproc('public.track_job_objects'), to_regproc('public.track_findings')))
  AND 'public.job_progress_deltas'::regclass IS NOT NULL
ORDER BY tgname, table_name;

-- name: columns
-- The columns that the trigger functions read, which every write needs.
SELECT wanted.table_name,
       wanted.column_name,
       format_type(attribute.atttypid, attribute.atttypmod) AS type,
       coalesce(nullif(type.typbasetype, 0), type.oid) = ANY (wanted.types) AS is_right
FROM (VALUES ('job_objects', 'job_id', '{uuid}'::regtype[]),
             ('job_objects', 'status', NULL),
             ('job_objects', 'updated_at', '{timestamptz,timestamp}'),
             ('findings', 'job_id', '{uuid}')) AS wanted (table_name, column_name, types)
LEFT JOIN pg_attribute AS attribute
  ON attribute.attrelid = to_regclass('public.' || wanted.table_name)
 AND attribute.attname = wanted.column_name
 AND NOT attribute.attisdropped
LEFT JOIN pg_type AS type ON type.oid = attribute.atttypid
WHERE to_regclass('public.' || wanted.table_name) IS NOT NULL
  AND (attribute.attname IS NULL OR NOT coalesce(nullif(type.typbasetype, 0), type.oid) = ANY (wanted.types));

-- name: functions
-- The bodies of functions, by name.
SELECT proname AS name, prosrc AS body, prosecdef AS is_definer
FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
  AND proname = ANY (%(names)s);

-- name: untracked_children
-- Tables that inherit from ours, are no partitions, and lack a trigger of ours for one of the events: a statement that names
-- them fires only their own.
SELECT inherits.inhrelid::regclass::text AS child, parent.name AS table_name
FROM unnest(ARRAY['job_objects', 'findings']) AS parent (name)
JOIN pg_inherits AS inherits ON inherits.inhparent = to_regclass('public.' || parent.name)
JOIN pg_class AS child ON child.oid = inherits.inhrelid AND NOT child.relispartition
WHERE (SELECT count(*)
       FROM pg_trigger
       WHERE tgrelid = child.oid
         AND tgfoid = to_regproc('public.track_' || parent.name)
         AND tgenabled IN ('O', 'A')) < 3;

-- name: instead_rules
-- Rules by which a statement writes something else.
SELECT rulename AS name, ev_class::regclass::text AS table_name
FROM pg_rewrite
WHERE is_instead
  AND ev_enabled <> 'D'
  AND ev_class IN (to_regclass('public.job_objects'), to_regclass('public.findings'));

-- name: replica_sessions
-- For which sessions session_replication_role = replica is set, and the statement that ends it; none for a parameter of the
-- server.
SELECT concat_ws(' in ', coalesce(role.rolname, 'every role'), database.datname) AS sessions,
       CASE
           WHEN role.oid IS NULL THEN format('ALTER DATABASE %%I RESET session_replication_role', database.datname)
           ELSE format('ALTER ROLE %%I%%s RESET session_replication_role',
                       role.rolname, ' IN DATABASE ' || quote_ident(database.datname))
       END AS reset
FROM pg_db_role_setting AS setting
LEFT JOIN pg_roles AS role ON role.oid = setting.setrole
LEFT JOIN pg_database AS database ON database.oid = setting.setdatabase
WHERE 'session_replication_role=replica' = ANY (setting.setconfig)
  AND (setting.setdatabase = 0 OR database.datname = current_database())
UNION ALL
SELECT 'every role', NULL
FROM pg_settings
WHERE name = 'session_replication_role'
  AND setting = 'replica'
  AND source IN ('configuration file', 'command line', 'environment variable');
