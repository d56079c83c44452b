-- Composite indexes, and job_progress: a materialized view of each job's progress, with its helper views and its
-- refresh. Runs statement by statement, because CREATE INDEX CONCURRENTLY refuses a transaction. Writers never wait.
-- The section "Adoption" is for databases in which an older deployment made these views; elsewhere it changes nothing.

-- Serves job_progress_direct: counts one job's objects by status.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_job_status ON job_objects (job_id, status);

-- Serves job_progress_direct and job_progress_live: last_object_update of one job.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_job_updated ON job_objects (job_id, updated_at DESC);

-- Serves the scanner: the jobs that contain one S3 object.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_bucket_key_composite ON job_objects (bucket, key, job_id);

-- Serves one job's findings by detector, and their count in job_progress_direct.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_findings_job_detector ON findings (job_id, detector);

-- Progress counted from the rows, exact now. Aggregates before the join: a filter on job_id becomes one index range
-- scan, a read of all jobs becomes parallel index-only scans.
CREATE OR REPLACE VIEW job_progress_direct AS
SELECT jobs.job_id,
       jobs.bucket,
       jobs.prefix,
       jobs.execution_arn,
       jobs.created_at,
       jobs.updated_at,
       coalesce(objects.total_objects, 0) AS total_objects,
       coalesce(objects.queued_count, 0) AS queued_count,
       coalesce(objects.processing_count, 0) AS processing_count,
       coalesce(objects.succeeded_count, 0) AS succeeded_count,
       coalesce(objects.failed_count, 0) AS failed_count,
       coalesce(found.total_findings, 0) AS total_findings,
       -- Truncated, not rounded: 100 only when the last object is done.
       coalesce(trunc(100.0 * (objects.succeeded_count + objects.failed_count) / objects.total_objects, 2), 0)
           AS progress_percent,
       (SELECT max(job_objects.updated_at)
        FROM job_objects
        WHERE job_objects.job_id = jobs.job_id) AS last_object_update
FROM jobs
LEFT JOIN (
    SELECT job_id,
           count(*) AS total_objects,
           count(*) FILTER (WHERE status::text = 'queued') AS queued_count,
           count(*) FILTER (WHERE status::text = 'processing') AS processing_count,
           count(*) FILTER (WHERE status::text = 'succeeded') AS succeeded_count,
           count(*) FILTER (WHERE status::text = 'failed') AS failed_count
    FROM job_objects
    GROUP BY job_id
) AS objects ON objects.job_id = jobs.job_id
LEFT JOIN (
    SELECT job_id, count(*) AS total_findings
    FROM findings
    GROUP BY job_id
) AS found ON found.job_id = jobs.job_id;

-- The query of job_progress. A later migration replaces this view: a materialized view cannot get another query.
CREATE OR REPLACE VIEW job_progress_source AS
SELECT * FROM job_progress_direct;

-- Builds job_progress under a given name, with its indexes and grants. The name is a parameter because the adoption
-- below builds it beside an older view. Locks nothing that exists: ACCESS SHARE on the tables that it reads.
CREATE OR REPLACE FUNCTION build_job_progress(name text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('CREATE MATERIALIZED VIEW public.%I AS SELECT * FROM public.job_progress_source', name);
    -- Serves reads of one job, and REFRESH ... CONCURRENTLY, which needs a unique index.
    EXECUTE format('CREATE UNIQUE INDEX %I ON public.%I (job_id)', 'idx_' || name || '_job_id', name);
    -- Serves active_jobs_progress: the jobs below 100 %, newest first.
    EXECUTE format(
        'CREATE INDEX %I ON public.%I (created_at DESC) WHERE progress_percent < 100',
        'idx_' || name || '_active',
        name
    );
    EXECUTE format('GRANT SELECT ON public.%I TO progress_reader, scanner_doctor', name);
END
$$;

REVOKE EXECUTE ON FUNCTION build_job_progress(text) FROM public;

-- Builds job_progress and its helper views where they are missing, and returns the names of those that it built. For
-- this file, and for an owner after one was dropped: a deploy does not repair that, because the ledger says that 002 is
-- applied. Locks nothing that exists, as build_job_progress().
CREATE OR REPLACE FUNCTION restore_job_progress()
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    restored text[] := '{}';
BEGIN
    IF to_regclass('public.job_progress') IS NULL THEN
        PERFORM public.build_job_progress('job_progress');
        restored := restored || 'job_progress'::text;
    END IF;

    IF to_regclass('public.active_jobs_progress') IS NULL THEN
        CREATE VIEW public.active_jobs_progress AS
        SELECT *
        FROM public.job_progress
        WHERE progress_percent < 100
        ORDER BY created_at DESC;

        GRANT SELECT ON public.active_jobs_progress TO progress_reader;
        restored := restored || 'active_jobs_progress'::text;
    END IF;

    IF to_regclass('public.job_statistics') IS NULL THEN
        CREATE VIEW public.job_statistics AS
        SELECT count(*) AS total_jobs,
               count(*) FILTER (WHERE progress_percent = 100) AS completed_jobs,
               count(*) FILTER (WHERE progress_percent < 100 AND succeeded_count + failed_count > 0) AS in_progress_jobs,
               count(*) FILTER (WHERE succeeded_count + failed_count = 0) AS pending_jobs,
               coalesce(sum(total_objects), 0)::bigint AS total_objects_all_jobs,
               coalesce(sum(succeeded_count + failed_count), 0)::bigint AS total_objects_processed,
               coalesce(sum(total_findings), 0)::bigint AS total_findings_all_jobs,
               coalesce(round(avg(progress_percent), 2), 0) AS avg_progress,
               max(created_at) AS most_recent_job,
               min(created_at) FILTER (WHERE progress_percent < 100) AS oldest_active_job
        FROM public.job_progress;

        GRANT SELECT ON public.job_statistics TO progress_reader;
        restored := restored || 'job_statistics'::text;
    END IF;
    RETURN restored;
END
$$;

REVOKE EXECUTE ON FUNCTION restore_job_progress() FROM public;

-- Adoption: an older deployment's job_progress, active_jobs_progress and job_statistics are replaced by those of this
-- file, and everything that other people built on them is kept. Readers wait for milliseconds, writers of the tables
-- never. In a new database each statement of this section does nothing. Its functions are dropped at its end.

-- The relations under the three names that do not read job_progress_source, directly or through other views.
CREATE OR REPLACE FUNCTION older_views()
RETURNS SETOF regclass
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE ours AS (
        SELECT 'public.job_progress_source'::regclass::oid AS oid
        UNION
        SELECT rewrite.ev_class
        FROM ours
        JOIN pg_depend AS depend
          ON depend.refclassid = 'pg_class'::regclass
         AND depend.refobjid = ours.oid
         AND depend.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite AS rewrite ON rewrite.oid = depend.objid
    )
    SELECT relation
    FROM unnest(ARRAY['job_progress', 'active_jobs_progress', 'job_statistics']) AS name
    CROSS JOIN LATERAL to_regclass('public.' || name) AS relation
    WHERE relation IS NOT NULL
      AND relation NOT IN (SELECT oid FROM ours)
$$;

-- Replaces the older views in one transaction, which holds ACCESS EXCLUSIVE on them and on the views that depend on
-- them. Saves the dependent views with their indexes, options, owners, comments and grants; drops them and the older
-- views; renames job_progress_next; builds the dependent views again. A dependent materialized view stays empty until
-- the next statement. Never drops by CASCADE: where something cannot be built again, such as a function that returns
-- rows of the view, PostgreSQL refuses the DROP, the migration stops with that message, and nothing has changed.
CREATE OR REPLACE FUNCTION adopt_older_views()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item record;
    part record;
BEGIN
    CREATE TEMPORARY TABLE adopted ON COMMIT DROP AS
    WITH RECURSIVE dependents AS (
        SELECT older::oid AS oid, 0 AS depth
        FROM public.older_views() AS older
        UNION
        SELECT rewrite.ev_class, dependents.depth + 1
        FROM dependents
        JOIN pg_depend AS depend
          ON depend.refclassid = 'pg_class'::regclass
         AND depend.refobjid = dependents.oid
         AND depend.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite AS rewrite ON rewrite.oid = depend.objid
        WHERE rewrite.ev_class <> dependents.oid
    )
    SELECT class.oid,
           format('%I.%I', schema.nspname, class.relname) AS name,
           CASE class.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'v' THEN 'VIEW' END AS kind,
           class.oid IN (SELECT older FROM public.older_views() AS older) AS is_replaced,
           max(dependents.depth) AS depth,
           pg_get_viewdef(class.oid) AS definition,
           class.relowner AS owner,
           array_to_string(class.reloptions, ', ') AS options,
           ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = class.oid) AS indexes
    FROM dependents
    JOIN pg_class AS class USING (oid)
    JOIN pg_namespace AS schema ON schema.oid = class.relnamespace
    GROUP BY class.oid, schema.nspname;

    CREATE TEMPORARY TABLE adopted_comments ON COMMIT DROP AS
    SELECT adopted.name, adopted.kind, attribute.attname AS column_name, description.description AS comment
    FROM adopted
    JOIN pg_description AS description
      ON description.objoid = adopted.oid AND description.classoid = 'pg_class'::regclass
    LEFT JOIN pg_attribute AS attribute
      ON attribute.attrelid = adopted.oid AND attribute.attnum = description.objsubid AND description.objsubid > 0;

    -- The owner of an old job_progress keeps its rights on the new one, which belongs to the current user.
    CREATE TEMPORARY TABLE adopted_grants ON COMMIT DROP AS
    SELECT adopted.name, grants.privilege_type, grants.grantee, grants.is_grantable, '' AS columns
    FROM adopted
    JOIN pg_class AS class USING (oid)
    CROSS JOIN aclexplode(coalesce(class.relacl, acldefault('r', class.relowner))) AS grants
    WHERE grants.grantee <> class.relowner
       OR (adopted.is_replaced AND class.relowner <> quote_ident(current_user)::regrole)
    UNION ALL
    SELECT adopted.name, grants.privilege_type, grants.grantee, grants.is_grantable, format('(%I)', attribute.attname)
    FROM adopted
    JOIN pg_attribute AS attribute ON attribute.attrelid = adopted.oid
    CROSS JOIN aclexplode(attribute.attacl) AS grants;

    FOR item IN SELECT * FROM adopted ORDER BY depth DESC LOOP
        IF item.kind IS NULL THEN
            RAISE EXCEPTION '% is not a view', item.name
                USING HINT = 'Rename it, and deploy again.';
        END IF;
        IF NOT pg_has_role(item.owner, 'USAGE') THEN
            RAISE EXCEPTION 'the view % belongs to %, whose rights % does not have',
                    item.name, pg_get_userbyid(item.owner), current_user
                USING HINT = format('GRANT %I TO %I, and deploy again.', pg_get_userbyid(item.owner), current_user);
        END IF;
        IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = item.oid)
           OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = item.oid AND rulename <> '_RETURN') THEN
            RAISE EXCEPTION 'the view % has triggers or rules, which would be lost', item.name
                USING HINT = 'Drop the view, deploy again, and create it anew.';
        END IF;
        EXECUTE format('DROP %s %s', item.kind, item.name);
    END LOOP;

    ALTER MATERIALIZED VIEW IF EXISTS public.job_progress_next RENAME TO job_progress;
    ALTER INDEX IF EXISTS public.idx_job_progress_next_job_id RENAME TO idx_job_progress_job_id;
    ALTER INDEX IF EXISTS public.idx_job_progress_next_active RENAME TO idx_job_progress_active;
    IF EXISTS (SELECT FROM adopted) THEN
        PERFORM public.restore_job_progress();
    END IF;

    FOR item IN SELECT * FROM adopted WHERE NOT is_replaced ORDER BY depth LOOP
        EXECUTE format(
            'CREATE %s %s %s AS %s %s',
            item.kind,
            item.name,
            CASE WHEN item.options <> '' THEN format('WITH (%s)', item.options) END,
            rtrim(item.definition, ';'),
            CASE item.kind WHEN 'MATERIALIZED VIEW' THEN 'WITH NO DATA' END
        );
        FOR part IN SELECT unnest(item.indexes) AS definition LOOP
            EXECUTE part.definition;
        END LOOP;
        IF item.owner <> quote_ident(current_user)::regrole THEN
            EXECUTE format('ALTER TABLE %s OWNER TO %I', item.name, pg_get_userbyid(item.owner));
        END IF;
    END LOOP;

    FOR item IN SELECT * FROM adopted_comments LOOP
        EXECUTE format(
            'COMMENT ON %s %s%s IS %L',
            CASE WHEN item.column_name IS NULL THEN item.kind ELSE 'COLUMN' END,
            item.name,
            CASE WHEN item.column_name IS NOT NULL THEN format('.%I', item.column_name) END,
            item.comment
        );
    END LOOP;

    FOR item IN SELECT * FROM adopted_grants LOOP
        EXECUTE format(
            'GRANT %s %s ON %s TO %s %s',
            item.privilege_type,
            item.columns,
            item.name,
            CASE item.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(item.grantee)) END,
            CASE WHEN item.is_grantable THEN 'WITH GRANT OPTION' END
        );
    END LOOP;
END
$$;

-- Builds the new view while the older one answers, so that adopt_older_views() only has to rename it.
SELECT build_job_progress('job_progress_next')
WHERE EXISTS (SELECT FROM older_views())
  AND to_regclass('public.job_progress_next') IS NULL;

SELECT adopt_older_views();

-- Fills the dependent materialized views, innermost first. Not in the transaction above, whose locks would last longer.
DO $$
DECLARE
    item record;
BEGIN
    FOR item IN
        WITH RECURSIVE dependents AS (
            SELECT to_regclass('public.job_progress')::oid AS oid, 0 AS depth
            UNION
            SELECT rewrite.ev_class, dependents.depth + 1
            FROM dependents
            JOIN pg_depend AS depend
              ON depend.refclassid = 'pg_class'::regclass
             AND depend.refobjid = dependents.oid
             AND depend.classid = 'pg_rewrite'::regclass
            JOIN pg_rewrite AS rewrite ON rewrite.oid = depend.objid
            WHERE rewrite.ev_class <> dependents.oid
        )
        SELECT class.oid::regclass AS name
        FROM dependents
        JOIN pg_class AS class USING (oid)
        WHERE class.relkind = 'm'
          AND NOT class.relispopulated
        GROUP BY class.oid
        ORDER BY max(dependents.depth)
    LOOP
        EXECUTE format('REFRESH MATERIALIZED VIEW %s', item.name);
    END LOOP;
END
$$;

-- An older log may lack columns, keep local time, or have no unique view_name.
ALTER TABLE IF EXISTS materialized_view_refresh_log
    -- squawk-ignore prefer-bigint-over-int
    ADD COLUMN IF NOT EXISTS refresh_duration_ms int,
    ADD COLUMN IF NOT EXISTS total_jobs bigint,
    ADD COLUMN IF NOT EXISTS total_objects bigint;

DO $$
DECLARE
    log CONSTANT regclass := to_regclass('public.materialized_view_refresh_log');
BEGIN
    IF EXISTS (SELECT
               FROM pg_attribute
               WHERE attrelid = log
                 AND attname = 'last_refreshed_at'
                 AND atttypid <> 'timestamptz'::regtype) THEN
        ALTER TABLE public.materialized_view_refresh_log ALTER COLUMN last_refreshed_at TYPE timestamptz;
    END IF;
    IF log IS NOT NULL
       AND NOT EXISTS (SELECT
                       FROM pg_index
                       WHERE indrelid = log
                         AND indisunique
                         AND pg_get_indexdef(indexrelid) LIKE '%(view_name)') THEN
        ALTER TABLE public.materialized_view_refresh_log ADD UNIQUE (view_name);
    END IF;
END
$$;

-- An older refresh_job_progress() returns nothing, and CREATE OR REPLACE cannot change a result type. Drops it and
-- creates one with the columns of the function below, which then replaces the body. Keeps the owner's right and the
-- grants to named roles; not that of PUBLIC, because any role could then keep the database busy.
DO $$
DECLARE
    grants CONSTANT aclitem[] := (
        SELECT coalesce(proacl, acldefault('f', proowner))
        FROM pg_proc
        WHERE oid = to_regprocedure('public.refresh_job_progress()')
    );
    item record;
BEGIN
    IF grants IS NULL THEN
        RETURN;
    END IF;
    DROP FUNCTION public.refresh_job_progress();

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
    BEGIN
        REFRESH MATERIALIZED VIEW CONCURRENTLY public.job_progress;
        refreshed := true;
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

-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS adopt_older_views();

-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS older_views();
-- End of the adoption. It stands before what follows, because a refresh needs the unique index of the new job_progress.

SELECT restore_job_progress();

-- One row: when job_progress was refreshed last, and what that took.
CREATE TABLE IF NOT EXISTS materialized_view_refresh_log (
    view_name text PRIMARY KEY,
    last_refreshed_at timestamptz NOT NULL,
    -- An int holds 24 days of milliseconds.
    -- squawk-ignore prefer-bigint-over-int
    refresh_duration_ms int,
    total_jobs bigint,
    total_objects bigint
);

-- One statement: a cached read falls back on job_progress_direct where the log is missing, and fails where it may not
-- read the log.
GRANT SELECT ON materialized_view_refresh_log, job_progress_direct, job_progress_source TO progress_reader;

-- Folds the deltas of migration 003 (where it is applied), refreshes job_progress and logs it, in the caller's
-- transaction. Runs with its owner's rights, so that a caller needs none on the tables.
-- Locks: EXCLUSIVE on job_progress (readers go on; ACCESS EXCLUSIVE when it was never filled), and a transaction-level
-- advisory lock: a second caller returns at once with refreshed = false.
-- last_refreshed_at promises that each change committed before it is in the view. So it must not be newer than the
-- snapshot that fills the view: READ COMMITTED takes one for each statement below, the other isolation levels took
-- theirs earlier, but never before transaction_timestamp().
-- row_security = off: an error, instead of a view without the rows that a policy hides from the owner.
-- lag_seconds is the age of job_progress at the start. backlog_rows counts the deltas at the start: those folded, or,
-- while another refresh runs, all that are there.
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
SET row_security = off
AS $$
DECLARE
    started_at CONSTANT timestamptz := clock_timestamp();
    fresh_at CONSTANT timestamptz := CASE current_setting('transaction_isolation')
        WHEN 'read committed' THEN started_at
        ELSE transaction_timestamp()
    END;
BEGIN
    SELECT extract(epoch FROM started_at - last_refreshed_at)
    INTO lag_seconds
    FROM public.materialized_view_refresh_log
    WHERE view_name = 'job_progress';

    backlog_rows := 0;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('refresh_job_progress', 0)) THEN
        refreshed := false;
        IF to_regclass('public.job_progress_deltas') IS NOT NULL THEN
            SELECT count(*) INTO backlog_rows FROM public.job_progress_deltas;
        END IF;
        RETURN;
    END IF;

    folded_rows := 0;
    IF to_regprocedure('public.fold_job_progress_deltas()') IS NOT NULL THEN
        folded_rows := public.fold_job_progress_deltas();
        backlog_rows := folded_rows;
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
        ('job_progress', fresh_at, refresh_job_progress.refresh_duration_ms,
         refresh_job_progress.total_jobs, refresh_job_progress.total_objects)
    ON CONFLICT (view_name) DO UPDATE
    SET last_refreshed_at = excluded.last_refreshed_at,
        refresh_duration_ms = excluded.refresh_duration_ms,
        total_jobs = excluded.total_jobs,
        total_objects = excluded.total_objects;
END
$$;

REVOKE EXECUTE ON FUNCTION refresh_job_progress() FROM public;

GRANT EXECUTE ON FUNCTION refresh_job_progress() TO progress_refresher;

-- True when a refresh at that time is older than five minutes, or never happened. Takes no lock.
CREATE OR REPLACE FUNCTION should_refresh_progress(last_refresh_time timestamptz)
RETURNS boolean
LANGUAGE sql
STABLE
RETURN last_refresh_time IS NULL OR last_refresh_time < now() - INTERVAL '5 minutes';

-- Writes the first row of the log.
SELECT refresh_job_progress();
