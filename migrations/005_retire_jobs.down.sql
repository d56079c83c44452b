-- Jobs are retired no more. retired_jobs stays while it holds a row: the progress of these jobs is nowhere else, and the
-- status API goes on answering from it. A job whose deletion is not finished stays with the objects that it still has.
-- squawk-ignore-file ban-drop-table, ban-drop-function

DROP FUNCTION IF EXISTS retire_job(uuid, interval, bigint);
DROP FUNCTION IF EXISTS retirable_jobs(interval);

DO $$
BEGIN
    IF to_regclass('public.retired_jobs') IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM public.retired_jobs WHERE deleted_at IS NULL;
    IF NOT EXISTS (SELECT FROM public.retired_jobs) THEN
        DROP TABLE public.retired_jobs;
    END IF;
END
$$;
