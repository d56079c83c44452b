-- What a partitioned table needs that a plain one does not.

-- name: create
-- Refuses the statements whose changes PostgreSQL 17 does not tell its triggers, so that progress stays exact. In a MERGE
-- on a partitioned table, an update that comes after an insert is told with the inserted row in the place of the new one,
-- and an update that moves a row to another partition is told as an insert alone. (ExecMergeMatched leaves
-- tcs_original_insert_tuple as the insert set it.)
-- Both are known by one sum: what the rows themselves said of their keys that changed, as each was changed, against what
-- the statement's two tables say. A key that is in both does not count. Reads no table.
CREATE OR REPLACE FUNCTION public.guard_job_objects()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $guard$
DECLARE
    seen CONSTANT bigint := coalesce(nullif(current_setting('job_objects.changed_keys', true), ''), '0');
BEGIN
    IF TG_LEVEL = 'ROW' THEN
        PERFORM set_config(
            'job_objects.changed_keys',
            (seen # hashtextextended(ROW({old_key})::text, 0) # hashtextextended(ROW({new_key})::text, 0))::text,
            true);
        RETURN NEW;
    END IF;
    IF seen <> 0 THEN
        PERFORM set_config('job_objects.changed_keys', '', true);
    END IF;
    IF seen = (SELECT coalesce(bit_xor(hashtextextended(ROW({key})::text, 0)), 0)
               FROM (SELECT {key} FROM old_rows UNION ALL SELECT {key} FROM new_rows) AS told) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'MERGE cannot insert and update, or move rows to another job, in the partitioned table job_objects'
        USING ERRCODE = 'feature_not_supported',
              DETAIL = 'PostgreSQL tells triggers the wrong rows, and progress would not be exact.',
              HINT = 'Use INSERT ... ON CONFLICT ... DO UPDATE, or UPDATE.';
END
$guard$;
CREATE TRIGGER guard_job_objects_keys BEFORE UPDATE ON {source}
FOR EACH ROW WHEN (ROW({old_key}) <> ROW({new_key})) EXECUTE FUNCTION public.guard_job_objects();
CREATE TRIGGER guard_job_objects_update AFTER UPDATE ON {source}
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION public.guard_job_objects();

-- name: drop
DROP FUNCTION IF EXISTS public.guard_job_objects();
