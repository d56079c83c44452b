-- Restores what was dropped or replaced since 002: its views, its log and its functions. An older deployment's script,
-- run once more, makes its own job_progress again, which counts every row. Runs after the numbered files in each run,
-- statement by statement, so it must be idempotent. Does nothing in a release that ends before 002.

DO $$
BEGIN
    IF to_regprocedure('public.adopt_older_views()') IS NOT NULL THEN
        PERFORM public.build_job_progress_beside();
    END IF;
END
$$;

DO $$
BEGIN
    IF to_regprocedure('public.adopt_older_views()') IS NOT NULL THEN
        PERFORM public.adopt_older_views();
    END IF;
END
$$;

DO $$
BEGIN
    IF to_regprocedure('public.adopt_older_views()') IS NOT NULL THEN
        PERFORM public.fill_built_views();
    END IF;
END
$$;
