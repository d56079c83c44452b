-- What others may have changed on our tables and views.

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
