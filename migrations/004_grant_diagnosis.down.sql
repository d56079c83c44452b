-- Revokes the doctor's rights and drops measure_sessions(). pg_stat_statements stays: it may be older than 004, and
-- other clients may read it. Skips views and tables that were dropped since: a rollback must not fail for want of them.
-- squawk-ignore-file ban-drop-function

DROP FUNCTION IF EXISTS measure_sessions();

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
