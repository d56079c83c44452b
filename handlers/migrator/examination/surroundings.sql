-- What is looked at around the tables: the server, the login's rights, objects under our names, views of an older
-- deployment, replication, defaults. Rows and conditions as in tables.sql.

-- name: standby
SELECT 'the server' AS subject,
       'a standby' AS value
WHERE pg_is_in_recovery();

-- name: schema
SELECT 'schema public' AS subject,
       CASE
           WHEN schema.oid IS NULL THEN 'missing'
           ELSE format('belongs to %%s, and %%s may not create in it',
                       (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE oid = schema.oid), current_user)
       END AS value,
       CASE
           WHEN schema.oid IS NULL THEN format('CREATE SCHEMA public AUTHORIZATION %%I', current_user)
           ELSE format('GRANT USAGE, CREATE ON SCHEMA public TO %%I', current_user)
       END AS statement
FROM (SELECT to_regnamespace('public')::oid AS oid) AS schema
WHERE NOT coalesce(has_schema_privilege(schema.oid, 'CREATE') AND has_schema_privilege(schema.oid, 'USAGE'), false);

-- name: roles
-- Roles that roles.sql cannot create, change or grant. From PostgreSQL 16 on CREATEROLE is not enough to change or to
-- grant a role: the login needs ADMIN OPTION on it.
WITH login AS (
    SELECT rolname,
           rolsuper,
           rolcreaterole,
           current_setting('server_version_num')::int < 160000 AS creates_and_grants
    FROM pg_roles
    WHERE rolname = current_user
),
roles AS (
    SELECT name, to_regrole(name)::oid AS oid
    FROM unnest(%(roles)s::text[]) AS name
),
memberships AS (
    SELECT roles.name, 'pg_monitor' AS granted FROM roles WHERE roles.name = 'scanner_doctor'
    UNION ALL
    SELECT roles.name, 'rds_iam' FROM roles WHERE to_regrole('rds_iam') IS NOT NULL
)
SELECT 'role ' || roles.name AS subject,
       CASE WHEN roles.oid IS NULL THEN 'missing, and ' ELSE 'exists, and ' END
           || login.rolname
           || CASE WHEN roles.oid IS NULL THEN ' may not create roles' ELSE ' may not change it' END AS value,
       CASE
           WHEN NOT login.rolcreaterole THEN format('ALTER ROLE %%I CREATEROLE', login.rolname)
           ELSE format('GRANT %%I TO %%I WITH ADMIN OPTION', roles.name, login.rolname)
       END AS statement
FROM roles
CROSS JOIN login
WHERE NOT login.rolsuper
  AND NOT (login.rolcreaterole
           AND (roles.oid IS NULL OR login.creates_and_grants OR pg_has_role(roles.oid, 'MEMBER WITH ADMIN OPTION')))
UNION ALL
SELECT 'role ' || memberships.name,
       format('not in %%s, which %%s may not grant', memberships.granted, login.rolname),
       format('GRANT %%I TO %%I WITH ADMIN OPTION', memberships.granted, login.rolname)
FROM memberships
CROSS JOIN login
WHERE NOT login.rolsuper
  AND NOT (login.rolcreaterole AND login.creates_and_grants)
  AND NOT pg_has_role(memberships.granted::regrole, 'MEMBER WITH ADMIN OPTION')
  AND NOT EXISTS (SELECT
                  FROM pg_auth_members
                  WHERE roleid = memberships.granted::regrole
                    AND member = to_regrole(memberships.name));

-- name: sessions
SELECT 'login ' || quote_ident(current_user) AS subject,
       'does not see what other sessions do' AS value,
       format('GRANT pg_monitor TO %%I', current_user) AS statement
WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE');

-- name: owners
-- Relations and functions under our names whose owner's rights this login does not have.
SELECT object.name AS subject,
       'belongs to ' || pg_get_userbyid(object.owner) AS value,
       format('GRANT %%I TO %%I', pg_get_userbyid(object.owner), current_user)
           || CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT TRUE' ELSE '' END
           AS statement
FROM (
    SELECT class.oid::regclass::text AS name, class.relowner AS owner
    FROM unnest(%(relations)s::text[]) AS relation
    JOIN pg_class AS class ON class.oid = to_regclass('public.' || relation)
    UNION ALL
    SELECT oid::regprocedure::text, proowner
    FROM pg_proc
    WHERE pronamespace = to_regnamespace('public')
      AND proname = ANY (%(functions)s)
) AS object
WHERE NOT pg_has_role(object.owner, 'USAGE');

-- name: functions
-- Functions that CREATE OR REPLACE FUNCTION cannot replace.
SELECT oid::regprocedure::text AS subject,
       CASE prokind WHEN 'f' THEN 'returns ' || prorettype::regtype WHEN 'p' THEN 'a procedure' ELSE 'an aggregate' END
           AS value,
       format('ALTER ROUTINE %%s RENAME TO ...', oid::regprocedure) AS statement
FROM pg_proc
WHERE pronamespace = to_regnamespace('public')
  AND pronargs = 0
  AND ((proname IN ('track_job_objects', 'track_findings') AND prorettype <> 'trigger'::regtype)
       OR (proname = ANY (%(functions)s) AND prokind <> 'f'));

-- name: older_views
-- What would stop the replacement of an older deployment's views: of the views and of what depends on them, those that
-- cannot be dropped and built again. The first three parts find the relations, as adopt_older_views() does.
WITH RECURSIVE ours AS (
    SELECT to_regclass('public.job_progress_source')::oid AS oid
    UNION
    SELECT rewrite.ev_class
    FROM ours
    JOIN pg_depend AS depend
      ON depend.refclassid = 'pg_class'::regclass
     AND depend.refobjid = ours.oid
     AND depend.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite AS rewrite ON rewrite.oid = depend.objid
),
older (oid, columns) AS (
    SELECT to_regclass('public.' || name)::oid, columns
    FROM (VALUES ('job_progress', %(progress_columns)s), ('active_jobs_progress', %(progress_columns)s),
                 ('job_statistics', %(statistics_columns)s)) AS views (name, columns)
    WHERE to_regclass('public.' || name) IS NOT NULL
      AND to_regclass('public.' || name)::oid NOT IN (SELECT oid FROM ours WHERE oid IS NOT NULL)
),
replaced AS (
    SELECT oid FROM older
    UNION
    SELECT rewrite.ev_class
    FROM replaced
    JOIN pg_depend AS depend
      ON depend.refclassid = 'pg_class'::regclass
     AND depend.refobjid = replaced.oid
     AND depend.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite AS rewrite ON rewrite.oid = depend.objid
),
obstacles (oid, value, statement) AS (
    SELECT class.oid,
           'has a rule that reads a view that is replaced',
           format('DROP RULE ... ON %%s', class.oid::regclass)
    FROM replaced
    JOIN pg_class AS class USING (oid)
    WHERE class.relkind IN ('r', 'p')
      AND class.oid NOT IN (SELECT oid FROM older)
    UNION ALL
    SELECT class.oid,
           'belongs to ' || pg_get_userbyid(class.relowner),
           format('GRANT %%I TO %%I', pg_get_userbyid(class.relowner), current_user)
    FROM replaced
    JOIN pg_class AS class USING (oid)
    WHERE class.relkind IN ('v', 'm')
      AND class.oid NOT IN (SELECT oid FROM older) -- these are among the owners
      AND NOT pg_has_role(class.relowner, 'USAGE')
    UNION ALL
    SELECT class.oid,
           'has triggers or rules, which would be lost',
           format('DROP %%s %%s, and create it again afterwards',
                  CASE class.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, class.oid::regclass)
    FROM replaced
    JOIN pg_class AS class USING (oid)
    WHERE class.relkind IN ('v', 'm')
      AND (EXISTS (SELECT FROM pg_trigger WHERE tgrelid = class.oid)
           OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = class.oid AND rulename <> '_RETURN'))
    UNION ALL
    SELECT class.oid,
           format('%%s depends on it', pg_describe_object(depend.classid, depend.objid, depend.objsubid)),
           format('Drop %%s, and create it again afterwards',
                  pg_describe_object(depend.classid, depend.objid, depend.objsubid))
    FROM replaced
    JOIN pg_class AS class USING (oid)
    JOIN pg_type AS type ON type.oid = class.reltype
    JOIN pg_depend AS depend
      ON (depend.refclassid, depend.refobjid) IN (('pg_class'::regclass, class.oid), ('pg_type'::regclass, type.oid),
                                                  ('pg_type'::regclass, type.typarray))
    WHERE depend.deptype = 'n'
      AND depend.classid <> 'pg_rewrite'::regclass
    UNION ALL
    SELECT older.oid,
           format('%%s reads its column %%I, which the new view does not have', rewrite.ev_class::regclass,
                  attribute.attname),
           format('Drop %%s, and create it again afterwards without the column', rewrite.ev_class::regclass)
    FROM older
    JOIN pg_depend AS depend
      ON depend.refclassid = 'pg_class'::regclass
     AND depend.refobjid = older.oid
     AND depend.classid = 'pg_rewrite'::regclass
     AND depend.refobjsubid > 0
    JOIN pg_rewrite AS rewrite ON rewrite.oid = depend.objid AND rewrite.ev_class <> older.oid
    JOIN pg_attribute AS attribute ON attribute.attrelid = older.oid AND attribute.attnum = depend.refobjsubid
    WHERE attribute.attname <> ALL (older.columns)
      AND rewrite.ev_class NOT IN (SELECT oid FROM older)
)
SELECT DISTINCT oid::regclass::text AS subject, value, statement
FROM obstacles
ORDER BY subject, value;

-- name: publications
SELECT 'publication ' || publication.pubname AS subject,
       CASE
           WHEN publication.puballtables THEN 'FOR ALL TABLES'
           WHEN EXISTS (SELECT FROM pg_publication_namespace WHERE pnpubid = publication.oid
                                                               AND pnnspid = to_regnamespace('public'))
               THEN 'FOR TABLES IN SCHEMA public'
           ELSE 'FOR TABLE ' || published.names
       END AS value
FROM pg_publication AS publication
CROSS JOIN LATERAL (
    SELECT string_agg(tablename, ', ' ORDER BY tablename) AS names
    FROM pg_publication_tables
    WHERE pubname = publication.pubname
      AND schemaname = 'public'
      AND tablename = ANY (%(relations)s)
) AS published
WHERE publication.puballtables
   OR EXISTS (SELECT FROM pg_publication_namespace WHERE pnpubid = publication.oid
                                                     AND pnnspid = to_regnamespace('public'))
   OR published.names IS NOT NULL;

-- name: subscriptions
SELECT 'subscription ' || subscription.subname AS subject,
       'fills ' || string_agg(relation.srrelid::regclass::text, ', ') AS value,
       format('DROP SUBSCRIPTION %%I', subscription.subname) AS statement
FROM pg_subscription AS subscription
JOIN pg_subscription_rel AS relation ON relation.srsubid = subscription.oid
JOIN unnest(%(relations)s::text[]) AS name ON relation.srrelid = to_regclass('public.' || name)
WHERE subscription.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND subscription.subenabled
GROUP BY subscription.subname;

-- name: defaults
-- Defaults of this database, of all roles and of the roles that write, under which writes fail or are not counted, or
-- mean other tables. The runner and the other roles set their own.
SELECT scope.name AS subject,
       config AS value,
       risks.why,
       format(CASE risks.name WHEN 'default_transaction_read_only' THEN 'BEGIN READ WRITE; %%s; COMMIT' ELSE '%%s' END,
              format('ALTER %%s RESET %%s', scope.name, risks.name)) AS statement
FROM pg_db_role_setting AS setting
CROSS JOIN unnest(setting.setconfig) AS config
JOIN (VALUES ('session_replication_role', 'replica', true,
              'Its sessions fire no triggers, so what they write is not counted.'),
             ('default_transaction_read_only', 'on|true|1|yes', false, 'The scanner and the refresh cannot write.'),
             ('default_transaction_isolation', 'serializable|repeatable read', false,
              'The scanner''s writes meet serialization failures.'),
             ('search_path', '(?!.*\mpublic\M).*', false,
              'Statements of the scanner that do not name the schema miss the tables in public.')
     ) AS risks (name, values, for_any_role, why)
  ON config ~* format('^%%s="?(%%s)"?$', risks.name, risks.values)
CROSS JOIN LATERAL (
    SELECT concat_ws(
        ' IN ',
        CASE WHEN setting.setrole <> 0 THEN format('ROLE %%I', pg_get_userbyid(setting.setrole)) END,
        CASE WHEN setting.setdatabase <> 0 THEN format('DATABASE %%I', current_database()) END
    ) AS name
) AS scope
WHERE setting.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND (risks.for_any_role
       OR setting.setrole = 0
       OR setting.setrole IN (to_regrole('scanner_app')::oid, to_regrole('progress_refresher')::oid));
