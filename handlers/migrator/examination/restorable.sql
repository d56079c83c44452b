-- What migrations/restore.sql would build again.

-- name: is_known
SELECT to_regprocedure('public.objects_to_restore()') IS NOT NULL AS is_known;

-- name: objects
SELECT 'public.' || name AS subject,
       CASE WHEN is_missing THEN 'missing' ELSE 'replaced by an older deployment''s script' END AS value
FROM public.objects_to_restore()
ORDER BY name;
