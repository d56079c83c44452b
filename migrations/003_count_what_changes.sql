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

-- What each statement changed: so many objects of a job went from one status to another. An old status of NULL means
-- new objects, a new one of NULL deleted objects; '' stands for a status that is NULL. What counts where is left to the
-- reads, because there are thousands of writes for each. Rows are inserted and deleted, never updated, so writers never
-- wait for each other. Autovacuum at 10,000 dead rows, unthrottled, because reads scan dead rows.
-- written_by is the transaction's id: a bigint from txid_current() costs a writer less than an xid8.
CREATE TABLE IF NOT EXISTS job_progress_deltas (
    job_id uuid NOT NULL,
    written_by bigint NOT NULL DEFAULT pg_catalog.txid_current(),
    objects bigint NOT NULL DEFAULT 0,
    findings bigint NOT NULL DEFAULT 0,
    old_status text,
    new_status text
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_vacuum_cost_delay = 0
);

-- Serves job_progress_live and compaction: one job's deltas from a bound on.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_progress_deltas_job_id ON job_progress_deltas (job_id, written_by);

-- Serves a fold and job_progress_source: all deltas from a bound on.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_progress_deltas_written_by ON job_progress_deltas (written_by);

-- While a snapshot is held (a dump, an idle transaction), no vacuum can remove deltas that are folded. These bounds let
-- every scan skip them. A bound says: each delta of the job that is not deleted was written by folded_to or a later
-- transaction, or by one of left_open, which are older. job_id is NULL for a bound of all jobs, which a fold writes; a
-- compaction writes one for its job. Each holds for any snapshot in which it is visible, so rows are inserted and
-- deleted, never updated. Transaction ids mean nothing in another cluster, where a dump may be loaded. There the row's
-- xmin is not folded_by, and the bound is ignored: see job_progress_valid_bounds.
CREATE TABLE IF NOT EXISTS job_progress_bounds (
    job_id uuid,
    folded_to bigint NOT NULL,
    left_open bigint[] NOT NULL,
    folded_by xid NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

-- Serves job_progress_live and compaction: the newest bound of a job, and of all jobs.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_progress_bounds_job_id ON job_progress_bounds (job_id, folded_to);

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
ALTER TABLE job_progress_bounds REPLICA IDENTITY FULL;
-- squawk-ignore prefer-robust-stmts
ALTER TABLE job_progress_recounts REPLICA IDENTITY FULL;

-- The bounds of this cluster. The rows of a loaded dump have another xmin than folded_by. Where both are equal by chance,
-- ids have counted at least as far here (folded_to <= folded_by), and the second condition compares what 32 bits do not:
-- so each transaction after the load is above the bound. A bound of a subtransaction has another xmin too, and is ignored.
CREATE OR REPLACE VIEW job_progress_valid_bounds AS
SELECT job_id, folded_to, left_open
FROM job_progress_bounds
WHERE xmin = folded_by
  AND folded_to <= txid_snapshot_xmax(txid_current_snapshot());

-- What each delta changes in the counts.
CREATE OR REPLACE VIEW job_progress_changes AS
SELECT ctid AS address,
       job_id,
       written_by,
       CASE WHEN new_status = 'queued' THEN objects ELSE 0 END
           - CASE WHEN old_status = 'queued' THEN objects ELSE 0 END AS queued_count,
       CASE WHEN new_status = 'processing' THEN objects ELSE 0 END
           - CASE WHEN old_status = 'processing' THEN objects ELSE 0 END AS processing_count,
       CASE WHEN new_status = 'succeeded' THEN objects ELSE 0 END
           - CASE WHEN old_status = 'succeeded' THEN objects ELSE 0 END AS succeeded_count,
       CASE WHEN new_status = 'failed' THEN objects ELSE 0 END
           - CASE WHEN old_status = 'failed' THEN objects ELSE 0 END AS failed_count,
       CASE WHEN new_status <> ALL ('{queued, processing, succeeded, failed}') THEN objects ELSE 0 END
           - CASE WHEN old_status <> ALL ('{queued, processing, succeeded, failed}') THEN objects ELSE 0 END
           AS other_count,
       findings AS total_findings
FROM job_progress_deltas;

-- The newest bound of all jobs. ORDER BY as in the index, so that it is the first entry that is read.
CREATE OR REPLACE VIEW job_progress_folded AS
SELECT folded_to, left_open
FROM job_progress_valid_bounds
WHERE job_id IS NULL
ORDER BY job_id DESC, folded_to DESC
LIMIT 1;

-- The deltas of all jobs that no fold has deleted, without a scan of the deleted ones. The upper limit is above every id.
-- It is there for the planner, which expects half a percent of the rows in a range and a third above one limit. OFFSET 0
-- has each transaction of left_open looked up in the index: before PostgreSQL 17 an array would be a filter on all rows.
CREATE OR REPLACE VIEW job_progress_unfolded AS
SELECT *
FROM job_progress_changes
WHERE written_by BETWEEN coalesce((SELECT folded_to FROM job_progress_folded), 0) AND 9223372036854775807
UNION ALL
SELECT changes.*
FROM unnest((SELECT left_open FROM job_progress_folded)) AS open (id)
CROSS JOIN LATERAL (SELECT * FROM job_progress_changes WHERE written_by = open.id OFFSET 0) AS changes;

-- The bound after a fold or a compaction whose snapshot is given. What it left: the deltas of left_deltas, and those
-- that the snapshot does not see, of later transactions and of transactions that were open.
-- An open transaction of the last 1,000 ids lowers folded_to, because most end soon. An older one is listed, so that an
-- idle or a prepared transaction does not keep the bound back. At most 64 are listed, because a read looks each up.
CREATE OR REPLACE FUNCTION job_progress_bound_after(
    snapshot txid_snapshot,
    left_deltas bigint[],
    OUT folded_to bigint,
    OUT left_open bigint[]
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    latest CONSTANT bigint := least(txid_snapshot_xmax(snapshot), txid_current());
    unfinished CONSTANT bigint[] := ARRAY(
        SELECT id
        FROM (SELECT txid_snapshot_xip(snapshot) UNION SELECT unnest(left_deltas)) AS open (id)
        WHERE id < latest
        ORDER BY id
    );
BEGIN
    folded_to := least(
        latest,
        (SELECT min(id) FROM unnest(unfinished) AS open (id) WHERE id >= latest - 1000),
        unfinished[65]
    );
    left_open := ARRAY(SELECT id FROM unnest(unfinished) AS open (id) WHERE id < folded_to);
END
$$;

-- Replaces the deltas of each given job by their sums, one row for each status. The triggers below call it now and then.
-- Locks: rows of the deltas. Skips locked rows (SKIP LOCKED), so writers never block each other.
-- Only under READ COMMITTED: in the other isolation levels, a row deleted since the snapshot is a serialization
-- failure. At most 10,000 deltas of a job, oldest first, because a writer waits for it. The next call, some 1,000
-- statements later, takes the next part, so the backlog shrinks.
-- The bound is read before the statement that uses it: it still holds in a later snapshot.
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
DECLARE
    job uuid;
    bound_to bigint;
    bound_open bigint[];
    snapshot txid_snapshot;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;

    FOREACH job IN ARRAY job_ids LOOP
        SELECT folded_to, left_open
        INTO bound_to, bound_open
        FROM (
            SELECT folded_to, left_open FROM public.job_progress_folded
            UNION ALL
            (SELECT folded_to, left_open
             FROM public.job_progress_valid_bounds
             WHERE job_id = job
             ORDER BY folded_to DESC
             LIMIT 1)
        ) AS bounds
        ORDER BY folded_to DESC
        LIMIT 1;

        WITH taken AS MATERIALIZED (
            SELECT ctid
            FROM public.job_progress_deltas
            WHERE ctid = ANY (ARRAY(
                SELECT deltas.ctid
                FROM unnest(bound_open) AS open (id)
                CROSS JOIN LATERAL (
                    SELECT ctid FROM public.job_progress_deltas WHERE job_id = job AND written_by = open.id OFFSET 0
                ) AS deltas
                UNION ALL
                SELECT ctid
                FROM public.job_progress_deltas
                WHERE job_id = job AND written_by >= coalesce(bound_to, 0)
                LIMIT 10000
            ))
            FOR UPDATE SKIP LOCKED
        ),
        gone AS (
            DELETE FROM public.job_progress_deltas
            WHERE ctid = ANY (ARRAY(SELECT ctid FROM taken))
            RETURNING objects, findings, old_status, new_status
        ),
        sums AS (
            INSERT INTO public.job_progress_deltas (job_id, objects, findings, new_status)
            SELECT job, sum(objects), sum(findings), status
            FROM (
                SELECT CASE WHEN new_status IS NULL THEN 0 ELSE objects END AS objects, findings, new_status AS status
                FROM gone
                UNION ALL
                SELECT -objects, 0, old_status FROM gone WHERE old_status IS NOT NULL
            ) AS changes
            GROUP BY status
        )
        SELECT txid_current_snapshot() INTO snapshot;

        INSERT INTO public.job_progress_bounds (job_id, folded_to, left_open, folded_by)
        SELECT job, after.folded_to, after.left_open, pg_current_xact_id()::xid
        FROM public.job_progress_bound_after(
            snapshot,
            ARRAY(
                SELECT open.id
                FROM unnest(bound_open) AS open (id)
                CROSS JOIN LATERAL (
                    SELECT FROM public.job_progress_deltas WHERE job_id = job AND written_by = open.id LIMIT 1
                ) AS any_delta
            ) || ARRAY(
                SELECT DISTINCT written_by
                FROM public.job_progress_deltas
                WHERE job_id = job
                  AND written_by >= coalesce(bound_to, 0)
                  AND written_by < txid_snapshot_xmax(snapshot)
                ORDER BY written_by
                LIMIT 65
            )
        ) AS after;
    END LOOP;
END
$$;

SELECT grant_rights();

-- The trigger functions run in every write, with their owner's rights, so that a writer needs none on the deltas. Every
-- table, type, function and operator in them is written with its schema, as OPERATOR(pg_catalog.=). Otherwise a writer
-- could set its search_path to a schema with an operator or a function of its own, and that would run with the owner's
-- rights. SET search_path would prevent the same attack, but costs a fifth of the trigger's time at each call.
-- They write a delta also where only updated_at changed, because last_object_update is part of the progress. An INSERT
-- writes its first two rows unaggregated and sums up only the rows after them: for the usual single row, a check for
-- further rows costs more than it saves. That INSERT names every column, or a second projection would cost a tenth.
-- One statement in 1,000 compacts the deltas of its jobs: without any refresh, a read still adds up only thousands.
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
        INSERT INTO public.job_progress_deltas (job_id, written_by, objects, findings, old_status, new_status)
        SELECT job_id,
               pg_catalog.txid_current(),
               1::pg_catalog.int8,
               0::pg_catalog.int8,
               NULL::pg_catalog.text,
               coalesce(status::pg_catalog.text, '')
        FROM new_rows
        LIMIT 2;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written OPERATOR(pg_catalog.=) 2 THEN
            INSERT INTO public.job_progress_deltas (job_id, objects, new_status)
            SELECT job_id, pg_catalog.count(*), status
            FROM (SELECT job_id, coalesce(status::pg_catalog.text, '') AS status FROM new_rows OFFSET 2) AS more_rows
            GROUP BY job_id, status;
        END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
        INSERT INTO public.job_progress_deltas (job_id, objects, old_status, new_status)
        SELECT new_row.job_id,
               1::pg_catalog.int8,
               coalesce(old_row.status::pg_catalog.text, ''),
               coalesce(new_row.status::pg_catalog.text, '')
        FROM new_rows AS new_row
        CROSS JOIN old_rows AS old_row
        WHERE new_row.job_id OPERATOR(pg_catalog.=) old_row.job_id
          AND NOT EXISTS (SELECT FROM new_rows OFFSET 1);
        IF NOT FOUND THEN
            INSERT INTO public.job_progress_deltas (job_id, objects, new_status)
            SELECT job_id, pg_catalog.sum(change), status
            FROM (
                SELECT job_id, coalesce(status::pg_catalog.text, '') AS status, 1 AS change FROM new_rows
                UNION ALL
                SELECT job_id, coalesce(status::pg_catalog.text, ''), -1 FROM old_rows
            ) AS changes
            GROUP BY job_id, status;
        END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        INSERT INTO public.job_progress_deltas (job_id, objects, old_status)
        SELECT job_id, pg_catalog.count(*), status
        FROM (SELECT job_id, coalesce(status::pg_catalog.text, '') AS status FROM old_rows) AS old_row
        GROUP BY job_id, status;
        RETURN NULL;
    ELSE -- TRUNCATE waited for all writers, so counts and deltas together are what it removes.
        IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
            INSERT INTO public.job_progress_recounts (truncated_table, truncated_at)
            VALUES (TG_TABLE_NAME, pg_catalog.now());
        END IF;
        INSERT INTO public.job_progress_deltas (job_id, objects, old_status)
        SELECT known.job_id, pg_catalog.sum(removed.objects), removed.status
        FROM (
            SELECT job_id, queued_count, processing_count, succeeded_count, failed_count, other_count
            FROM public.job_progress_counts
            UNION ALL
            SELECT job_id, queued_count, processing_count, succeeded_count, failed_count, other_count
            FROM public.job_progress_unfolded
        ) AS known
        CROSS JOIN LATERAL (
            VALUES ('queued', known.queued_count), ('processing', known.processing_count),
                   ('succeeded', known.succeeded_count), ('failed', known.failed_count), ('', known.other_count)
        ) AS removed (status, objects)
        GROUP BY known.job_id, removed.status;
        RETURN NULL;
    END IF;

    IF pg_catalog.random() OPERATOR(pg_catalog.<) 0.001 THEN
        PERFORM public.compact_job_progress_deltas(ARRAY(SELECT DISTINCT job_id FROM new_rows));
    END IF;
    RETURN NULL;
END
$$;

SELECT grant_rights();

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
        INSERT INTO public.job_progress_deltas (job_id, written_by, objects, findings, old_status, new_status)
        SELECT job_id,
               pg_catalog.txid_current(),
               0::pg_catalog.int8,
               1::pg_catalog.int8,
               NULL::pg_catalog.text,
               NULL::pg_catalog.text
        FROM new_rows
        LIMIT 2;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written OPERATOR(pg_catalog.=) 2 THEN
            INSERT INTO public.job_progress_deltas (job_id, findings)
            SELECT job_id, pg_catalog.count(*)
            FROM (SELECT job_id FROM new_rows OFFSET 2) AS more_rows
            GROUP BY job_id;
        END IF;
        IF pg_catalog.random() OPERATOR(pg_catalog.<) 0.001 THEN
            PERFORM public.compact_job_progress_deltas(ARRAY(SELECT DISTINCT job_id FROM new_rows));
        END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
        INSERT INTO public.job_progress_deltas (job_id, findings)
        SELECT job_id, pg_catalog.sum(change)
        FROM (
            SELECT job_id, 1 AS change FROM new_rows
            UNION ALL
            SELECT job_id, -1 FROM old_rows
        ) AS changes
        GROUP BY job_id
        HAVING pg_catalog.sum(change) OPERATOR(pg_catalog.<>) 0;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        INSERT INTO public.job_progress_deltas (job_id, findings)
        SELECT job_id, OPERATOR(pg_catalog.-) pg_catalog.count(*)
        FROM old_rows
        GROUP BY job_id;
    ELSE
        IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
            INSERT INTO public.job_progress_recounts (truncated_table, truncated_at)
            VALUES (TG_TABLE_NAME, pg_catalog.now());
        END IF;
        INSERT INTO public.job_progress_deltas (job_id, findings)
        SELECT job_id, OPERATOR(pg_catalog.-) pg_catalog.sum(total_findings)
        FROM (
            SELECT job_id, total_findings FROM public.job_progress_counts
            UNION ALL
            SELECT job_id, total_findings FROM public.job_progress_unfolded
        ) AS known
        GROUP BY job_id;
    END IF;
    RETURN NULL;
END
$$;

SELECT grant_rights();

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
                SELECT job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings,
                       last_object_update, false AS is_delta
                FROM public.job_progress_counts
                UNION ALL
                SELECT job_id, queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings,
                       NULL, true
                FROM public.job_progress_unfolded
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

SELECT grant_rights();

-- Subtracts the drift of each job from its counts, and returns how many jobs had one. Deltas stay, so writers go on.
-- Refuses to run above READ COMMITTED, whose snapshot may be older than a TRUNCATE or another rebuild: it would see a
-- truncated table as empty, and subtract a drift that is mended.
-- Deletes the requests before it reads the drift, so that the drift includes each of them; and the bounds, which do not
-- hold for deltas that another cluster wrote and a load of data brought here.
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
    DELETE FROM public.job_progress_bounds;

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

SELECT grant_rights();

-- Counts the rows that are older than the triggers. One snapshot; writers never wait.
SELECT rebuild_job_progress();

-- The columns of job_progress, exact now: counts plus deltas in one snapshot. For one job: from its newest bound on, so a
-- read scans neither what was folded nor what was compacted before. job_progress_source is the same for all jobs.
-- View and grant are one statement: the file may stop after each one, and progress_reader must not meet a view that it
-- may not read.
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
               WHEN deltas.rows = 0 THEN counts.last_object_update
               ELSE (SELECT max(job_objects.updated_at) FROM job_objects WHERE job_objects.job_id = jobs.job_id)
           END AS last_object_update
    FROM jobs
    LEFT JOIN job_progress_counts AS counts ON counts.job_id = jobs.job_id
    LEFT JOIN job_progress_folded AS folded ON true
    LEFT JOIN LATERAL (
        SELECT folded_to, left_open
        FROM job_progress_valid_bounds
        WHERE job_id = jobs.job_id AND folded_to > coalesce(folded.folded_to, 0)
        ORDER BY folded_to DESC
        LIMIT 1
    ) AS compacted ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS rows,
               sum(queued_count)::bigint AS queued_count,
               sum(processing_count)::bigint AS processing_count,
               sum(succeeded_count)::bigint AS succeeded_count,
               sum(failed_count)::bigint AS failed_count,
               sum(other_count)::bigint AS other_count,
               sum(total_findings)::bigint AS total_findings
        FROM (
            SELECT *
            FROM job_progress_changes
            WHERE job_id = jobs.job_id AND written_by >= coalesce(compacted.folded_to, folded.folded_to, 0)
            UNION ALL
            SELECT changes.*
            FROM unnest(coalesce(compacted.left_open, folded.left_open)) AS open (id)
            CROSS JOIN LATERAL (
                SELECT * FROM job_progress_changes WHERE job_id = jobs.job_id AND written_by = open.id OFFSET 0
            ) AS changes
        ) AS unfolded
    ) AS deltas
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

    PERFORM public.grant_rights();
END
$$;

-- The same for all jobs: sums up the unfolded deltas in one scan, where job_progress_live would look for each job's. From
-- here on, a refresh reads these numbers instead of counting rows; lists and statistics in real time do too. Not the
-- counts alone: a fold skips deltas that a compaction holds.
CREATE OR REPLACE VIEW job_progress_source AS
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
    FROM job_progress_unfolded
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

-- One job as JSON, in one round trip; null when there is no such job. Reads job_progress where it has the job, the job
-- is older than five minutes and real_time is false; otherwise job_progress_live. A job that is retired, or is being
-- deleted for that, has the row of retired_jobs (migration 005), with retired_at: unless a writer has changed it since, or
-- it came back under the same id. Jobs that are not at 100 % do not pay for the search. STABLE: row and
-- cache_refreshed_at come from the snapshot of the calling statement.
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
    percent numeric;
    retired json;
BEGIN
    IF NOT real_time THEN
        SELECT row_to_json(cached), cached.progress_percent
        INTO progress, percent
        FROM (
            SELECT job_progress.*,
                   log.last_refreshed_at AS cache_refreshed_at,
                   log.refresh_duration_ms AS cache_refresh_duration_ms
            FROM public.job_progress
            LEFT JOIN public.materialized_view_refresh_log AS log ON log.view_name = 'job_progress'
            WHERE job_progress.job_id = read_job_progress.job_id
              AND job_progress.created_at < now() - INTERVAL '5 minutes'
        ) AS cached;
    END IF;

    IF progress IS NULL THEN
        SELECT row_to_json(live), live.progress_percent
        INTO progress, percent
        FROM public.job_progress_live AS live
        WHERE live.job_id = read_job_progress.job_id;
    END IF;

    IF percent < 100 OR to_regclass('public.retired_jobs') IS NULL THEN
        RETURN progress;
    END IF;
    SELECT row_to_json(last)
    INTO retired
    FROM public.retired_jobs AS last
    WHERE last.job_id = read_job_progress.job_id
      AND (progress IS NULL
           -- Being deleted, or deleted since job_progress was refreshed.
           OR (coalesce(last.deleted_at >= (progress->>'cache_refreshed_at')::timestamptz, last.deleted_at IS NULL)
               AND (progress->>'total_objects')::bigint <= last.total_objects
               AND (progress->>'total_findings')::bigint <= last.total_findings
               AND (progress->>'updated_at')::timestamptz IS NOT DISTINCT FROM last.updated_at
               AND ((progress->>'last_object_update')::timestamptz > last.last_object_update) IS NOT TRUE));
    RETURN coalesce(retired, progress);
END
$$;

SELECT grant_rights();

-- Adds the deltas that no transaction holds to the counts and deletes them, in one statement and so in one snapshot;
-- then replaces the bounds, and deletes the counts that are 0. Called by refresh_job_progress(), with that function's
-- rights; a function of its own, because these settings must not reach the refresh of the view. The reasons for them
-- stand at compact_job_progress_deltas() and verify_job_progress(). Rebuilds first where job_progress_recounts asks for it.
-- Locks: rows of the deltas (SKIP LOCKED) and of the counts.
CREATE OR REPLACE FUNCTION fold_job_progress_deltas(OUT folded_rows bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET row_security = off
AS $$
DECLARE
    snapshot txid_snapshot;
BEGIN
    IF current_setting('transaction_isolation') = 'read committed'
       AND EXISTS (SELECT FROM public.job_progress_recounts) THEN
        PERFORM public.rebuild_job_progress();
    END IF;

    WITH taken AS MATERIALIZED (
        SELECT ctid
        FROM public.job_progress_deltas
        WHERE ctid = ANY (ARRAY(SELECT address FROM public.job_progress_unfolded))
        FOR UPDATE SKIP LOCKED
    ),
    gone AS (
        DELETE FROM public.job_progress_changes
        WHERE address = ANY (ARRAY(SELECT ctid FROM taken))
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
    SELECT coalesce(sum(rows), 0), txid_current_snapshot() INTO folded_rows, snapshot FROM sums;

    WITH new_bound AS MATERIALIZED (
        SELECT *
        FROM public.job_progress_bound_after(
            snapshot,
            ARRAY(
                SELECT DISTINCT written_by
                FROM public.job_progress_unfolded
                WHERE written_by < txid_snapshot_xmax(snapshot)
                ORDER BY written_by
                LIMIT 65
            )
        )
    ),
    old_bounds AS (
        DELETE FROM public.job_progress_bounds
    )
    INSERT INTO public.job_progress_bounds (folded_to, left_open, folded_by)
    SELECT folded_to, left_open, pg_current_xact_id()::xid FROM new_bound;

    DELETE FROM public.job_progress_counts
    WHERE (queued_count, processing_count, succeeded_count, failed_count, other_count, total_findings)
        = (0, 0, 0, 0, 0, 0);
END
$$;

SELECT refresh_job_progress();
