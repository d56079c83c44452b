-- Back to counting rows at each refresh: first nothing reads what is known, then nothing writes it, then it goes.
-- Runs statement by statement, so that the writers of one table do not wait for those of the other.
-- Dropping is what a rollback is for.
-- squawk-ignore-file ban-drop-table, ban-drop-view, ban-drop-function, ban-drop-trigger

CREATE OR REPLACE VIEW job_progress_source AS
SELECT * FROM job_progress_direct;

-- The function as 002 made it, with the grants that it has.
DO $$
DECLARE
    grants CONSTANT aclitem[] := (
        SELECT coalesce(proacl, acldefault('f', proowner))
        FROM pg_proc
        WHERE oid = to_regprocedure('public.refresh_job_progress()')
    );
    item record;
BEGIN
    DROP FUNCTION IF EXISTS public.refresh_job_progress();

    CREATE FUNCTION public.refresh_job_progress(
        OUT refreshed boolean,
        OUT refresh_duration_ms int,
        OUT total_jobs bigint,
        OUT total_objects bigint
    )
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $function$
    DECLARE
        started_at CONSTANT timestamptz := clock_timestamp();
    BEGIN
        IF NOT pg_try_advisory_xact_lock(hashtextextended('refresh_job_progress', 0)) THEN
            refreshed := false;
            RETURN;
        END IF;

        IF (SELECT relispopulated FROM pg_class WHERE oid = 'public.job_progress'::regclass) THEN
            REFRESH MATERIALIZED VIEW CONCURRENTLY public.job_progress;
        ELSE
            REFRESH MATERIALIZED VIEW public.job_progress;
        END IF;

        refreshed := true;
        refresh_duration_ms := round(extract(epoch FROM clock_timestamp() - started_at) * 1000);
        SELECT count(*), coalesce(sum(progress.total_objects), 0)
        INTO refresh_job_progress.total_jobs, refresh_job_progress.total_objects
        FROM public.job_progress AS progress;

        INSERT INTO public.materialized_view_refresh_log AS log
            (view_name, last_refreshed_at, refresh_duration_ms, total_jobs, total_objects)
        VALUES
            ('job_progress', started_at, refresh_job_progress.refresh_duration_ms,
             refresh_job_progress.total_jobs, refresh_job_progress.total_objects)
        ON CONFLICT (view_name) DO UPDATE
        SET last_refreshed_at = excluded.last_refreshed_at,
            refresh_duration_ms = excluded.refresh_duration_ms,
            total_jobs = excluded.total_jobs,
            total_objects = excluded.total_objects;
    END
    $function$;

    REVOKE EXECUTE ON FUNCTION public.refresh_job_progress() FROM public;
    FOR item IN SELECT grantee, is_grantable FROM aclexplode(grants) WHERE grantee <> 0 LOOP
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION public.refresh_job_progress() TO %I %s',
            pg_get_userbyid(item.grantee),
            CASE WHEN item.is_grantable THEN 'WITH GRANT OPTION' END
        );
    END LOOP;
END
$$;

DROP FUNCTION IF EXISTS read_job_progress(uuid, boolean);
DROP VIEW IF EXISTS job_progress_live;
DROP FUNCTION IF EXISTS rebuild_job_progress();
DROP FUNCTION IF EXISTS verify_job_progress();

DROP TRIGGER IF EXISTS track_job_objects_insert ON job_objects;
DROP TRIGGER IF EXISTS track_job_objects_update ON job_objects;
DROP TRIGGER IF EXISTS track_job_objects_delete ON job_objects;
DROP TRIGGER IF EXISTS track_job_objects_truncate ON job_objects;
DROP TRIGGER IF EXISTS track_findings_insert ON findings;
DROP TRIGGER IF EXISTS track_findings_update ON findings;
DROP TRIGGER IF EXISTS track_findings_delete ON findings;
DROP TRIGGER IF EXISTS track_findings_truncate ON findings;

DROP FUNCTION IF EXISTS track_job_objects();
DROP FUNCTION IF EXISTS track_findings();
DROP FUNCTION IF EXISTS compact_job_progress_deltas(uuid[]);
DROP INDEX CONCURRENTLY IF EXISTS idx_job_progress_deltas_job_id;
DROP TABLE IF EXISTS job_progress_deltas;
DROP TABLE IF EXISTS job_progress_counts;
