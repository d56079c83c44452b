-- Old jobs leave: `scannerdb retire` deletes finished jobs with their objects and findings in small batches, and their
-- last progress stays as one row each.

-- A row is written before the first object of its job is deleted, and read_job_progress() answers from it from then on.
-- Without deleted_at the deletion is not finished: deleted_objects and deleted_findings say how much is gone, and
-- after_bucket, after_key and after_etag where it goes on. It is then a claim on the job, which a writer breaks.
CREATE TABLE IF NOT EXISTS retired_jobs (
    -- The columns of job_progress.
    job_id uuid PRIMARY KEY,
    bucket text NOT NULL,
    prefix text,
    execution_arn text,
    created_at timestamptz,
    updated_at timestamptz,
    total_objects bigint NOT NULL,
    queued_count bigint NOT NULL,
    processing_count bigint NOT NULL,
    succeeded_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    total_findings bigint NOT NULL,
    progress_percent numeric NOT NULL,
    last_object_update timestamptz,
    retired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at timestamptz,
    deleted_objects bigint NOT NULL DEFAULT 0,
    deleted_findings bigint NOT NULL DEFAULT 0,
    after_bucket text NOT NULL DEFAULT '',
    after_key text NOT NULL DEFAULT '',
    after_etag text NOT NULL DEFAULT ''
);

-- The jobs that retire_job() would retire: first those whose deletion has begun, then those whose objects all succeeded or
-- failed (or that have none) and that were created and last updated longer ago than the given age, oldest first.
-- Step Functions cannot be asked here; so an execution that still lists objects must have written within this age.
-- bytes is an estimate: the share of these rows in what the tables and their indexes take on the disk.
-- Locks: ACCESS SHARE. Reads one row for each job, and no object.
CREATE OR REPLACE FUNCTION retirable_jobs(older_than interval)
RETURNS TABLE (
    job_id uuid,
    objects bigint,
    findings bigint,
    bytes bigint,
    deleted_objects bigint,
    last_update timestamptz
)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
    WITH progress AS MATERIALIZED (
        SELECT *, greatest(created_at, updated_at, last_object_update) AS last_update
        FROM public.job_progress_source
    ),
    -- Of a partitioned table the size of its partitions; pg_partition_tree() knows no other table.
    sizes AS (
        SELECT coalesce((SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('public.job_objects')),
                        pg_total_relation_size('public.job_objects'))
                   / nullif(sum(total_objects), 0) AS bytes_an_object,
               coalesce((SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('public.findings')),
                        pg_total_relation_size('public.findings'))
                   / nullif(sum(total_findings), 0) AS bytes_a_finding
        FROM progress
    )
    SELECT job_id,
           coalesce(progress.total_objects, 0),
           coalesce(progress.total_findings, 0),
           (coalesce(progress.total_objects * bytes_an_object, 0)
            + coalesce(progress.total_findings * bytes_a_finding, 0))::bigint,
           coalesce(begun.deleted_objects, 0),
           progress.last_update
    FROM progress
    FULL JOIN (
        SELECT * FROM public.retired_jobs WHERE deleted_at IS NULL
    ) AS begun USING (job_id)
    CROSS JOIN sizes
    WHERE begun.retired_at IS NOT NULL
       OR (progress.succeeded_count + progress.failed_count = progress.total_objects
           AND progress.last_update < now() - older_than)
    ORDER BY begun.retired_at, progress.last_update, job_id
$$;

-- Retires a job, or does a part of it: deletes at most so many findings and objects, in the caller's transaction, which
-- should end then. Call it again while state is `deleting` or `busy`:
-- `deleting`: more is to be deleted. `busy`: another session holds its rows, or is retiring it at this moment. `retired`:
-- done, the job is gone. `kept`: the job is not finished, too young, gone, or was written to since its deletion began. It
-- stays then, with the objects that it still has, and its progress is what a full count says.
-- The last objects and the job go in one transaction, so a job that loses its objects never looks like one without any.
-- Locks: rows of retired_jobs, findings, job_objects and jobs, of this job alone. Skips rows that others hold, and waits at
-- most 100 ms for a lock on a table (SQLSTATE 55P03 then). An insert of an object into this job waits for the last batch.
-- Plain index scans, which mark the dead entries that they meet: a bitmap scan would read each deleted row again. No sort,
-- which would read the whole job for each batch: the primary key has the order.
CREATE OR REPLACE FUNCTION retire_job(
    job uuid,
    older_than interval,
    most_rows bigint,
    OUT state text,
    OUT objects bigint,
    OUT findings bigint
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET lock_timeout = '100ms'
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_indexscan = on
SET enable_sort = off
SET jit = off
AS $$
DECLARE
    claim public.retired_jobs;
    is_untouched boolean;
    finding_addresses tid[];
    object_addresses tid[];
    -- Where the next batch begins; NULL after an empty one.
    last_bucket text;
    last_key text;
    last_etag text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'retire_job() cannot run in a % transaction, whose snapshot may be too old',
                upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED; SELECT * FROM retire_job(...); COMMIT;';
    END IF;
    -- Against a slip (90m for 90 days), and so that this right is none to delete what was written today.
    IF older_than < INTERVAL '1 day' THEN
        RAISE EXCEPTION 'older_than is %, and must be 1 day at least', older_than
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    objects := 0;
    findings := 0;

    SELECT * INTO claim FROM public.retired_jobs WHERE job_id = job AND deleted_at IS NULL FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM public.retired_jobs WHERE job_id = job AND deleted_at IS NULL) THEN
            state := 'busy';
            RETURN;
        END IF;
        -- A job may come back under the id of a retired one, and be retired again.
        INSERT INTO public.retired_jobs AS retired
            (job_id, bucket, prefix, execution_arn, created_at, updated_at, total_objects, queued_count,
             processing_count, succeeded_count, failed_count, total_findings, progress_percent, last_object_update)
        SELECT progress.*
        FROM public.job_progress_live AS progress
        WHERE progress.job_id = job
          AND progress.succeeded_count + progress.failed_count = progress.total_objects
          AND greatest(progress.created_at, progress.updated_at, progress.last_object_update) < now() - older_than
        ON CONFLICT (job_id) DO UPDATE
        SET bucket = excluded.bucket,
            prefix = excluded.prefix,
            execution_arn = excluded.execution_arn,
            created_at = excluded.created_at,
            updated_at = excluded.updated_at,
            total_objects = excluded.total_objects,
            succeeded_count = excluded.succeeded_count,
            failed_count = excluded.failed_count,
            total_findings = excluded.total_findings,
            progress_percent = excluded.progress_percent,
            last_object_update = excluded.last_object_update,
            retired_at = excluded.retired_at,
            deleted_at = NULL,
            deleted_objects = 0,
            deleted_findings = 0,
            after_bucket = '',
            after_key = '',
            after_etag = ''
        WHERE retired.deleted_at IS NOT NULL
        RETURNING * INTO claim;
        IF NOT FOUND THEN
            state := 'kept';
            RETURN;
        END IF;
    END IF;

    -- One statement, so one snapshot: what a writer commits after the check is neither seen nor taken. A change shows in
    -- the counts, or in the time of an object, which the scanner sets in each update.
    -- Findings first: the job then has objects until its last batch.
    -- Objects in the order of the primary key, from where the batch before ended, past the entries of deleted rows.
    WITH untouched AS MATERIALIZED (
        SELECT
        FROM public.job_progress_live AS progress
        WHERE progress.job_id = job
          AND progress.total_objects = claim.total_objects - claim.deleted_objects
          AND progress.succeeded_count + progress.failed_count = progress.total_objects
          AND progress.total_findings = claim.total_findings - claim.deleted_findings
          AND progress.updated_at IS NOT DISTINCT FROM claim.updated_at
          AND NOT EXISTS (SELECT
                          FROM public.job_objects
                          WHERE job_objects.job_id = job AND job_objects.updated_at > claim.last_object_update)
    ),
    taken_findings AS MATERIALIZED (
        SELECT ctid
        FROM public.findings
        WHERE job_id = job
          AND EXISTS (SELECT FROM untouched)
        LIMIT most_rows
        FOR UPDATE SKIP LOCKED
    ),
    taken_objects AS MATERIALIZED (
        SELECT ctid, bucket, key, etag
        FROM public.job_objects
        WHERE job_id = job
          AND (bucket, key, etag) >= (claim.after_bucket, claim.after_key, claim.after_etag)
          AND status::text IN ('succeeded', 'failed')
          AND (updated_at > claim.last_object_update) IS NOT TRUE
          AND EXISTS (SELECT FROM untouched)
        ORDER BY bucket, key, etag
        LIMIT most_rows - (SELECT count(*) FROM taken_findings)
        FOR UPDATE SKIP LOCKED
    )
    SELECT EXISTS (SELECT FROM untouched),
           ARRAY(SELECT ctid FROM taken_findings),
           ARRAY(SELECT ctid FROM taken_objects),
           last.bucket,
           last.key,
           last.etag
    INTO is_untouched, finding_addresses, object_addresses, last_bucket, last_key, last_etag
    FROM (VALUES (true)) AS one (row)
    LEFT JOIN (
        SELECT bucket, key, etag
        FROM taken_objects
        ORDER BY bucket DESC, key DESC, etag DESC
        LIMIT 1
    ) AS last ON true;

    IF NOT is_untouched THEN
        DELETE FROM public.retired_jobs WHERE job_id = job;
        state := 'kept';
        RETURN;
    END IF;

    -- By address, in the partition of the job. An index scan would search the whole array for each row of the job, and a
    -- plan from old statistics chooses it.
    PERFORM set_config('enable_indexscan', 'off', true);
    DELETE FROM public.findings WHERE job_id = job AND ctid = ANY (finding_addresses);
    GET DIAGNOSTICS findings = ROW_COUNT;
    DELETE FROM public.job_objects WHERE job_id = job AND ctid = ANY (object_addresses);
    GET DIAGNOSTICS objects = ROW_COUNT;
    PERFORM set_config('enable_indexscan', 'on', true);

    state := 'deleting';
    IF objects + findings < most_rows THEN
        -- Nothing is left, or rows that others hold or have changed. With this lock no other can insert an object.
        PERFORM
        FROM public.jobs
        WHERE job_id = job AND updated_at IS NOT DISTINCT FROM claim.updated_at
        FOR UPDATE SKIP LOCKED;
        IF FOUND
           AND NOT EXISTS (SELECT FROM public.job_objects WHERE job_id = job)
           AND NOT EXISTS (SELECT FROM public.findings WHERE job_id = job) THEN
            DELETE FROM public.jobs WHERE job_id = job;
            state := 'retired';
        ELSE
            -- From the beginning again, for the rows that were passed over.
            state := 'busy';
            last_bucket := NULL;
        END IF;
    END IF;

    UPDATE public.retired_jobs
    SET deleted_objects = deleted_objects + objects,
        deleted_findings = deleted_findings + findings,
        after_bucket = coalesce(last_bucket, ''),
        after_key = CASE WHEN last_bucket IS NULL THEN '' ELSE last_key END,
        after_etag = CASE WHEN last_bucket IS NULL THEN '' ELSE last_etag END,
        deleted_at = CASE WHEN state = 'retired' THEN clock_timestamp() END
    WHERE job_id = job;
END
$$;

SELECT grant_rights();
