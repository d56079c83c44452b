-- The doctor sees no table, and a refresh measures no session. pg_stat_statements stays: it may have been there before, and
-- others may read it by now. What somebody dropped in the meantime is no obstacle: the rollback of the migration that made it,
-- and a deployment, bring it back.
-- Dropping is what a rollback is for.
-- squawk-ignore-file ban-drop-function

DROP FUNCTION IF EXISTS measure_sessions();

DROP FUNCTION IF EXISTS restore_job_progress();

REVOKE EXECUTE ON FUNCTION verify_job_progress() FROM scanner_doctor;
REVOKE SELECT (job_id) ON findings FROM scanner_doctor;
REVOKE SELECT (job_id, status, updated_at) ON job_objects FROM scanner_doctor;
REVOKE SELECT (job_id, created_at, updated_at) ON jobs FROM scanner_doctor;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'job_progress', 'job_progress_live', 'job_progress_counts', 'job_progress_deltas',
        'materialized_view_refresh_log', 'schema_migrations'
    ] LOOP
        IF to_regclass('public.' || name) IS NOT NULL THEN
            EXECUTE format('REVOKE SELECT ON public.%I FROM scanner_doctor', name);
        END IF;
    END LOOP;
END
$$;
