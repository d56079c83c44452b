-- The functions of 003, as they were. No lock on any table.

CREATE OR REPLACE FUNCTION track_job_objects()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT new_row.job_id,
               (new_row.status = 'queued')::int - (old_row.status = 'queued')::int,
               (new_row.status = 'processing')::int - (old_row.status = 'processing')::int,
               (new_row.status = 'succeeded')::int - (old_row.status = 'succeeded')::int,
               (new_row.status = 'failed')::int - (old_row.status = 'failed')::int,
               0
        FROM new_rows AS new_row
        CROSS JOIN old_rows AS old_row
        WHERE new_row.job_id = old_row.job_id
          AND NOT EXISTS (SELECT FROM new_rows OFFSET 1);
        IF NOT FOUND THEN
            INSERT INTO public.job_progress_deltas
                (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
            SELECT job_id,
                   coalesce(sum(change) FILTER (WHERE status = 'queued'), 0),
                   coalesce(sum(change) FILTER (WHERE status = 'processing'), 0),
                   coalesce(sum(change) FILTER (WHERE status = 'succeeded'), 0),
                   coalesce(sum(change) FILTER (WHERE status = 'failed'), 0),
                   0
            FROM (
                SELECT job_id, status, 1 AS change FROM new_rows
                UNION ALL
                SELECT job_id, status, -1 FROM old_rows
            ) AS changes
            GROUP BY job_id;
        END IF;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id,
               (status = 'queued')::int,
               (status = 'processing')::int,
               (status = 'succeeded')::int,
               (status = 'failed')::int,
               0
        FROM new_rows
        WHERE NOT EXISTS (SELECT FROM new_rows OFFSET 1);
        IF NOT FOUND THEN
            INSERT INTO public.job_progress_deltas
                (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
            SELECT job_id,
                   count(*) FILTER (WHERE status = 'queued'),
                   count(*) FILTER (WHERE status = 'processing'),
                   count(*) FILTER (WHERE status = 'succeeded'),
                   count(*) FILTER (WHERE status = 'failed'),
                   0
            FROM new_rows
            GROUP BY job_id;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id,
               -count(*) FILTER (WHERE status = 'queued'),
               -count(*) FILTER (WHERE status = 'processing'),
               -count(*) FILTER (WHERE status = 'succeeded'),
               -count(*) FILTER (WHERE status = 'failed'),
               0
        FROM old_rows
        GROUP BY job_id;
        RETURN NULL;
    ELSE -- TRUNCATE waited for every writer: what is known of all jobs is what there was.
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION '% cannot be truncated in a % transaction, whose snapshot may be too old to count what goes',
                    TG_TABLE_NAME, upper(current_setting('transaction_isolation'))
                USING ERRCODE = 'feature_not_supported', HINT = 'Truncate it in a READ COMMITTED transaction.';
        END IF;
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id, -sum(queued_count), -sum(processing_count), -sum(succeeded_count), -sum(failed_count), 0
        FROM (
            SELECT job_id, queued_count, processing_count, succeeded_count, failed_count FROM public.job_progress_counts
            UNION ALL
            SELECT job_id, queued_count, processing_count, succeeded_count, failed_count FROM public.job_progress_deltas
        ) AS known
        GROUP BY job_id;
        RETURN NULL;
    END IF;

    IF random() < 0.0005 THEN
        PERFORM public.compact_job_progress_deltas(ARRAY(SELECT DISTINCT job_id FROM new_rows));
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION track_findings()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, count(*)
        FROM new_rows
        GROUP BY job_id;
        IF random() < 0.0005 THEN
            PERFORM public.compact_job_progress_deltas(ARRAY(SELECT DISTINCT job_id FROM new_rows));
        END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, sum(change)
        FROM (
            SELECT job_id, 1 AS change FROM new_rows
            UNION ALL
            SELECT job_id, -1 FROM old_rows
        ) AS changes
        GROUP BY job_id
        HAVING sum(change) <> 0;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, -count(*)
        FROM old_rows
        GROUP BY job_id;
    ELSE
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION '% cannot be truncated in a % transaction, whose snapshot may be too old to count what goes',
                    TG_TABLE_NAME, upper(current_setting('transaction_isolation'))
                USING ERRCODE = 'feature_not_supported', HINT = 'Truncate it in a READ COMMITTED transaction.';
        END IF;
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, -sum(total_findings)
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
