-- Whether what the triggers, the fold and the views rely on is as the migrations made it.

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

-- name: hidden_rows
-- The tables of which policies hide rows from the owner of our functions, or from the doctor.
SELECT class.oid::regclass::text AS table_name,
       class.relforcerowsecurity AS is_forced,
       reader.rolname AS reader,
       reader.is_owner
FROM unnest(ARRAY['jobs', 'job_objects', 'findings', 'job_progress_counts', 'job_progress_deltas']) AS name
JOIN pg_class AS class ON class.oid = to_regclass('public.' || name) AND class.relrowsecurity
CROSS JOIN LATERAL (
    SELECT oid, rolname, rolsuper OR rolbypassrls AS bypasses, true AS is_owner
    FROM pg_roles
    WHERE oid = (SELECT proowner FROM pg_proc WHERE oid = to_regprocedure('public.refresh_job_progress()'))
    UNION ALL
    SELECT oid, rolname, rolsuper OR rolbypassrls, false
    FROM pg_roles
    WHERE rolname = 'scanner_doctor'
) AS reader
WHERE NOT reader.bypasses
  AND (class.relforcerowsecurity OR NOT pg_has_role(reader.oid, class.relowner, 'USAGE'))
ORDER BY reader.is_owner DESC, name;

-- name: published
-- Tables of ours in publications of UPDATE or DELETE that have no usable replica identity: PostgreSQL refuses these
-- statements. is_cut: the publication has a list of columns without all of the identity's.
SELECT string_agg(DISTINCT published.pubname, ', ') AS publications,
       class.oid::regclass::text AS table_name,
       bool_or(published.is_cut) AS is_cut
FROM (
    SELECT tables.pubname,
           format('%%I.%%I', tables.schemaname, tables.tablename)::regclass AS relation,
           EXISTS (SELECT
                   FROM pg_publication_rel AS listed
                   JOIN pg_class AS member ON member.oid = listed.prrelid
                   JOIN pg_attribute AS attribute ON attribute.attrelid = member.oid AND attribute.attnum > 0
                   WHERE listed.prpubid = publication.oid
                     AND listed.prrelid = format('%%I.%%I', tables.schemaname, tables.tablename)::regclass
                     AND listed.prattrs IS NOT NULL
                     AND NOT attribute.attisdropped
                     AND attribute.attnum <> ALL (listed.prattrs::int2[])
                     AND (member.relreplident = 'f'
                          OR EXISTS (SELECT
                                     FROM pg_index
                                     WHERE indrelid = member.oid
                                       AND attribute.attnum = ANY (indkey::int2[])
                                       AND CASE member.relreplident WHEN 'd' THEN indisprimary ELSE indisreplident END)))
               AS is_cut
    FROM pg_publication_tables AS tables
    JOIN pg_publication AS publication USING (pubname)
    WHERE (publication.pubupdate OR publication.pubdelete)
      AND tables.schemaname = 'public'
      AND tables.tablename = ANY (%(tables)s)
) AS published
CROSS JOIN LATERAL (
    SELECT relid FROM pg_partition_tree(published.relation) WHERE isleaf
    UNION
    SELECT published.relation
) AS leaf
JOIN pg_class AS class ON class.oid = leaf.relid AND class.relkind = 'r'
WHERE published.is_cut
   OR CASE class.relreplident
          WHEN 'f' THEN false
          WHEN 'n' THEN true
          ELSE NOT EXISTS (SELECT
                           FROM pg_index
                           WHERE indrelid = class.oid
                             AND indisvalid
                             AND CASE class.relreplident WHEN 'd' THEN indisprimary ELSE indisreplident END)
      END
GROUP BY class.oid
ORDER BY table_name;

-- name: subscribed
-- The tables of ours that a subscription of this database writes.
SELECT subscription.subname AS name, array_agg(class.relname::text ORDER BY class.relname) AS tables
FROM pg_subscription AS subscription
JOIN pg_subscription_rel AS member ON member.srsubid = subscription.oid
JOIN pg_class AS class ON class.oid = member.srrelid
WHERE class.relnamespace = 'public'::regnamespace
  AND class.relname = ANY (%(tables)s)
GROUP BY subscription.subname
ORDER BY subscription.subname;

-- name: views
-- Which of our views are missing, or do not read what the migrations made them read.
WITH RECURSIVE reads AS (
    SELECT depend.refobjid AS source, rewrite.ev_class AS reader
    FROM pg_depend AS depend
    JOIN pg_rewrite AS rewrite ON rewrite.oid = depend.objid
    WHERE depend.classid = 'pg_rewrite'::regclass
      AND depend.refclassid = 'pg_class'::regclass
      AND depend.refobjid <> rewrite.ev_class
),
through AS (
    SELECT source, reader FROM reads
    UNION
    SELECT through.source, reads.reader
    FROM through
    JOIN reads ON reads.source = through.reader
)
SELECT wanted.reader AS name,
       to_regclass('public.' || wanted.reader) IS NULL AS is_missing,
       string_agg(wanted.source, ', ' ORDER BY wanted.source) AS sources
FROM (VALUES ('job_progress', 'job_progress_source'),
             ('active_jobs_progress', 'job_progress'),
             ('job_statistics', 'job_progress'),
             ('job_progress_source', 'jobs'),
             ('job_progress_source', 'job_objects'),
             ('job_progress_source', 'job_progress_counts'),
             ('job_progress_source', 'job_progress_deltas'),
             ('job_progress_direct', 'jobs'),
             ('job_progress_direct', 'job_objects'),
             ('job_progress_direct', 'findings'),
             ('job_progress_live', 'jobs'),
             ('job_progress_live', 'job_objects'),
             ('job_progress_live', 'job_progress_counts'),
             ('job_progress_live', 'job_progress_deltas')) AS wanted (reader, source)
WHERE 'public.job_progress_deltas'::regclass IS NOT NULL
  AND NOT EXISTS (SELECT
                  FROM through
                  WHERE through.reader = to_regclass('public.' || wanted.reader)
                    AND through.source = to_regclass('public.' || wanted.source))
GROUP BY wanted.reader
ORDER BY wanted.reader;

-- name: is_restorable
SELECT 'yes' AS answer WHERE to_regprocedure('public.objects_to_restore()') IS NOT NULL;

-- name: to_restore
-- What the next run of migrate builds again.
SELECT name, is_missing FROM public.objects_to_restore();
