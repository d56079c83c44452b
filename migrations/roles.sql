-- The login roles, their settings and their rights. Runs before the numbered files in each run, so it must be idempotent:
-- a restore without privileges, or a DROP OWNED, is mended by the next run.
-- No role has a password: RDS and RDS Proxy check IAM tokens, for members of rds_iam. Other servers lack that role.
-- Settings belong to the role, because RDS Proxy refuses them as startup options and pins a session that sets them.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['scanner_app', 'progress_refresher', 'progress_reader', 'scanner_doctor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role_name);
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam')
           AND NOT EXISTS (SELECT
                           FROM pg_auth_members
                           WHERE roleid = 'rds_iam'::regrole
                             AND member = role_name::regrole) THEN
            EXECUTE format('GRANT rds_iam TO %I', role_name);
        END IF;
    END LOOP;
END
$$;

-- The scanner: its statements take milliseconds, and an idle transaction keeps vacuum from removing dead rows.
ALTER ROLE scanner_app SET statement_timeout = '5min';
ALTER ROLE scanner_app SET idle_in_transaction_session_timeout = '1min';

-- Less than the refresh function's timeout of 300 s, so that the server cancels first and the function logs the reason.
ALTER ROLE progress_refresher SET statement_timeout = '280s';
ALTER ROLE progress_refresher SET lock_timeout = '10s';

-- The status API answers within three seconds, so its query ends before.
ALTER ROLE progress_reader SET statement_timeout = '2s';
ALTER ROLE progress_reader SET default_transaction_read_only = on;
-- Forces index scans for reads of one job. Dead deltas inflate the estimate, and the planner would choose another scan.
-- Only a plain index scan marks the dead entries that it meets, so that the next read skips them.
ALTER ROLE progress_reader SET enable_seqscan = off;
ALTER ROLE progress_reader SET enable_bitmapscan = off;
-- enable_seqscan = off inflates the cost of full scans (/statistics), which would trigger JIT; turn JIT off.
ALTER ROLE progress_reader SET jit = off;

-- The doctor only reads, answers within seconds, and never queues long for a lock that writers would queue behind.
ALTER ROLE scanner_doctor SET default_transaction_read_only = on;
ALTER ROLE scanner_doctor SET statement_timeout = '20s';
ALTER ROLE scanner_doctor SET lock_timeout = '2s';

-- Pinned, because a database or a parameter group may set another default. Under REPEATABLE READ a transaction keeps
-- the snapshot of its first statement: a real-time read, which promises the numbers of now, would be older than its
-- caller thinks, and a refresh can end with a serialization failure instead of a fold.
ALTER ROLE progress_refresher SET default_transaction_isolation = 'read committed';
ALTER ROLE progress_reader SET default_transaction_isolation = 'read committed';
ALTER ROLE scanner_doctor SET default_transaction_isolation = 'read committed';

-- Other sessions' statements, statistics, the size of the write-ahead log. On RDS the master user may grant pg_monitor.
DO $$
BEGIN
    IF NOT EXISTS (SELECT
                   FROM pg_auth_members
                   WHERE roleid = 'pg_monitor'::regrole
                     AND member = 'scanner_doctor'::regrole) THEN
        GRANT pg_monitor TO scanner_doctor;
    END IF;
END
$$;

-- With all other connections taken, the doctor still gets in: RDS sets reserved_connections to 2 from PostgreSQL 16 on,
-- and its master user may grant their use. Where the login may not, the doctor is only the less certain.
DO $$
BEGIN
    IF to_regrole('pg_use_reserved_connections') IS NOT NULL
       AND pg_has_role(to_regrole('pg_use_reserved_connections')::oid, 'MEMBER WITH ADMIN OPTION')
       AND NOT EXISTS (SELECT
                       FROM pg_auth_members
                       WHERE roleid = to_regrole('pg_use_reserved_connections')
                         AND member = 'scanner_doctor'::regrole) THEN
        GRANT pg_use_reserved_connections TO scanner_doctor;
    END IF;
END
$$;

-- Each right that a role needs and each that PUBLIC must not have, on the objects that exist. The only list: migrations
-- grant from it, and the doctor compares with it. It reads the catalog, so any role may call it.
-- is_granted: the object has an entry for the role itself. is_held: the role has the right, perhaps through another role.
-- The doctor's rights come with 004, whose mark is measure_sessions(). An older deployment has some of these names too:
-- they are left alone until job_progress is that of 002, which reads job_progress_source.
-- scanner_app and progress_reader can also run the status API of an older deployment, which reads the refresh log and
-- counts rows; progress_reader sees neither keys nor the content of a finding.
CREATE OR REPLACE FUNCTION public.expected_rights()
RETURNS TABLE (
    role_name text,
    privilege text,
    object text,
    owner oid,
    is_wanted boolean,
    is_granted boolean,
    is_held boolean
)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH on_relations (role_name, privileges, names) AS (
        VALUES ('scanner_app', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'], ARRAY['jobs', 'job_objects', 'findings']),
               ('scanner_app',
                ARRAY['SELECT'],
                ARRAY['job_progress', 'active_jobs_progress', 'job_statistics', 'materialized_view_refresh_log']),
               ('progress_reader',
                ARRAY['SELECT'],
                ARRAY['job_progress', 'job_progress_source', 'job_progress_direct', 'job_progress_live',
                      'active_jobs_progress', 'job_statistics', 'materialized_view_refresh_log', 'retired_jobs']),
               ('scanner_doctor',
                ARRAY['SELECT'],
                ARRAY['job_progress', 'job_progress_live', 'job_progress_counts', 'job_progress_deltas',
                      'materialized_view_refresh_log', 'schema_migrations'])
    ),
    on_columns (role_name, name, columns) AS (
        VALUES ('progress_reader',
                'jobs',
                ARRAY['job_id', 'bucket', 'prefix', 'execution_arn', 'created_at', 'updated_at']),
               ('progress_reader', 'job_objects', ARRAY['job_id', 'status', 'updated_at']),
               ('progress_reader', 'findings', ARRAY['job_id']),
               ('scanner_doctor', 'jobs', ARRAY['job_id', 'created_at', 'updated_at']),
               ('scanner_doctor', 'job_objects', ARRAY['job_id', 'status', 'updated_at']),
               ('scanner_doctor', 'findings', ARRAY['job_id'])
    ),
    on_functions (role_name, names) AS (
        VALUES ('progress_refresher',
                ARRAY['refresh_job_progress()', 'verify_job_progress()', 'rebuild_job_progress()',
                      'measure_sessions()', 'retirable_jobs(interval)', 'retire_job(uuid,interval,bigint)']),
               ('progress_reader', ARRAY['read_job_progress(uuid,boolean)']),
               ('scanner_doctor', ARRAY['verify_job_progress()', 'measure_sessions()', 'expected_rights()']),
               -- They run with their owner's rights, or create objects.
               ('PUBLIC',
                ARRAY['refresh_job_progress()', 'verify_job_progress()', 'rebuild_job_progress()',
                      'measure_sessions()', 'compact_job_progress_deltas(uuid[])', 'track_job_objects()',
                      'track_findings()', 'fold_and_refresh_job_progress()', 'build_job_progress(text)',
                      'restore_job_progress()', 'retirable_jobs(interval)', 'retire_job(uuid,interval,bigint)'])
    ),
    older (names) AS (
        SELECT ARRAY['job_progress', 'active_jobs_progress', 'job_statistics', 'materialized_view_refresh_log',
                     'refresh_job_progress()']
        WHERE NOT EXISTS (SELECT
                          FROM pg_depend
                          JOIN pg_rewrite ON pg_rewrite.oid = objid
                          WHERE classid = 'pg_rewrite'::regclass
                            AND ev_class = to_regclass('public.job_progress')
                            AND refclassid = 'pg_class'::regclass
                            AND refobjid = to_regclass('public.job_progress_source'))
    ),
    rights AS (
        SELECT role_name,
               privilege,
               format('TABLE public.%I', name) AS object,
               relowner AS owner,
               true AS is_wanted,
               EXISTS (SELECT
                       FROM aclexplode(coalesce(relacl, acldefault('r', relowner)))
                       WHERE grantee = to_regrole(role_name)
                         AND privilege_type = privilege) AS is_granted,
               has_table_privilege(to_regrole(role_name)::oid, class.oid, privilege) AS is_held
        FROM on_relations
        CROSS JOIN unnest(names) AS name
        CROSS JOIN unnest(privileges) AS privilege
        JOIN pg_class AS class ON class.oid = to_regclass('public.' || name)
        WHERE NOT EXISTS (SELECT FROM older WHERE name = ANY (older.names))
        UNION ALL
        SELECT role_name,
               format('SELECT (%I)', attname),
               format('TABLE public.%I', name),
               relowner,
               true,
               EXISTS (SELECT
                       FROM aclexplode(attacl)
                       WHERE grantee = to_regrole(role_name)
                         AND privilege_type = 'SELECT'),
               has_column_privilege(to_regrole(role_name)::oid, attrelid, attnum, 'SELECT')
        FROM on_columns
        JOIN pg_class AS class ON class.oid = to_regclass('public.' || name)
        JOIN pg_attribute ON attrelid = class.oid AND attname = ANY (columns) AND NOT attisdropped
        UNION ALL
        -- The sequence of findings.id: its name differs where the table was renamed once.
        SELECT 'scanner_app',
               'USAGE',
               format('SEQUENCE %s', sequence.oid::regclass),
               sequence.relowner,
               true,
               EXISTS (SELECT
                       FROM aclexplode(coalesce(sequence.relacl, acldefault('s', sequence.relowner)))
                       WHERE grantee = to_regrole('scanner_app')
                         AND privilege_type = 'USAGE'),
               has_sequence_privilege(to_regrole('scanner_app')::oid, sequence.oid, 'USAGE')
        FROM pg_attrdef AS column_default
        JOIN pg_depend AS depend ON depend.classid = 'pg_attrdef'::regclass AND depend.objid = column_default.oid
        JOIN pg_class AS sequence
          ON depend.refclassid = 'pg_class'::regclass AND sequence.oid = depend.refobjid AND sequence.relkind = 'S'
        WHERE column_default.adrelid = to_regclass('public.findings')
        UNION ALL
        SELECT role_name,
               'EXECUTE',
               format('FUNCTION public.%s', name),
               proowner,
               role_name <> 'PUBLIC',
               EXISTS (SELECT
                       FROM aclexplode(coalesce(proacl, acldefault('f', proowner)))
                       WHERE grantee = coalesce(to_regrole(role_name), 0::regrole)),
               CASE role_name
                   WHEN 'PUBLIC' THEN EXISTS (SELECT
                                              FROM aclexplode(coalesce(proacl, acldefault('f', proowner)))
                                              WHERE grantee = 0)
                   ELSE has_function_privilege(to_regrole(role_name)::oid, function.oid, 'EXECUTE')
               END
        FROM on_functions
        CROSS JOIN unnest(names) AS name
        JOIN pg_proc AS function ON function.oid = to_regprocedure('public.' || name)
        WHERE NOT EXISTS (SELECT FROM older WHERE name = ANY (older.names))
        UNION ALL
        -- By default PUBLIC has it.
        SELECT role_name, 'USAGE', 'SCHEMA public', nspowner, true, false, false
        FROM unnest(ARRAY['scanner_app', 'progress_refresher', 'progress_reader', 'scanner_doctor']) AS role_name
        JOIN pg_namespace ON nspname = 'public'
        WHERE NOT has_schema_privilege(to_regrole(role_name)::oid, pg_namespace.oid, 'USAGE')
    )
    SELECT *
    FROM rights
    WHERE (role_name = 'PUBLIC' OR to_regrole(role_name) IS NOT NULL)
      AND (role_name <> 'scanner_doctor' OR to_regprocedure('public.measure_sessions()') IS NOT NULL)
$$;

-- Grants and revokes what expected_rights() lists and the objects lack. Rights of other roles stay as they are. A
-- migration that creates an object calls it, in the same statement where a reader could meet the object without its
-- right. Locks: no table.
CREATE OR REPLACE FUNCTION public.grant_rights()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT role_name, string_agg(privilege, ', ' ORDER BY privilege) AS privileges, object, owner, is_wanted
        FROM public.expected_rights()
        WHERE is_granted <> is_wanted
        GROUP BY role_name, object, owner, is_wanted
    LOOP
        -- Without this, GRANT would only warn.
        IF NOT pg_has_role(item.owner, 'USAGE') THEN
            RAISE EXCEPTION '% belongs to %, whose rights % does not have',
                    item.object, pg_get_userbyid(item.owner), current_user
                USING HINT = format('GRANT %I TO %I, and migrate again.', pg_get_userbyid(item.owner), current_user);
        END IF;
        IF item.is_wanted THEN
            EXECUTE format('GRANT %s ON %s TO %I', item.privileges, item.object, item.role_name);
        ELSE
            EXECUTE format('REVOKE %s ON %s FROM PUBLIC', item.privileges, item.object);
        END IF;
    END LOOP;
END
$$;

SELECT public.grant_rights();
