-- The triggers of 003 at a lower price for statements that write one row, as a worker's do; what they write is the same.
-- No lock on any table: writers go over to each function with their next statement.

-- It takes part in every write, so two things are done otherwise than elsewhere.
-- To set search_path for each call costs a fifth of the trigger. Instead every table, type, function and operator is named
-- with its schema, so that the caller's search_path has nothing to put in their place.
-- The first two rows of an INSERT are written as they are, and only what comes after them is summed up: to ask first
-- whether there are more costs a single row more than it saves.
CREATE OR REPLACE FUNCTION track_job_objects()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
AS $$
DECLARE
    written pg_catalog.int8;
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id,
               (status OPERATOR(pg_catalog.=) 'queued')::pg_catalog.int4,
               (status OPERATOR(pg_catalog.=) 'processing')::pg_catalog.int4,
               (status OPERATOR(pg_catalog.=) 'succeeded')::pg_catalog.int4,
               (status OPERATOR(pg_catalog.=) 'failed')::pg_catalog.int4,
               0
        FROM new_rows
        LIMIT 2;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written OPERATOR(pg_catalog.=) 2 THEN
            INSERT INTO public.job_progress_deltas
                (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
            SELECT job_id,
                   pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'queued'),
                   pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'processing'),
                   pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'succeeded'),
                   pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'failed'),
                   0
            FROM (SELECT job_id, status FROM new_rows OFFSET 2) AS more_rows
            GROUP BY job_id;
        END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT new_row.job_id,
               (new_row.status OPERATOR(pg_catalog.=) 'queued')::pg_catalog.int4
                   OPERATOR(pg_catalog.-) (old_row.status OPERATOR(pg_catalog.=) 'queued')::pg_catalog.int4,
               (new_row.status OPERATOR(pg_catalog.=) 'processing')::pg_catalog.int4
                   OPERATOR(pg_catalog.-) (old_row.status OPERATOR(pg_catalog.=) 'processing')::pg_catalog.int4,
               (new_row.status OPERATOR(pg_catalog.=) 'succeeded')::pg_catalog.int4
                   OPERATOR(pg_catalog.-) (old_row.status OPERATOR(pg_catalog.=) 'succeeded')::pg_catalog.int4,
               (new_row.status OPERATOR(pg_catalog.=) 'failed')::pg_catalog.int4
                   OPERATOR(pg_catalog.-) (old_row.status OPERATOR(pg_catalog.=) 'failed')::pg_catalog.int4,
               0
        FROM new_rows AS new_row
        CROSS JOIN old_rows AS old_row
        WHERE new_row.job_id OPERATOR(pg_catalog.=) old_row.job_id
          AND NOT EXISTS (SELECT FROM new_rows OFFSET 1);
        IF NOT FOUND THEN
            INSERT INTO public.job_progress_deltas
                (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
            SELECT job_id,
                   coalesce(pg_catalog.sum(change) FILTER (WHERE status OPERATOR(pg_catalog.=) 'queued'), 0),
                   coalesce(pg_catalog.sum(change) FILTER (WHERE status OPERATOR(pg_catalog.=) 'processing'), 0),
                   coalesce(pg_catalog.sum(change) FILTER (WHERE status OPERATOR(pg_catalog.=) 'succeeded'), 0),
                   coalesce(pg_catalog.sum(change) FILTER (WHERE status OPERATOR(pg_catalog.=) 'failed'), 0),
                   0
            FROM (
                SELECT job_id, status, 1 AS change FROM new_rows
                UNION ALL
                SELECT job_id, status, -1 FROM old_rows
            ) AS changes
            GROUP BY job_id;
        END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id,
               OPERATOR(pg_catalog.-) pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'queued'),
               OPERATOR(pg_catalog.-) pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'processing'),
               OPERATOR(pg_catalog.-) pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'succeeded'),
               OPERATOR(pg_catalog.-) pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'failed'),
               0
        FROM old_rows
        GROUP BY job_id;
        RETURN NULL;
    ELSE -- TRUNCATE waited for every writer: what is known of all jobs is what there was.
        IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
            RAISE EXCEPTION '% cannot be truncated in a % transaction, whose snapshot may be too old to count what goes',
                    TG_TABLE_NAME, pg_catalog.upper(pg_catalog.current_setting('transaction_isolation'))
                USING ERRCODE = 'feature_not_supported', HINT = 'Truncate it in a READ COMMITTED transaction.';
        END IF;
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id,
               OPERATOR(pg_catalog.-) pg_catalog.sum(queued_count),
               OPERATOR(pg_catalog.-) pg_catalog.sum(processing_count),
               OPERATOR(pg_catalog.-) pg_catalog.sum(succeeded_count),
               OPERATOR(pg_catalog.-) pg_catalog.sum(failed_count),
               0
        FROM (
            SELECT job_id, queued_count, processing_count, succeeded_count, failed_count FROM public.job_progress_counts
            UNION ALL
            SELECT job_id, queued_count, processing_count, succeeded_count, failed_count FROM public.job_progress_deltas
        ) AS known
        GROUP BY job_id;
        RETURN NULL;
    END IF;

    IF pg_catalog.random() OPERATOR(pg_catalog.<) 0.0005 THEN
        PERFORM public.compact_job_progress_deltas(ARRAY(SELECT DISTINCT job_id FROM new_rows));
    END IF;
    RETURN NULL;
END
$$;

-- The same for findings. An update matters only when it moves a finding to another job.
CREATE OR REPLACE FUNCTION track_findings()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
AS $$
DECLARE
    written pg_catalog.int8;
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, 1
        FROM new_rows
        LIMIT 2;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written OPERATOR(pg_catalog.=) 2 THEN
            INSERT INTO public.job_progress_deltas
                (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
            SELECT job_id, 0, 0, 0, 0, pg_catalog.count(*)
            FROM (SELECT job_id FROM new_rows OFFSET 2) AS more_rows
            GROUP BY job_id;
        END IF;
        IF pg_catalog.random() OPERATOR(pg_catalog.<) 0.0005 THEN
            PERFORM public.compact_job_progress_deltas(ARRAY(SELECT DISTINCT job_id FROM new_rows));
        END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, pg_catalog.sum(change)
        FROM (
            SELECT job_id, 1 AS change FROM new_rows
            UNION ALL
            SELECT job_id, -1 FROM old_rows
        ) AS changes
        GROUP BY job_id
        HAVING pg_catalog.sum(change) OPERATOR(pg_catalog.<>) 0;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, OPERATOR(pg_catalog.-) pg_catalog.count(*)
        FROM old_rows
        GROUP BY job_id;
    ELSE
        IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
            RAISE EXCEPTION '% cannot be truncated in a % transaction, whose snapshot may be too old to count what goes',
                    TG_TABLE_NAME, pg_catalog.upper(pg_catalog.current_setting('transaction_isolation'))
                USING ERRCODE = 'feature_not_supported', HINT = 'Truncate it in a READ COMMITTED transaction.';
        END IF;
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, OPERATOR(pg_catalog.-) pg_catalog.sum(total_findings)
        FROM (
            SELECT job_id, total_findings FROM public.job_progress_counts
            UNION ALL
            SELECT job_id, total_findings FROM public.job_progress_deltas
        ) AS known
        GROUP BY job_id;
    END IF;
    RETURN NULL;
END
$$;
