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

-- name: is_listed
-- Whether roles.sql of a release that lists the rights has run here.
SELECT to_regprocedure('public.expected_rights()') IS NOT NULL AS is_listed;

-- name: wrong_rights
-- What roles.sql lists and the objects differ from, in the words of a GRANT.
SELECT role_name, string_agg(privilege, ', ' ORDER BY privilege) AS privileges, object, is_wanted
FROM public.expected_rights()
WHERE is_held <> is_wanted
GROUP BY role_name, object, is_wanted
ORDER BY role_name, is_wanted, object;
