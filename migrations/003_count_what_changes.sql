-- Exact progress whose cost follows the changes: statement triggers write deltas, a refresh folds the deltas into one
-- row of counts for each job, and a read adds up both.
-- Runs statement by statement: writers wait for one trigger at a time, and not while the existing rows are counted.

-- Per-job totals; add the unfolded deltas for the exact count. A job without a row counts 0. A deleted job keeps its
-- row while findings of it remain. other_count is the objects of any other status, NULL included: in the total, never
-- done. Statuses are compared as text, so that an enum, citext or varchar column fails no writer.
-- After a load of data that holds these tables too (pg_dump --data-only), each row is counted twice: by its trigger,
-- and in the loaded counts. SELECT rebuild_job_progress() mends that.
CREATE TABLE IF NOT EXISTS job_progress_counts (
    job_id uuid PRIMARY KEY,
    queued_count bigint NOT NULL,
    processing_count bigint NOT NULL,
    succeeded_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    other_count bigint NOT NULL,
    total_findings bigint NOT NULL,
    last_object_update timestamptz
);

-- What each statement changed, by job. Rows are inserted and deleted, never updated, so writers never wait for each
-- other. Autovacuum at 10,000 dead rows, unthrottled, because reads scan dead rows.
CREATE TABLE IF NOT EXISTS job_progress_deltas (
    job_id uuid NOT NULL,
    queued_count bigint NOT NULL,
    processing_count bigint NOT NULL,
    succeeded_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    other_count bigint NOT NULL,
    total_findings bigint NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_vacuum_cost_delay = 0
);

-- Serves job_progress_live for one job, and the compaction of one job's deltas.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_progress_deltas_job_id ON job_progress_deltas (job_id);

-- Each row asks the next refresh to rebuild. A TRUNCATE above READ COMMITTED adds one: its snapshot may be older than
-- the last commits before it, so its deltas may leave these out.
CREATE TABLE IF NOT EXISTS job_progress_recounts (
    truncated_table text NOT NULL,
    truncated_at timestamptz NOT NULL
);

-- A publication of all tables, or of the schema, refuses DELETE on a table without a primary key or replica identity.
-- FULL costs only where wal_level is logical.
-- squawk-ignore prefer-robust-stmts
ALTER TABLE job_progress_deltas REPLICA IDENTITY FULL;
-- squawk-ignore prefer-robust-stmts
ALTER TABLE job_progress_recounts REPLICA IDENTITY FULL;

-- Replaces the deltas of the given jobs by their sums, one row for each job. The triggers below call it now and then.
-- Locks: rows of the deltas. Skips locked rows (SKIP LOCKED), so writers never block each other.
-- Only under READ COMMITTED: in the other isolation levels, a row deleted since the snapshot is a serialization
-- failure. At most 10,000 deltas for each job, because a writer waits for it. The next call, some 2,000 statements
-- later, takes the next part; a statement leaves at most three deltas for each job, so the backlog shrinks.
-- A cached plan from a small table used a nested loop over ctids; enable_seqscan = off forces a TID scan.
-- enable_seqscan = off inflates the cost of full scans, which would trigger JIT; so JIT is off.
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
        (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
    SELECT job_id,
           sum(queued_count),
           sum(processing_count),
           sum(succeeded_count),
           sum(failed_count),
           sum(other_count),
           sum(total_findings)
    FROM gone
    GROUP BY job_id;
END
$$;

REVOKE EXECUTE ON FUNCTION compact_job_progress_deltas(uuid[]) FROM public;

-- The trigger functions run in every write, with their owner's rights, so that a writer needs none on the deltas. Every
-- table, type, function and operator in them is written with its schema, as OPERATOR(pg_catalog.=). Otherwise a writer
-- could set its search_path to a schema with an operator or a function of its own, and that would run with the owner's
-- rights. SET search_path would prevent the same attack, but costs a fifth of the trigger's time at each call.
-- They write a delta also where only updated_at changed, because last_object_update is part of the progress. An INSERT
-- writes its first two rows unaggregated and sums up only the rows after them: for the usual single row, a check for
-- further rows costs more than it saves.
-- One statement in 2,000 compacts the deltas of its jobs: without any refresh, a read still adds up only thousands.
-- Locks: ROW EXCLUSIVE on the deltas.
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
            (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
        SELECT job_id,
               (status OPERATOR(pg_catalog.=) 'queued')::pg_catalog.int4,
               (status OPERATOR(pg_catalog.=) 'processing')::pg_catalog.int4,
               (status OPERATOR(pg_catalog.=) 'succeeded')::pg_catalog.int4,
               (status OPERATOR(pg_catalog.=) 'failed')::pg_catalog.int4,
               (status OPERATOR(pg_catalog.<>) ALL ('{queued, processing, succeeded, failed}'))::pg_catalog.int4,
               0
        FROM (SELECT job_id, coalesce(status::pg_catalog.text, '') AS status FROM new_rows) AS new_row
        LIMIT 2;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written OPERATOR(pg_catalog.=) 2 THEN
            INSERT INTO public.job_progress_deltas
                (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
            SELECT job_id,
                   pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'queued'),
                   pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'processing'),
                   pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'succeeded'),
                   pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'failed'),
                   pg_catalog.count(*) FILTER (
                       WHERE status OPERATOR(pg_catalog.<>) ALL ('{queued, processing, succeeded, failed}')
                   ),
                   0
            FROM (SELECT job_id, coalesce(status::pg_catalog.text, '') AS status FROM new_rows OFFSET 2) AS more_rows
            GROUP BY job_id;
        END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
        SELECT new_row.job_id,
               (new_row.status OPERATOR(pg_catalog.=) 'queued')::pg_catalog.int4
                   OPERATOR(pg_catalog.-) (old_row.status OPERATOR(pg_catalog.=) 'queued')::pg_catalog.int4,
               (new_row.status OPERATOR(pg_catalog.=) 'processing')::pg_catalog.int4
                   OPERATOR(pg_catalog.-) (old_row.status OPERATOR(pg_catalog.=) 'processing')::pg_catalog.int4,
               (new_row.status OPERATOR(pg_catalog.=) 'succeeded')::pg_catalog.int4
                   OPERATOR(pg_catalog.-) (old_row.status OPERATOR(pg_catalog.=) 'succeeded')::pg_catalog.int4,
               (new_row.status OPERATOR(pg_catalog.=) 'failed')::pg_catalog.int4
                   OPERATOR(pg_catalog.-) (old_row.status OPERATOR(pg_catalog.=) 'failed')::pg_catalog.int4,
               (new_row.status OPERATOR(pg_catalog.<>) ALL ('{queued, processing, succeeded, failed}'))::pg_catalog.int4
                   OPERATOR(pg_catalog.-)
                   (old_row.status OPERATOR(pg_catalog.<>) ALL ('{queued, processing, succeeded, failed}'))
                       ::pg_catalog.int4,
               0
        FROM (SELECT job_id, coalesce(status::pg_catalog.text, '') AS status FROM new_rows) AS new_row
        CROSS JOIN (SELECT job_id, coalesce(status::pg_catalog.text, '') AS status FROM old_rows) AS old_row
        WHERE new_row.job_id OPERATOR(pg_catalog.=) old_row.job_id
          AND NOT EXISTS (SELECT FROM new_rows OFFSET 1);
        IF NOT FOUND THEN
            INSERT INTO public.job_progress_deltas
                (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
            SELECT job_id,
                   coalesce(pg_catalog.sum(change) FILTER (WHERE status OPERATOR(pg_catalog.=) 'queued'), 0),
                   coalesce(pg_catalog.sum(change) FILTER (WHERE status OPERATOR(pg_catalog.=) 'processing'), 0),
                   coalesce(pg_catalog.sum(change) FILTER (WHERE status OPERATOR(pg_catalog.=) 'succeeded'), 0),
                   coalesce(pg_catalog.sum(change) FILTER (WHERE status OPERATOR(pg_catalog.=) 'failed'), 0),
                   coalesce(
                       pg_catalog.sum(change) FILTER (
                           WHERE status OPERATOR(pg_catalog.<>) ALL ('{queued, processing, succeeded, failed}')
                       ),
                       0
                   ),
                   0
            FROM (
                SELECT job_id, coalesce(status::pg_catalog.text, '') AS status, 1 AS change FROM new_rows
                UNION ALL
                SELECT job_id, coalesce(status::pg_catalog.text, ''), -1 FROM old_rows
            ) AS changes
            GROUP BY job_id;
        END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
        SELECT job_id,
               OPERATOR(pg_catalog.-) pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'queued'),
               OPERATOR(pg_catalog.-) pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'processing'),
               OPERATOR(pg_catalog.-) pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'succeeded'),
               OPERATOR(pg_catalog.-) pg_catalog.count(*) FILTER (WHERE status OPERATOR(pg_catalog.=) 'failed'),
               OPERATOR(pg_catalog.-) pg_catalog.count(*) FILTER (
                   WHERE status OPERATOR(pg_catalog.<>) ALL ('{queued, processing, succeeded, failed}')
               ),
               0
        FROM (SELECT job_id, coalesce(status::pg_catalog.text, '') AS status FROM old_rows) AS old_row
        GROUP BY job_id;
        RETURN NULL;
    ELSE -- TRUNCATE waited for all writers, so counts and deltas together are what it removes.
        IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
            INSERT INTO public.job_progress_recounts (truncated_table, truncated_at)
            VALUES (TG_TABLE_NAME, pg_catalog.now());
        END IF;
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
        SELECT job_id,
               OPERATOR(pg_catalog.-) pg_catalog.sum(queued_count),
               OPERATOR(pg_catalog.-) pg_catalog.sum(processing_count),
               OPERATOR(pg_catalog.-) pg_catalog.sum(succeeded_count),
               OPERATOR(pg_catalog.-) pg_catalog.sum(failed_count),
               OPERATOR(pg_catalog.-) pg_catalog.sum(other_count),
               0
        FROM (
            SELECT job_id, queued_count, processing_count, succeeded_count, failed_count, other_count
            FROM public.job_progress_counts
            UNION ALL
            SELECT job_id, queued_count, processing_count, succeeded_count, failed_count, other_count
            FROM public.job_progress_deltas
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

REVOKE EXECUTE ON FUNCTION track_job_objects() FROM public;

-- The same for findings. An UPDATE counts only where it moves a finding to another job.
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
            (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, 0, 1
        FROM new_rows
        LIMIT 2;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written OPERATOR(pg_catalog.=) 2 THEN
            INSERT INTO public.job_progress_deltas
                (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
            SELECT job_id, 0, 0, 0, 0, 0, pg_catalog.count(*)
            FROM (SELECT job_id FROM new_rows OFFSET 2) AS more_rows
            GROUP BY job_id;
        END IF;
        IF pg_catalog.random() OPERATOR(pg_catalog.<) 0.0005 THEN
            PERFORM public.compact_job_progress_deltas(ARRAY(SELECT DISTINCT job_id FROM new_rows));
        END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, 0, pg_catalog.sum(change)
        FROM (
            SELECT job_id, 1 AS change FROM new_rows
            UNION ALL
            SELECT job_id, -1 FROM old_rows
        ) AS changes
        GROUP BY job_id
        HAVING pg_catalog.sum(change) OPERATOR(pg_catalog.<>) 0;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, 0, OPERATOR(pg_catalog.-) pg_catalog.count(*)
        FROM old_rows
        GROUP BY job_id;
    ELSE
        IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
            INSERT INTO public.job_progress_recounts (truncated_table, truncated_at)
            VALUES (TG_TABLE_NAME, pg_catalog.now());
        END IF;
        INSERT INTO public.job_progress_deltas
            (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
        SELECT job_id, 0, 0, 0, 0, 0, OPERATOR(pg_catalog.-) pg_catalog.sum(total_findings)
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

REVOKE EXECUTE ON FUNCTION track_findings() FROM public;

-- CREATE TRIGGER waits for open transactions that write the table, so the count below sees each row older than it.
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

-- Lists each job whose counts and deltas differ from a full count, all in one snapshot; a drift is known minus counted.
-- Counts by parallel index-only scans. Locks: ACCESS SHARE, so only TRUNCATE waits. Not STABLE: after a wait for a
-- TRUNCATE it needs a snapshot that is newer than the wait.
-- row_security = off raises an error where a policy hides rows from the owner (FORCE ROW LEVEL SECURITY). Otherwise the
-- hidden rows would look like a drift, and a rebuild would subtract them.
CREATE OR REPLACE FUNCTION verify_job_progress()
RETURNS TABLE (
    job_id uuid,
    queued_drift bigint,
    processing_drift bigint,
    succeeded_drift bigint,
    failed_drift bigint,
    other_drift bigint,
    findings_drift bigint,
    known_object_update timestamptz,
    last_object_update timestamptz
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
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
               coalesce(known.other_count, 0) - coalesce(objects.other_count, 0) AS other_drift,
               coalesce(known.total_findings, 0) - coalesce(found.total_findings, 0) AS findings_drift,
               -- A read of a job that has deltas looks the time up in job_objects.
               CASE WHEN known.has_deltas THEN looked_up.last_object_update ELSE known.last_object_update END
                   AS known_object_update,
               looked_up.last_object_update
        FROM (
            SELECT job_id,
                   sum(queued_count)::bigint AS queued_count,
                   sum(processing_count)::bigint AS processing_count,
                   sum(succeeded_count)::bigint AS succeeded_count,
                   sum(failed_count)::bigint AS failed_count,
                   sum(other_count)::bigint AS other_count,
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
                   count(*) FILTER (WHERE status::text = 'queued') AS queued_count,
                   count(*) FILTER (WHERE status::text = 'processing') AS processing_count,
                   count(*) FILTER (WHERE status::text = 'succeeded') AS succeeded_count,
                   count(*) FILTER (WHERE status::text = 'failed') AS failed_count,
                   count(*) FILTER (
                       WHERE coalesce(status::text, '') <> ALL ('{queued, processing, succeeded, failed}')
                   ) AS other_count
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
    WHERE (queued_drift, processing_drift, succeeded_drift, failed_drift, other_drift, findings_drift)
          <> (0, 0, 0, 0, 0, 0)
       OR known_object_update IS DISTINCT FROM last_object_update;
END
$$;

REVOKE EXECUTE ON FUNCTION verify_job_progress() FROM public;

GRANT EXECUTE ON FUNCTION verify_job_progress() TO progress_refresher;

-- Subtracts the drift of each job from its counts, and returns how many jobs had one. Deltas stay, so writers go on.
-- Refuses to run above READ COMMITTED, whose snapshot may be older than a TRUNCATE or another rebuild: it would see a
-- truncated table as empty, and subtract a drift that is mended.
-- Deletes the requests before it reads the drift, so that the drift includes each of them.
-- Locks: the advisory lock of a refresh. It waits for a running refresh; a refresh beside it returns refreshed = false.
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
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED; SELECT rebuild_job_progress(); COMMIT;';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('refresh_job_progress', 0));

    DELETE FROM public.job_progress_recounts;

    INSERT INTO public.job_progress_counts AS counts
        (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings,
         last_object_update)
    SELECT job_id, -queued_drift, -processing_drift, -succeeded_drift, -failed_drift, -other_drift, -findings_drift,
           last_object_update
    FROM public.verify_job_progress()
    ON CONFLICT (job_id) DO UPDATE
    SET queued_count = counts.queued_count + excluded.queued_count,
        processing_count = counts.processing_count + excluded.processing_count,
        succeeded_count = counts.succeeded_count + excluded.succeeded_count,
        failed_count = counts.failed_count + excluded.failed_count,
        other_count = counts.other_count + excluded.other_count,
        total_findings = counts.total_findings + excluded.total_findings,
        last_object_update = excluded.last_object_update;
    GET DIAGNOSTICS mended = ROW_COUNT;
    RETURN mended;
END
$$;

REVOKE EXECUTE ON FUNCTION rebuild_job_progress() FROM public;

GRANT EXECUTE ON FUNCTION rebuild_job_progress() TO progress_refresher;

-- Counts the rows that are older than the triggers. One snapshot; writers never wait.
SELECT rebuild_job_progress();

-- The columns of job_progress, exact now: counts plus deltas in one snapshot. Sums up deltas before the join: one job
-- is an index range scan, all jobs are one scan. View and GRANT are one statement: the file may stop after each one,
-- and progress_reader must not meet a view that it may not read.
DO $$
BEGIN
    CREATE OR REPLACE VIEW public.job_progress_live AS
    SELECT jobs.job_id,
           jobs.bucket,
           jobs.prefix,
           jobs.execution_arn,
           jobs.created_at,
           jobs.updated_at,
           total.total_objects,
           known.queued_count,
           known.processing_count,
           known.succeeded_count,
           known.failed_count,
           known.total_findings,
           -- Truncated, not rounded: 100 only when the last object is done.
           coalesce(trunc(100.0 * (known.succeeded_count + known.failed_count) / nullif(total.total_objects, 0), 2), 0)
               AS progress_percent,
           CASE
               WHEN deltas.job_id IS NULL THEN counts.last_object_update
               ELSE (SELECT max(job_objects.updated_at) FROM job_objects WHERE job_objects.job_id = jobs.job_id)
           END AS last_object_update
    FROM jobs
    LEFT JOIN job_progress_counts AS counts ON counts.job_id = jobs.job_id
    LEFT JOIN (
        SELECT job_id,
               sum(queued_count)::bigint AS queued_count,
               sum(processing_count)::bigint AS processing_count,
               sum(succeeded_count)::bigint AS succeeded_count,
               sum(failed_count)::bigint AS failed_count,
               sum(other_count)::bigint AS other_count,
               sum(total_findings)::bigint AS total_findings
        FROM job_progress_deltas
        GROUP BY job_id
    ) AS deltas ON deltas.job_id = jobs.job_id
    CROSS JOIN LATERAL (
        SELECT coalesce(counts.queued_count, 0) + coalesce(deltas.queued_count, 0) AS queued_count,
               coalesce(counts.processing_count, 0) + coalesce(deltas.processing_count, 0) AS processing_count,
               coalesce(counts.succeeded_count, 0) + coalesce(deltas.succeeded_count, 0) AS succeeded_count,
               coalesce(counts.failed_count, 0) + coalesce(deltas.failed_count, 0) AS failed_count,
               coalesce(counts.other_count, 0) + coalesce(deltas.other_count, 0) AS other_count,
               coalesce(counts.total_findings, 0) + coalesce(deltas.total_findings, 0) AS total_findings
    ) AS known
    CROSS JOIN LATERAL (
        SELECT known.queued_count + known.processing_count + known.succeeded_count + known.failed_count
               + known.other_count AS total_objects
    ) AS total;

    GRANT SELECT ON public.job_progress_live TO progress_reader;
END
$$;

-- From here on, a refresh reads the live numbers instead of counting rows. Not the counts alone: a fold skips deltas
-- that a compaction holds.
CREATE OR REPLACE VIEW job_progress_source AS
SELECT * FROM job_progress_live;

-- One job as JSON, in one round trip; null when there is no such job. Reads job_progress where it has the job, the job
-- is older than five minutes and real_time is false; otherwise job_progress_live. STABLE: row and cache_refreshed_at
-- come from the snapshot of the calling statement.
-- A function, because a session caches its plans; a prepared statement would pin the connection in RDS Proxy.
-- Locks: ACCESS SHARE, which no refresh waits for.
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

-- Adds the deltas that no transaction holds to the counts and deletes them, in one statement and so in one snapshot;
-- then deletes the counts that are 0. Called by refresh_job_progress(), with that function's rights; a function of its
-- own, because these settings must not reach the refresh of the view. The reasons for them stand at
-- compact_job_progress_deltas() and verify_job_progress(). Rebuilds first where job_progress_recounts asks for it.
-- Locks: rows of the deltas (SKIP LOCKED) and of the counts.
CREATE OR REPLACE FUNCTION fold_job_progress_deltas(OUT folded_rows bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET row_security = off
AS $$
BEGIN
    IF current_setting('transaction_isolation') = 'read committed'
       AND EXISTS (SELECT FROM public.job_progress_recounts) THEN
        PERFORM public.rebuild_job_progress();
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
               sum(other_count) AS other_count,
               sum(total_findings) AS total_findings,
               (SELECT max(job_objects.updated_at)
                FROM public.job_objects
                WHERE job_objects.job_id = gone.job_id) AS last_object_update
        FROM gone
        GROUP BY job_id
    ),
    folded AS (
        INSERT INTO public.job_progress_counts AS counts
            (job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings,
             last_object_update)
        SELECT job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings,
               last_object_update
        FROM sums
        ON CONFLICT (job_id) DO UPDATE
        SET queued_count = counts.queued_count + excluded.queued_count,
            processing_count = counts.processing_count + excluded.processing_count,
            succeeded_count = counts.succeeded_count + excluded.succeeded_count,
            failed_count = counts.failed_count + excluded.failed_count,
            other_count = counts.other_count + excluded.other_count,
            total_findings = counts.total_findings + excluded.total_findings,
            last_object_update = excluded.last_object_update
    )
    SELECT coalesce(sum(rows), 0) INTO folded_rows FROM sums;

    DELETE FROM public.job_progress_counts
    WHERE (queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
        = (0, 0, 0, 0, 0, 0);
END
$$;

SELECT refresh_job_progress();
