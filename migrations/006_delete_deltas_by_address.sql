-- A fold and a compaction delete each delta by its address, whatever the planner thinks of it. 003 left it to the planner, and
-- a session keeps its plans: one that was made while the table was small compared each row with each address. A refresher
-- that had begun with 100 deltas took 15 s for 60,000, and would have taken four times as long for twice as many.
-- No lock on any table: callers go over to each function with their next statement.

-- Puts the deltas of some jobs together, one row a job. It passes over rows that another transaction has in hand, so it
-- waits for nobody, and what it deletes and what it inserts are the same sums. Only a READ COMMITTED transaction can
-- pass over a row that went away since its snapshot; in the others it leaves the work to the next. A writer waits for it, so
-- of a long backlog it does a part; the next, some 2,000 statements later, goes on. A statement leaves three deltas a job
-- at most, so that part is more than what came meanwhile.
CREATE OR REPLACE FUNCTION compact_job_progress_deltas(job_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;

    WITH taken AS MATERIALIZED (
        SELECT ctid
        FROM public.job_progress_deltas
        WHERE job_id = ANY (job_ids)
        LIMIT 10000 * cardinality(job_ids)
        FOR UPDATE SKIP LOCKED
    ),
    gone AS (
        DELETE FROM public.job_progress_deltas
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM taken))
        RETURNING *
    )
    INSERT INTO public.job_progress_deltas
        (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
    SELECT job_id,
           sum(queued_count),
           sum(processing_count),
           sum(succeeded_count),
           sum(failed_count),
           sum(total_findings)
    FROM gone
    GROUP BY job_id;
END
$$;

-- Adds the deltas that no transaction has in hand to the counts, and deletes them, in one statement and so in one snapshot.
-- A part of refresh_job_progress(), with its owner's rights: the settings must not reach the refresh of the view. It reads all
-- deltas, which only a scan of the table can do; what the planner thinks that costs now would have it compiled first.
CREATE OR REPLACE FUNCTION fold_job_progress_deltas(OUT folded_rows bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    WITH taken AS MATERIALIZED (
        SELECT ctid FROM public.job_progress_deltas FOR UPDATE SKIP LOCKED
    ),
    gone AS (
        DELETE FROM public.job_progress_deltas
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM taken))
        RETURNING *
    ),
    sums AS (
        SELECT job_id,
               count(*) AS rows,
               sum(queued_count) AS queued_count,
               sum(processing_count) AS processing_count,
               sum(succeeded_count) AS succeeded_count,
               sum(failed_count) AS failed_count,
               sum(total_findings) AS total_findings,
               (SELECT max(job_objects.updated_at)
                FROM public.job_objects
                WHERE job_objects.job_id = gone.job_id) AS last_object_update
        FROM gone
        GROUP BY job_id
    ),
    folded AS (
        INSERT INTO public.job_progress_counts AS counts
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings,
             last_object_update)
        SELECT job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings,
               last_object_update
        FROM sums
        ON CONFLICT (job_id) DO UPDATE
        SET queued_count = counts.queued_count + excluded.queued_count,
            processing_count = counts.processing_count + excluded.processing_count,
            succeeded_count = counts.succeeded_count + excluded.succeeded_count,
            failed_count = counts.failed_count + excluded.failed_count,
            total_findings = counts.total_findings + excluded.total_findings,
            last_object_update = excluded.last_object_update
    )
    SELECT coalesce(sum(rows), 0) INTO folded_rows FROM sums;
END
$$;

-- As in 003, but for the fold.
CREATE OR REPLACE FUNCTION refresh_job_progress(
    OUT refreshed boolean,
    OUT refresh_duration_ms int,
    OUT total_jobs bigint,
    OUT total_objects bigint,
    OUT folded_rows bigint,
    OUT backlog_rows bigint,
    OUT lag_seconds double precision
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    started_at CONSTANT timestamptz := clock_timestamp();
BEGIN
    SELECT extract(epoch FROM started_at - last_refreshed_at)
    INTO lag_seconds
    FROM public.materialized_view_refresh_log
    WHERE view_name = 'job_progress';

    IF NOT pg_try_advisory_xact_lock(hashtextextended('refresh_job_progress', 0)) THEN
        refreshed := false;
        SELECT count(*) INTO backlog_rows FROM public.job_progress_deltas;
        RETURN;
    END IF;

    folded_rows := public.fold_job_progress_deltas();
    backlog_rows := folded_rows;

    DELETE FROM public.job_progress_counts
    WHERE (queued_count, processing_count, succeeded_count, failed_count, total_findings) = (0, 0, 0, 0, 0);

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
$$;
