-- Which role may do what.

-- name: sign_in
-- The roles that are missing or may not log in.
SELECT role_name,
       CASE
           WHEN role.oid IS NULL THEN 'does not exist'
           WHEN NOT role.rolcanlogin THEN 'may not log in'
           WHEN NOT has_database_privilege(role.oid, current_database(), 'CONNECT') THEN 'may not connect'
           ELSE 'is not in rds_iam'
       END AS fault,
       NOT coalesce(role.rolcanlogin, true) AS is_locked
FROM unnest(ARRAY['scanner_app', 'progress_refresher', 'progress_reader', 'scanner_doctor']) AS role_name
LEFT JOIN pg_roles AS role ON role.rolname = role_name
WHERE role.oid IS NULL
   OR NOT role.rolcanlogin
   OR NOT has_database_privilege(role.oid, current_database(), 'CONNECT')
   OR NOT coalesce(pg_has_role(role.oid, to_regrole('rds_iam')::oid, 'MEMBER'), true);

-- name: missing_grants
-- Rights that the migrations grant on objects that exist and that a role lacks, in the words of a GRANT.
WITH table_grants (role_name, names, privileges) AS (
    VALUES ('scanner_app', ARRAY['jobs', 'job_objects', 'findings'], ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
           ('progress_reader',
            ARRAY['job_progress', 'job_progress_direct', 'job_progress_live', 'job_progress_source',
                  'active_jobs_progress', 'job_statistics', 'materialized_view_refresh_log'],
            ARRAY['SELECT'])
),
function_grants (role_name, names) AS (
    VALUES ('progress_refresher',
            ARRAY['refresh_job_progress()', 'verify_job_progress()', 'rebuild_job_progress()', 'measure_sessions()']),
           ('progress_reader', ARRAY['read_job_progress(uuid,boolean)'])
)
SELECT role_name, string_agg(privilege, ', ') AS privileges, name AS object
FROM table_grants
CROSS JOIN unnest(names) AS name
CROSS JOIN unnest(privileges) AS privilege
WHERE NOT has_table_privilege(to_regrole(role_name)::oid, to_regclass('public.' || name)::oid, privilege)
GROUP BY role_name, name
UNION ALL
SELECT role_name, 'EXECUTE', 'FUNCTION ' || name
FROM function_grants
CROSS JOIN unnest(names) AS name
WHERE NOT has_function_privilege(to_regrole(role_name)::oid, to_regprocedure('public.' || name)::oid, 'EXECUTE')
UNION ALL
SELECT 'scanner_app', 'USAGE', 'SEQUENCE findings_id_seq'
WHERE NOT has_sequence_privilege(to_regrole('scanner_app')::oid, to_regclass('public.findings_id_seq')::oid, 'USAGE')
ORDER BY role_name, object;
