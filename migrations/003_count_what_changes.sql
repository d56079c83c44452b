-- Progress that is exact at any moment and costs what changed: statement triggers write deltas, a refresh folds them
-- into one row a job, and both together are the truth.
-- Runs statement by statement: writers wait for one trigger at a time, and not at all while the rows are counted.
-- Narrow deltas are read faster, and nobody changes two billion objects of a job between two refreshes.
-- squawk-ignore-file prefer-bigint-over-int

-- What is known of each job, up to the deltas that are not folded yet. A job without a row has nothing; a job that was
-- deleted keeps its row for as long as findings of it remain.
CREATE TABLE IF NOT EXISTS job_progress_counts (
    job_id uuid PRIMARY KEY,
    queued_count bigint NOT NULL,
    processing_count bigint NOT NULL,
    succeeded_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    total_findings bigint NOT NULL,
    last_object_update timestamptz
);

-- What each statement changed, and for which jobs. Rows come and go and are never updated, so nobody waits for anybody.
-- Vacuum comes after some thousand dead rows however large the table is, and does not pause: a read passes the dead.
CREATE TABLE IF NOT EXISTS job_progress_deltas (
    job_id uuid NOT NULL,
    queued_count int NOT NULL,
    processing_count int NOT NULL,
    succeeded_count int NOT NULL,
    failed_count int NOT NULL,
    total_findings int NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_vacuum_cost_delay = 0
);

-- One job's deltas: job_progress_live, and their compaction.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_progress_deltas_job_id ON job_progress_deltas (job_id);

-- Puts the deltas of some jobs together, one row a job. It passes over rows that another transaction has in hand, so it
-- waits for nobody, and what it deletes and what it inserts are the same sums. Only a READ COMMITTED transaction can
-- pass over a row that went away since its snapshot; in the others it leaves the work to the next.
CREATE OR REPLACE FUNCTION compact_job_progress_deltas(job_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;

    WITH taken AS MATERIALIZED (
        SELECT ctid
        FROM public.job_progress_deltas
        WHERE job_id = ANY (job_ids)
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

-- Writes what one statement did to the objects of each job: also when nothing but updated_at changed, because
-- last_object_update is part of the progress. It runs as its owner, so that a writer needs no right on the deltas.
-- A statement that writes one row, as a worker's does, needs no sums: without them it costs a third less.
-- One statement in two thousand compacts the deltas of its jobs: a read sums up thousands of rows, not millions, however
-- long no refresh has run.
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

-- The same for findings. An update matters only when it moves a finding to another job.
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

-- Each trigger waits for the transactions that write the table now, so that whatever is not tracked is there to count.
CREATE OR REPLACE TRIGGER track_job_objects_insert AFTER INSERT ON job_objects
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION track_job_objects();

CREATE OR REPLACE TRIGGER track_job_objects_update AFTER UPDATE ON job_objects
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION track_job_objects();

CREATE OR REPLACE TRIGGER track_job_objects_delete AFTER DELETE ON job_objects
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION track_job_objects();

CREATE OR REPLACE TRIGGER track_job_objects_truncate AFTER TRUNCATE ON job_objects
FOR EACH STATEMENT EXECUTE FUNCTION track_job_objects();

CREATE OR REPLACE TRIGGER track_findings_insert AFTER INSERT ON findings
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION track_findings();

CREATE OR REPLACE TRIGGER track_findings_update AFTER UPDATE ON findings
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION track_findings();

CREATE OR REPLACE TRIGGER track_findings_delete AFTER DELETE ON findings
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION track_findings();

CREATE OR REPLACE TRIGGER track_findings_truncate AFTER TRUNCATE ON findings
FOR EACH STATEMENT EXECUTE FUNCTION track_findings();

-- Every job whose known numbers differ from a full count, all in one snapshot: no writer is waited for, none waits.
-- A drift is known minus counted. The counts are parallel index-only scans. Not STABLE: it may have to wait for a TRUNCATE,
-- and then needs a snapshot that is newer than the wait.
CREATE OR REPLACE FUNCTION verify_job_progress()
RETURNS TABLE (
    job_id uuid,
    queued_drift bigint,
    processing_drift bigint,
    succeeded_drift bigint,
    failed_drift bigint,
    findings_drift bigint,
    known_object_update timestamptz,
    last_object_update timestamptz
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT *
    FROM (
        SELECT job_id,
               coalesce(known.queued_count, 0) - coalesce(objects.queued_count, 0) AS queued_drift,
               coalesce(known.processing_count, 0) - coalesce(objects.processing_count, 0) AS processing_drift,
               coalesce(known.succeeded_count, 0) - coalesce(objects.succeeded_count, 0) AS succeeded_drift,
               coalesce(known.failed_count, 0) - coalesce(objects.failed_count, 0) AS failed_drift,
               coalesce(known.total_findings, 0) - coalesce(found.total_findings, 0) AS findings_drift,
               -- While a job has deltas, whoever reads it looks the time up.
               CASE WHEN known.has_deltas THEN looked_up.last_object_update ELSE known.last_object_update END
                   AS known_object_update,
               looked_up.last_object_update
        FROM (
            SELECT job_id,
                   sum(queued_count)::bigint AS queued_count,
                   sum(processing_count)::bigint AS processing_count,
                   sum(succeeded_count)::bigint AS succeeded_count,
                   sum(failed_count)::bigint AS failed_count,
                   sum(total_findings)::bigint AS total_findings,
                   bool_or(is_delta) AS has_deltas,
                   max(last_object_update) AS last_object_update
            FROM (
                SELECT *, false AS is_delta FROM public.job_progress_counts
                UNION ALL
                SELECT *, NULL, true FROM public.job_progress_deltas
            ) AS counts_and_deltas
            GROUP BY job_id
        ) AS known
        FULL JOIN (
            SELECT job_id,
                   count(*) FILTER (WHERE status = 'queued') AS queued_count,
                   count(*) FILTER (WHERE status = 'processing') AS processing_count,
                   count(*) FILTER (WHERE status = 'succeeded') AS succeeded_count,
                   count(*) FILTER (WHERE status = 'failed') AS failed_count
            FROM public.job_objects
            GROUP BY job_id
        ) AS objects USING (job_id)
        FULL JOIN (
            SELECT job_id, count(*) AS total_findings
            FROM public.findings
            GROUP BY job_id
        ) AS found USING (job_id)
        CROSS JOIN LATERAL (
            SELECT max(job_objects.updated_at) AS last_object_update
            FROM public.job_objects
            WHERE job_objects.job_id = coalesce(known.job_id, objects.job_id, found.job_id)
        ) AS looked_up
    ) AS compared
    WHERE (queued_drift, processing_drift, succeeded_drift, failed_drift, findings_drift) <> (0, 0, 0, 0, 0)
       OR known_object_update IS DISTINCT FROM last_object_update;
END
$$;

-- Takes the drift of each job out of its counts, and says how many jobs had one. Deltas stay where they are, so writers
-- and compaction go on; it waits for a refresh, and a refresh beside it returns at once with refreshed = false.
CREATE OR REPLACE FUNCTION rebuild_job_progress()
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mended bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'rebuild_job_progress() cannot run in a % transaction, whose snapshot may be too old',
                upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'feature_not_supported', HINT = 'Call it in a READ COMMITTED transaction.';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('refresh_job_progress', 0));

    INSERT INTO public.job_progress_counts AS counts
        (job_id, queued_count, processing_count, succeeded_count, failed_count, total_findings, last_object_update)
    SELECT job_id, -queued_drift, -processing_drift, -succeeded_drift, -failed_drift, -findings_drift, last_object_update
    FROM public.verify_job_progress()
    ON CONFLICT (job_id) DO UPDATE
    SET queued_count = counts.queued_count + excluded.queued_count,
        processing_count = counts.processing_count + excluded.processing_count,
        succeeded_count = counts.succeeded_count + excluded.succeeded_count,
        failed_count = counts.failed_count + excluded.failed_count,
        total_findings = counts.total_findings + excluded.total_findings,
        last_object_update = excluded.last_object_update;
    GET DIAGNOSTICS mended = ROW_COUNT;
    RETURN mended;
END
$$;

REVOKE EXECUTE ON FUNCTION compact_job_progress_deltas(uuid[]), track_job_objects(), track_findings(),
    verify_job_progress(), rebuild_job_progress() FROM public;
GRANT EXECUTE ON FUNCTION verify_job_progress(), rebuild_job_progress() TO progress_refresher;

-- Count the rows that were there before the triggers: one snapshot, no lock that a writer waits for.
SELECT rebuild_job_progress();

-- The columns of job_progress, exact now: counts and deltas of one snapshot. Deltas are summed up before the join, as in
-- job_progress_direct: one job reads a range of their index, all jobs read them once.
CREATE OR REPLACE VIEW job_progress_live AS
SELECT jobs.job_id,
       jobs.bucket,
       jobs.prefix,
       jobs.execution_arn,
       jobs.created_at,
       jobs.updated_at,
       known.queued_count + known.processing_count + known.succeeded_count + known.failed_count AS total_objects,
       known.queued_count,
       known.processing_count,
       known.succeeded_count,
       known.failed_count,
       known.total_findings,
       -- Cut off, not rounded: a job is at 100 when its last object is done, and not before.
       coalesce(
           trunc(
               100.0 * (known.succeeded_count + known.failed_count)
               / nullif(known.queued_count + known.processing_count + known.succeeded_count + known.failed_count, 0),
               2
           ),
           0
       ) AS progress_percent,
       CASE
           WHEN deltas.job_id IS NULL THEN counts.last_object_update
           ELSE (SELECT max(job_objects.updated_at) FROM job_objects WHERE job_objects.job_id = jobs.job_id)
       END AS last_object_update
FROM jobs
LEFT JOIN job_progress_counts AS counts ON counts.job_id = jobs.job_id
LEFT JOIN (
    SELECT job_id,
           sum(queued_count) AS queued_count,
           sum(processing_count) AS processing_count,
           sum(succeeded_count) AS succeeded_count,
           sum(failed_count) AS failed_count,
           sum(total_findings) AS total_findings
    FROM job_progress_deltas
    GROUP BY job_id
) AS deltas ON deltas.job_id = jobs.job_id
CROSS JOIN LATERAL (
    SELECT coalesce(counts.queued_count, 0) + coalesce(deltas.queued_count, 0) AS queued_count,
           coalesce(counts.processing_count, 0) + coalesce(deltas.processing_count, 0) AS processing_count,
           coalesce(counts.succeeded_count, 0) + coalesce(deltas.succeeded_count, 0) AS succeeded_count,
           coalesce(counts.failed_count, 0) + coalesce(deltas.failed_count, 0) AS failed_count,
           coalesce(counts.total_findings, 0) + coalesce(deltas.total_findings, 0) AS total_findings
) AS known;

-- From here on a refresh reads what is known instead of counting rows. Compaction may have some deltas in hand that a
-- fold passes over; reading the live numbers, a refresh misses none of them.
CREATE OR REPLACE VIEW job_progress_source AS
SELECT * FROM job_progress_live;

-- One job as JSON in one round trip: from job_progress when it holds the job and the job is older than five minutes,
-- unless real_time is asked for, otherwise the live numbers; null when there is no such job. A function, because its
-- queries stay planned for as long as the session lives, where a prepared statement would pin RDS Proxy's connection.
-- Takes no lock that a refresh waits for.
CREATE OR REPLACE FUNCTION read_job_progress(job_id uuid, real_time boolean)
RETURNS json
LANGUAGE plpgsql
STABLE
AS $$
#variable_conflict use_variable
DECLARE
    progress json;
BEGIN
    IF NOT real_time THEN
        SELECT row_to_json(cached)
        INTO progress
        FROM (
            SELECT job_progress.*,
                   log.last_refreshed_at AS cache_refreshed_at,
                   log.refresh_duration_ms AS cache_refresh_duration_ms
            FROM public.job_progress
            LEFT JOIN public.materialized_view_refresh_log AS log ON log.view_name = 'job_progress'
            WHERE job_progress.job_id = read_job_progress.job_id
              AND job_progress.created_at < now() - INTERVAL '5 minutes'
        ) AS cached;
        IF FOUND THEN
            RETURN progress;
        END IF;
    END IF;

    SELECT row_to_json(live)
    INTO progress
    FROM public.job_progress_live AS live
    WHERE live.job_id = read_job_progress.job_id;
    RETURN progress;
END
$$;

-- refresh_job_progress() folds, refreshes and logs in the caller's transaction. Its locks are those it had: EXCLUSIVE on
-- job_progress (readers go on), and a transaction lock of its own, so that of two callers one works and the other
-- returns at once with refreshed = false. A fold deletes the deltas that no transaction has in hand and adds them to the
-- counts, in one statement and so in one snapshot.
-- lag_seconds is the age of job_progress when it began, backlog_rows the deltas that waited: those that it folded, or, when
-- another refresh is at work, all there are. A result type cannot be replaced: the old function is dropped, and its grants
-- go to the new one.
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
        OUT total_objects bigint,
        OUT folded_rows bigint,
        OUT backlog_rows bigint,
        OUT lag_seconds double precision
    )
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $function$
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

GRANT SELECT ON job_progress_live TO progress_reader;

SELECT refresh_job_progress();
