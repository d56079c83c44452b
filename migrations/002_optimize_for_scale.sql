-- Answer a job's status from an index, and from a materialized view once it is warm.
-- Runs outside a transaction because of the CONCURRENTLY builds: writers go on writing all the while.

-- Count one job's objects by status: job_progress_direct.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_job_status ON job_objects (job_id, status);

-- The last change of one job: job_progress_direct, last_object_update.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_job_updated ON job_objects (job_id, updated_at DESC);

-- The jobs that met one S3 object.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_bucket_key_composite ON job_objects (bucket, key, job_id);

-- One job's findings, by detector.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_findings_job_detector ON findings (job_id, detector);

-- Progress counted from the rows themselves, exact now. Objects and findings are aggregated before the join, so a
-- filter on job_id reads one range of an index, and a whole read is a parallel index-only scan.
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
       -- Cut off, not rounded: a job is at 100 when its last object is done, and not before.
       coalesce(trunc(100.0 * (objects.succeeded_count + objects.failed_count) / objects.total_objects, 2), 0)
           AS progress_percent,
       (SELECT max(job_objects.updated_at)
        FROM job_objects
        WHERE job_objects.job_id = jobs.job_id) AS last_object_update
FROM jobs
LEFT JOIN (
    SELECT job_id,
           count(*) AS total_objects,
           count(*) FILTER (WHERE status = 'queued') AS queued_count,
           count(*) FILTER (WHERE status = 'processing') AS processing_count,
           count(*) FILTER (WHERE status = 'succeeded') AS succeeded_count,
           count(*) FILTER (WHERE status = 'failed') AS failed_count
    FROM job_objects
    GROUP BY job_id
) AS objects ON objects.job_id = jobs.job_id
LEFT JOIN (
    SELECT job_id, count(*) AS total_findings
    FROM findings
    GROUP BY job_id
) AS found ON found.job_id = jobs.job_id;

-- What a refresh reads. Replacing this view changes where job_progress comes from, and nothing that is built on it.
CREATE OR REPLACE VIEW job_progress_source AS
SELECT * FROM job_progress_direct;

-- The new view is built and indexed beside an older deployment's, which goes on answering meanwhile.
CREATE MATERIALIZED VIEW IF NOT EXISTS job_progress_next AS
SELECT * FROM job_progress_source;

-- One job's row, and what REFRESH ... CONCURRENTLY compares by. Nobody waits for this: nobody knows the view yet.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX IF NOT EXISTS idx_job_progress_next_job_id ON job_progress_next (job_id);

-- The jobs that still run, newest first: active_jobs_progress.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS idx_job_progress_next_active ON job_progress_next (created_at DESC)
WHERE progress_percent < 100;

-- Put the new view in the place of the old one, in one short ACCESS EXCLUSIVE lock on the views: readers wait for
-- milliseconds, writers of the tables not at all. What others built on the old views (views, materialized views, their
-- indexes, options, owners, comments and grants) is built again on the new ones; materialized views are filled by the
-- next statement. Nothing is dropped by CASCADE: what cannot be built again, such as a function that returns rows of
-- the view, stops the migration with PostgreSQL's own message, and nothing has changed.
DO $$
DECLARE
    ours CONSTANT text[] := ARRAY['job_progress', 'active_jobs_progress', 'job_statistics'];
    item record;
    part record;
BEGIN
    CREATE TEMPORARY TABLE adopted ON COMMIT DROP AS
    WITH RECURSIVE dependents AS (
        SELECT to_regclass('public.' || name)::oid AS oid, 0 AS depth
        FROM unnest(ours) AS name
        WHERE to_regclass('public.' || name) IS NOT NULL
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
           schema.nspname = 'public' AND class.relname = ANY (ours) AS is_ours,
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
    JOIN pg_description AS description ON description.objoid = adopted.oid AND description.classoid = 'pg_class'::regclass
    LEFT JOIN pg_attribute AS attribute
      ON attribute.attrelid = adopted.oid AND attribute.attnum = description.objsubid AND description.objsubid > 0;

    -- The owner of an old view of ours keeps its rights on the new one, which belongs to whoever runs this.
    CREATE TEMPORARY TABLE adopted_grants ON COMMIT DROP AS
    SELECT adopted.name, grants.privilege_type, grants.grantee, grants.is_grantable, '' AS columns
    FROM adopted
    JOIN pg_class AS class USING (oid)
    CROSS JOIN aclexplode(coalesce(class.relacl, acldefault('r', class.relowner))) AS grants
    WHERE grants.grantee <> class.relowner OR (adopted.is_ours AND class.relowner <> quote_ident(current_user)::regrole)
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

    ALTER MATERIALIZED VIEW job_progress_next RENAME TO job_progress;
    ALTER INDEX idx_job_progress_next_job_id RENAME TO idx_job_progress_job_id;
    ALTER INDEX idx_job_progress_next_active RENAME TO idx_job_progress_active;

    CREATE VIEW active_jobs_progress AS
    SELECT *
    FROM job_progress
    WHERE progress_percent < 100
    ORDER BY created_at DESC;

    CREATE VIEW job_statistics AS
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
    FROM job_progress;

    FOR item IN SELECT * FROM adopted WHERE NOT is_ours ORDER BY depth LOOP
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

-- Fill the materialized views that were built again; nobody waits for this. Innermost first.
DO $$
DECLARE
    item record;
BEGIN
    FOR item IN
        WITH RECURSIVE dependents AS (
            SELECT 'public.job_progress'::regclass::oid AS oid, 0 AS depth
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

CREATE TABLE IF NOT EXISTS materialized_view_refresh_log (
    view_name text PRIMARY KEY,
    last_refreshed_at timestamptz NOT NULL,
    -- 24 days of milliseconds are enough.
    -- squawk-ignore prefer-bigint-over-int
    refresh_duration_ms int,
    total_jobs bigint,
    total_objects bigint
);

-- An older deployment's log may lack columns, keep local time, or have no key.
ALTER TABLE materialized_view_refresh_log
    -- squawk-ignore prefer-bigint-over-int
    ADD COLUMN IF NOT EXISTS refresh_duration_ms int,
    ADD COLUMN IF NOT EXISTS total_jobs bigint,
    ADD COLUMN IF NOT EXISTS total_objects bigint;

DO $$
BEGIN
    IF EXISTS (SELECT
               FROM pg_attribute
               WHERE attrelid = 'materialized_view_refresh_log'::regclass
                 AND attname = 'last_refreshed_at'
                 AND atttypid <> 'timestamptz'::regtype) THEN
        ALTER TABLE materialized_view_refresh_log ALTER COLUMN last_refreshed_at TYPE timestamptz;
    END IF;
    IF NOT EXISTS (SELECT
                   FROM pg_index
                   WHERE indrelid = 'materialized_view_refresh_log'::regclass
                     AND indisunique
                     AND pg_get_indexdef(indexrelid) LIKE '%(view_name)') THEN
        ALTER TABLE materialized_view_refresh_log ADD UNIQUE (view_name);
    END IF;
END
$$;

-- refresh_job_progress() refreshes and logs in the caller's transaction. It takes EXCLUSIVE on job_progress (readers go
-- on) and a transaction lock of its own, so that of two callers one works and the other returns at once with
-- refreshed = false. last_refreshed_at is taken before the snapshot: every change committed by then is in the view.
-- It runs as its owner, so that its callers need no right on the tables, and names every object with its schema: nothing
-- that somebody puts into another schema can take its place. An older deployment's function returns nothing, and a
-- result type cannot be replaced: the old one is dropped, and its owner's right and named grants go to the new one. Not
-- PUBLIC's: anybody might then keep the database busy.
DO $$
DECLARE
    grants CONSTANT aclitem[] := (
        SELECT coalesce(proacl, acldefault('f', proowner))
        FROM pg_proc
        WHERE oid = to_regprocedure('refresh_job_progress()')
    );
    item record;
BEGIN
    DROP FUNCTION IF EXISTS refresh_job_progress();

    CREATE FUNCTION refresh_job_progress(
        OUT refreshed boolean,
        OUT refresh_duration_ms int,
        OUT total_jobs bigint,
        OUT total_objects bigint
    )
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $function$
    DECLARE
        started_at CONSTANT timestamptz := clock_timestamp();
    BEGIN
        IF NOT pg_try_advisory_xact_lock(hashtextextended('refresh_job_progress', 0)) THEN
            refreshed := false;
            RETURN;
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
            ('job_progress', started_at, refresh_job_progress.refresh_duration_ms,
             refresh_job_progress.total_jobs, refresh_job_progress.total_objects)
        ON CONFLICT (view_name) DO UPDATE
        SET last_refreshed_at = excluded.last_refreshed_at,
            refresh_duration_ms = excluded.refresh_duration_ms,
            total_jobs = excluded.total_jobs,
            total_objects = excluded.total_objects;
    END
    $function$;

    REVOKE EXECUTE ON FUNCTION refresh_job_progress() FROM public;
    FOR item IN SELECT grantee, is_grantable FROM aclexplode(grants) WHERE grantee <> 0 LOOP
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION refresh_job_progress() TO %I %s',
            pg_get_userbyid(item.grantee),
            CASE WHEN item.is_grantable THEN 'WITH GRANT OPTION' END
        );
    END LOOP;
END
$$;

-- Takes no lock. True when what was refreshed then is older than five minutes now, or was never refreshed.
CREATE OR REPLACE FUNCTION should_refresh_progress(last_refresh_time timestamptz)
RETURNS boolean
LANGUAGE sql
STABLE
RETURN last_refresh_time IS NULL OR last_refresh_time < now() - INTERVAL '5 minutes';

GRANT EXECUTE ON FUNCTION refresh_job_progress() TO progress_refresher;
GRANT SELECT ON job_progress, job_progress_direct, active_jobs_progress, job_statistics,
    materialized_view_refresh_log TO progress_reader;

-- The first entry of the log.
SELECT refresh_job_progress();
