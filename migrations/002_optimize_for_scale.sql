-- Composite indexes, and job_progress: a materialized view of each job's progress, with its helper views and its
-- refresh. Runs statement by statement, because CREATE INDEX CONCURRENTLY refuses a transaction. Writers never wait.
-- The section "Adoption" is for databases in which an older deployment made these objects; elsewhere it changes nothing.

-- What an older deployment made under the names of this file, for the rollback. Without a definition the object stays
-- as it is; with one it is replaced, and built again from it. Filled before anything below exists, and not again.
DO $$
BEGIN
    IF to_regclass('public.adopted_objects') IS NOT NULL THEN
        RETURN;
    END IF;
    CREATE TABLE public.adopted_objects (
        name text PRIMARY KEY,
        kind text NOT NULL,
        -- The order in which they are built.
        position int NOT NULL DEFAULT 0,
        owner text,
        -- Of a view: what follows its name in CREATE. Of a function: the whole statement.
        definition text,
        -- The statements that follow CREATE: indexes, statistics, comments, grants. Of the log: those that undo its changes.
        alterations text[] NOT NULL DEFAULT '{}',
        is_populated boolean NOT NULL DEFAULT false
    );

    -- Another index under one of these names stops the migration; it gets another name then.
    INSERT INTO public.adopted_objects (name, kind)
    SELECT 'public.' || name, 'INDEX'
    FROM (
        VALUES ('idx_job_objects_job_status', '(job_id, status)'),
               ('idx_job_objects_job_updated', '(job_id, updated_at DESC)'),
               ('idx_job_objects_bucket_key_composite', '(bucket, key, job_id)'),
               ('idx_findings_job_detector', '(job_id, detector)')
    ) AS indexes (name, columns)
    WHERE pg_get_indexdef(to_regclass('public.' || name)) LIKE '% USING btree ' || columns;

    INSERT INTO public.adopted_objects (name, kind)
    SELECT 'public.materialized_view_refresh_log', 'TABLE'
    WHERE to_regclass('public.materialized_view_refresh_log') IS NOT NULL;

    -- It stays, because views of other people may call it; nothing of this project does.
    INSERT INTO public.adopted_objects (name, kind)
    SELECT 'public.should_refresh_progress(timestamptz)', 'FUNCTION'
    WHERE to_regprocedure('public.should_refresh_progress(timestamptz)') IS NOT NULL;
END
$$;

-- Serves job_progress_direct: counts one job's objects by status.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_job_status ON job_objects (job_id, status);

-- Serves job_progress_direct and job_progress_live: last_object_update of one job.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_job_updated ON job_objects (job_id, updated_at DESC);

-- Serves the scanner: the jobs that contain one S3 object.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_objects_bucket_key_composite ON job_objects (bucket, key, job_id);

-- Serves one job's findings by detector, and their count in job_progress_direct.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_findings_job_detector ON findings (job_id, detector);

-- Progress counted from the rows, exact now. Aggregates before the join: a filter on job_id becomes one index range
-- scan, a read of all jobs becomes parallel index-only scans. Any other status counts in the total and is not done;
-- status may be an enum or citext, so it is compared as text.
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

SELECT grant_rights();

-- The query of job_progress. A later migration replaces this view: a materialized view cannot get another query.
-- View and grant are one statement, because real-time lists read it wherever it exists.
DO $$
BEGIN
    CREATE OR REPLACE VIEW public.job_progress_source AS
    SELECT * FROM public.job_progress_direct;

    PERFORM public.grant_rights();
END
$$;

-- Folds the deltas of migration 003 (where it is applied), refreshes job_progress and logs it, in the caller's
-- transaction. The body of refresh_job_progress(), under a name that no older deployment has.
-- Locks: EXCLUSIVE on job_progress (readers go on; ACCESS EXCLUSIVE when it was never filled), and a transaction-level
-- advisory lock: a second caller returns at once with refreshed = false.
-- last_refreshed_at promises that each change committed before it is in the view. So it must not be newer than the
-- snapshot that fills the view: READ COMMITTED takes one for each statement below, the other isolation levels took
-- theirs earlier, but never before transaction_timestamp().
-- row_security = off: rows that a policy hides from the owner are an error, and are not left out of the counts.
-- lag_seconds is the age of job_progress at the start. backlog_rows counts the deltas at the start: those folded, or,
-- while another refresh runs, all that are there.
CREATE OR REPLACE FUNCTION fold_and_refresh_job_progress(
    OUT refreshed boolean,
    OUT refresh_duration_ms int,
    OUT total_jobs bigint,
    OUT total_objects bigint,
    OUT folded_rows bigint,
    OUT backlog_rows bigint,
    OUT lag_seconds double precision
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET row_security = off
-- REFRESH CONCURRENTLY names a temporary table wrongly under quote_all_identifiers = on.
SET quote_all_identifiers = off
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
    INTO fold_and_refresh_job_progress.total_jobs, fold_and_refresh_job_progress.total_objects
    FROM public.job_progress AS progress;

    INSERT INTO public.materialized_view_refresh_log AS log
        (view_name, last_refreshed_at, refresh_duration_ms, total_jobs, total_objects)
    VALUES
        ('job_progress', fresh_at, fold_and_refresh_job_progress.refresh_duration_ms,
         fold_and_refresh_job_progress.total_jobs, fold_and_refresh_job_progress.total_objects)
    ON CONFLICT (view_name) DO UPDATE
    SET last_refreshed_at = excluded.last_refreshed_at,
        refresh_duration_ms = excluded.refresh_duration_ms,
        total_jobs = excluded.total_jobs,
        total_objects = excluded.total_objects;
END
$$;

SELECT grant_rights();

-- Builds job_progress under a given name, with its indexes. The name is a parameter because the adoption
-- below builds it beside an older view. Locks nothing that exists: ACCESS SHARE on the tables that it reads.
CREATE OR REPLACE FUNCTION build_job_progress(name text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET row_security = off
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
END
$$;

-- Builds what is missing of job_progress, its helper views, the log and the functions that others call, and returns the
-- names of those that it built. Locks nothing that exists, as build_job_progress().
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
        restored := restored || 'active_jobs_progress'::text;
    END IF;

    -- Meaning and type of each column are those of older deployments: views of other people compute with them.
    IF to_regclass('public.job_statistics') IS NULL THEN
        CREATE VIEW public.job_statistics AS
        SELECT count(*) AS total_jobs,
               count(*) FILTER (WHERE progress_percent = 100) AS completed_jobs,
               count(*) FILTER (WHERE progress_percent < 100 AND succeeded_count + failed_count > 0) AS in_progress_jobs,
               count(*) FILTER (WHERE succeeded_count + failed_count = 0) AS pending_jobs,
               coalesce(sum(total_objects), 0) AS total_objects_all_jobs,
               coalesce(sum(succeeded_count), 0) AS total_objects_processed,
               coalesce(sum(total_findings), 0) AS total_findings_all_jobs,
               coalesce(avg(progress_percent), 0) AS avg_progress,
               max(created_at) AS most_recent_job,
               min(created_at) FILTER (WHERE progress_percent < 100) AS oldest_active_job
        FROM public.job_progress;
        restored := restored || 'job_statistics'::text;
    END IF;

    -- One row: when job_progress was refreshed last, and what that took. An int holds 24 days of milliseconds.
    IF to_regclass('public.materialized_view_refresh_log') IS NULL THEN
        CREATE TABLE public.materialized_view_refresh_log (
            view_name text PRIMARY KEY,
            last_refreshed_at timestamptz NOT NULL,
            refresh_duration_ms int,
            total_jobs bigint,
            total_objects bigint
        );
        restored := restored || 'materialized_view_refresh_log'::text;
    END IF;

    -- Runs with its owner's rights, so that a caller needs none on the tables. Depends on the function that it calls:
    -- from that, objects_to_restore() tells it from an older deployment's.
    IF to_regprocedure('public.refresh_job_progress()') IS NULL THEN
        CREATE FUNCTION public.refresh_job_progress(
            OUT refreshed boolean,
            OUT refresh_duration_ms int,
            OUT total_jobs bigint,
            OUT total_objects bigint,
            OUT folded_rows bigint,
            OUT backlog_rows bigint,
            OUT lag_seconds double precision
        )
        LANGUAGE sql
        SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp
        BEGIN ATOMIC
            SELECT * FROM public.fold_and_refresh_job_progress();
        END;
        restored := restored || 'refresh_job_progress()'::text;
    END IF;

    -- True when a refresh at that time is older than five minutes, or never happened. Takes no lock.
    IF to_regprocedure('public.should_refresh_progress(timestamptz)') IS NULL THEN
        CREATE FUNCTION public.should_refresh_progress(last_refresh_time timestamptz)
        RETURNS boolean
        LANGUAGE sql
        STABLE
        RETURN last_refresh_time IS NULL OR last_refresh_time < now() - INTERVAL '5 minutes';

        restored := restored || 'should_refresh_progress(timestamptz)'::text;
    END IF;
    PERFORM public.grant_rights();
    RETURN restored;
END
$$;

SELECT grant_rights();

-- Adoption: an older deployment's objects under the names above are replaced by those of this file, and everything that
-- other people built on them is kept. Readers wait for milliseconds, writers of the tables never. These functions stay:
-- restore.sql calls them in each run, because an older deployment's script can be run again.

-- Other people's materialized views that were built again and are still empty.
CREATE TABLE IF NOT EXISTS views_to_fill (
    name text PRIMARY KEY,
    position bigint NOT NULL
);

-- The relations under the names of job_progress and its helper views that do not read job_progress_source, directly or
-- through other views. Reads the catalogue only, so any role may ask.
CREATE OR REPLACE FUNCTION older_views()
RETURNS SETOF regclass
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE ours AS (
        SELECT to_regclass('public.job_progress_source')::oid AS oid
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
      AND NOT EXISTS (SELECT FROM ours WHERE ours.oid = relation)
$$;

-- What `scannerdb migrate` would build or replace: the public objects of this file that are missing, or that an older
-- deployment's script has made since. Reads the catalogue only, so any role may ask.
CREATE OR REPLACE FUNCTION objects_to_restore(OUT name text, OUT is_missing boolean)
RETURNS SETOF record
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT relation_name, to_regclass('public.' || relation_name) IS NULL
    FROM unnest(ARRAY['job_progress', 'active_jobs_progress', 'job_statistics', 'materialized_view_refresh_log'])
        AS relation_name
    WHERE to_regclass('public.' || relation_name) IS NULL
       OR to_regclass('public.' || relation_name) IN (SELECT older FROM public.older_views() AS older)
    UNION ALL
    SELECT signature, to_regprocedure('public.' || signature) IS NULL
    FROM unnest(ARRAY['refresh_job_progress()', 'should_refresh_progress(timestamptz)']) AS signature
    WHERE to_regprocedure('public.' || signature) IS NULL
       OR (signature = 'refresh_job_progress()'
           AND NOT EXISTS (SELECT
                           FROM pg_depend
                           WHERE classid = 'pg_proc'::regclass
                             AND objid = to_regprocedure('public.' || signature)
                             AND refclassid = 'pg_proc'::regclass
                             AND refobjid = to_regprocedure('public.fold_and_refresh_job_progress()')))
$$;

-- The statements that grant what an access list grants, the owner's own rights included: an owner can revoke those.
CREATE OR REPLACE FUNCTION grant_statements(grants aclitem[], target text, columns text)
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(
               'GRANT %s%s ON %s TO %s%s',
               item.privilege_type,
               columns,
               target,
               CASE item.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(item.grantee)) END,
               CASE WHEN item.is_grantable THEN ' WITH GRANT OPTION' END
           )
    FROM aclexplode(grants) WITH ORDINALITY AS item
    ORDER BY item.ordinality
$$;

-- The given relations and all views that read them, each with what builds it again as it is.
CREATE OR REPLACE FUNCTION describe_views(roots regclass[])
RETURNS SETOF adopted_objects
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE dependents AS (
        SELECT root::oid AS oid, 0 AS depth
        FROM unnest(roots) AS root
        UNION
        SELECT rewrite.ev_class, dependents.depth + 1
        FROM dependents
        JOIN pg_depend AS depend
          ON depend.refclassid = 'pg_class'::regclass
         AND depend.refobjid = dependents.oid
         AND depend.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite AS rewrite ON rewrite.oid = depend.objid
        WHERE rewrite.ev_class <> dependents.oid
    ),
    views AS (
        SELECT class.*,
               class.oid AS id,
               format('%I.%I', schema.nspname, class.relname) AS name,
               CASE class.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind,
               (SELECT max(depth) FROM dependents WHERE dependents.oid = class.oid) AS position
        FROM pg_class AS class
        JOIN pg_namespace AS schema ON schema.oid = class.relnamespace
        WHERE class.oid IN (SELECT oid FROM dependents)
    )
    SELECT views.name,
           views.kind,
           views.position,
           pg_get_userbyid(views.relowner)::text,
           (SELECT coalesce('WITH (' || string_agg(format('%s = %L', option_name, option_value), ', ') || ') ', '')
            FROM pg_options_to_table(views.reloptions)) || 'AS ' || rtrim(pg_get_viewdef(views.id), ';'),
           ARRAY(
               SELECT statement
               FROM (
                   SELECT 1, attnum::bigint, 0, format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s',
                                            views.name, attname, pg_get_expr(adbin, adrelid))
                   FROM pg_attrdef
                   JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
                   WHERE adrelid = views.id
                   UNION ALL
                   SELECT 2, attnum, 0, format('ALTER MATERIALIZED VIEW %s ALTER COLUMN %I SET %s',
                                            views.name, attname, setting)
                   FROM pg_attribute
                   JOIN pg_type AS type ON type.oid = atttypid
                   CROSS JOIN LATERAL (
                       SELECT 'STATISTICS ' || attstattarget WHERE attstattarget >= 0
                       UNION ALL
                       SELECT '(' || string_agg(format('%s = %L', option_name, option_value), ', ') || ')'
                       FROM pg_options_to_table(attoptions)
                       UNION ALL
                       SELECT 'STORAGE ' || CASE attstorage
                                                WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                                                WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED'
                                            END
                       WHERE attstorage <> typstorage
                       UNION ALL
                       SELECT 'COMPRESSION ' || CASE attcompression WHEN 'p' THEN 'pglz' ELSE 'lz4' END
                       WHERE attcompression <> ''
                   ) AS settings (setting)
                   WHERE attrelid = views.id AND attnum > 0 AND views.relkind = 'm' AND setting IS NOT NULL
                   UNION ALL
                   SELECT 3, index_class.oid::bigint, built.step, built.statement
                   FROM pg_index AS index
                   JOIN pg_class AS index_class ON index_class.oid = index.indexrelid
                   JOIN pg_namespace AS schema ON schema.oid = index_class.relnamespace
                   CROSS JOIN LATERAL format('%I.%I', schema.nspname, index_class.relname) AS index_name
                   CROSS JOIN LATERAL (
                       SELECT 1, pg_get_indexdef(index_class.oid)
                       UNION ALL
                       SELECT 2, format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', index_name, attnum, attstattarget)
                       FROM pg_attribute
                       WHERE attrelid = index_class.oid AND attstattarget >= 0
                       UNION ALL
                       SELECT 2, format('COMMENT ON INDEX %s IS %L', index_name, comment)
                       FROM obj_description(index_class.oid, 'pg_class') AS comment
                       WHERE comment IS NOT NULL
                       UNION ALL
                       SELECT 2, format('ALTER MATERIALIZED VIEW %s CLUSTER ON %I', views.name, index_class.relname)
                       WHERE index.indisclustered
                   ) AS built (step, statement)
                   WHERE index.indrelid = views.id
                   UNION ALL
                   SELECT 4, statistics.oid::bigint, built.step, built.statement
                   FROM pg_statistic_ext AS statistics
                   CROSS JOIN LATERAL format('%I.%I', stxnamespace::regnamespace::text, stxname) AS statistics_name
                   CROSS JOIN LATERAL (
                       SELECT 1, pg_get_statisticsobjdef(statistics.oid)
                       UNION ALL
                       SELECT 2, format('ALTER STATISTICS %s SET STATISTICS %s', statistics_name, stxstattarget)
                       WHERE stxstattarget >= 0
                       UNION ALL
                       SELECT 2, format('COMMENT ON STATISTICS %s IS %L', statistics_name, comment)
                       FROM obj_description(statistics.oid, 'pg_statistic_ext') AS comment
                       WHERE comment IS NOT NULL
                       UNION ALL
                       SELECT 3, format('ALTER STATISTICS %s OWNER TO %I', statistics_name, pg_get_userbyid(stxowner))
                   ) AS built (step, statement)
                   WHERE stxrelid = views.id
                   UNION ALL
                   SELECT 5, objsubid, 0, format(
                              'COMMENT ON %s %s IS %L',
                              CASE objsubid WHEN 0 THEN views.kind ELSE 'COLUMN' END,
                              concat_ws('.', views.name, quote_ident(attname)),
                              description
                          )
                   FROM pg_description
                   LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND objsubid > 0
                   WHERE objoid = views.id AND classoid = 'pg_class'::regclass
                   UNION ALL
                   SELECT 6, 0, ordinality, statement
                   FROM public.grant_statements(coalesce(views.relacl, acldefault('r', views.relowner)), views.name, '')
                       WITH ORDINALITY AS statement
                   UNION ALL
                   SELECT 6, attnum, ordinality, statement
                   FROM pg_attribute
                   CROSS JOIN LATERAL public.grant_statements(attacl, views.name, format(' (%I)', attname))
                       WITH ORDINALITY AS statement
                   WHERE attrelid = views.id
               ) AS statements (section, part, step, statement)
               ORDER BY section, part, step
           ),
           views.relkind = 'm' AND views.relispopulated
    FROM views
$$;

-- Applies what follows the CREATE of a described object. Takes back first what default privileges granted at its
-- creation, but for the roles to keep. Leaves out, with a warning in the server's log, what an object of this file
-- cannot take over: what names a column or a role that is not there. An index whose name is taken is covered by that
-- index, or the adoption stops.
CREATE OR REPLACE FUNCTION alter_described(described adopted_objects, roles_to_keep text[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT text := CASE described.kind WHEN 'FUNCTION' THEN 'FUNCTION ' ELSE '' END || described.name;
    grants aclitem[];
    role_name text;
    statement text;
    index_name text;
BEGIN
    IF described.kind = 'FUNCTION' THEN
        SELECT coalesce(proacl, acldefault('f', proowner)) INTO grants
        FROM pg_proc
        WHERE oid = described.name::regprocedure;
    ELSE
        SELECT coalesce(relacl, acldefault('r', relowner)) INTO grants
        FROM pg_class
        WHERE oid = described.name::regclass;
    END IF;
    FOR role_name IN
        SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
        FROM aclexplode(grants)
        WHERE grantee = 0 OR pg_get_userbyid(grantee) <> ALL (roles_to_keep)
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', target, role_name);
    END LOOP;

    FOREACH statement IN ARRAY described.alterations LOOP
        BEGIN
            EXECUTE statement;
        EXCEPTION
            WHEN undefined_column OR undefined_table OR undefined_object OR wrong_object_type THEN
                RAISE WARNING '% does not keep: % (%)', described.name, statement, SQLERRM;
            WHEN duplicate_table THEN
                index_name := substring(statement FROM 'INDEX (.*?) ON ');
                IF substring(pg_get_indexdef(format('public.%s', index_name)::regclass) FROM ' USING .*')
                   <> substring(statement FROM ' USING .*') THEN
                    RAISE EXCEPTION 'the index % of an older deployment is another one than that of this name', index_name
                        USING HINT = format('ALTER INDEX public.%s RENAME TO ..., and migrate again.', index_name);
                END IF;
        END;
    END LOOP;
END
$$;

-- Builds a described object again, a materialized view without its rows.
CREATE OR REPLACE FUNCTION build_described(described adopted_objects)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET check_function_bodies = off
AS $$
BEGIN
    IF described.kind = 'FUNCTION' THEN
        EXECUTE described.definition;
    ELSIF to_regclass(described.name) IS NULL THEN
        EXECUTE format(
            'CREATE %s %s %s %s',
            described.kind,
            described.name,
            described.definition,
            CASE described.kind WHEN 'MATERIALIZED VIEW' THEN 'WITH NO DATA' END
        );
    END IF;
    EXECUTE format('ALTER %s %s OWNER TO %I', described.kind, described.name, described.owner);
    PERFORM public.alter_described(described, '{}');
END
$$;

-- Drops described views, those that depend on others first. Never by CASCADE: where something cannot be built again,
-- such as a function that returns rows of the view, PostgreSQL refuses the DROP, and the transaction changes nothing.
CREATE OR REPLACE FUNCTION drop_described(described adopted_objects[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item record;
BEGIN
    FOR item IN SELECT *, name::regclass AS oid FROM unnest(described) ORDER BY position DESC LOOP
        IF item.kind = 'TABLE' THEN
            RAISE EXCEPTION '% is not a view', item.name
                USING HINT = 'Rename it, and migrate again.';
        END IF;
        IF NOT pg_has_role(item.owner, 'USAGE') THEN
            RAISE EXCEPTION 'the view % belongs to %, whose rights % does not have', item.name, item.owner, current_user
                USING HINT = format('GRANT %I TO %I, and migrate again.', item.owner, current_user);
        END IF;
        IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = item.oid)
           OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = item.oid AND rulename <> '_RETURN') THEN
            RAISE EXCEPTION 'the view % has triggers or rules, which would be lost', item.name
                USING HINT = 'Drop the view, migrate again, and create it anew.';
        END IF;
        EXECUTE format('DROP %s %s', item.kind, item.name);
    END LOOP;
END
$$;

-- Fills the materialized views that were built again and were filled before, innermost first. Not in the transaction
-- that builds them, whose locks would last longer.
CREATE OR REPLACE FUNCTION fill_built_views()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item record;
BEGIN
    FOR item IN SELECT name FROM public.views_to_fill WHERE to_regclass(name) IS NOT NULL ORDER BY position LOOP
        BEGIN
            EXECUTE format('REFRESH MATERIALIZED VIEW %s', item.name);
        EXCEPTION
            WHEN object_not_in_prerequisite_state OR data_exception THEN
                RAISE WARNING '% stays empty: %', item.name, SQLERRM;
        END;
    END LOOP;
    DELETE FROM public.views_to_fill;
END
$$;

-- Makes an older deployment's log one that refresh_job_progress() can write: it may lack columns, keep local time, or
-- have no unique view_name. Notes the statements that undo this. Views of other people on the log are built again where
-- the type of last_refreshed_at changes. Tries a write before anything depends on it, and undoes that.
CREATE OR REPLACE FUNCTION adopt_refresh_log()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    log CONSTANT regclass := to_regclass('public.materialized_view_refresh_log');
    -- The runner's own TimeZone is UTC; the rows were written with the default.
    zone CONSTANT text := (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone');
    undo text[];
    item record;
    built public.adopted_objects;
BEGIN
    IF log IS NULL THEN -- it was renamed or dropped since, and the next one is of this file
        DELETE FROM public.adopted_objects WHERE name = 'public.materialized_view_refresh_log';
    END IF;
    IF NOT EXISTS (SELECT FROM public.adopted_objects WHERE name = log::text AND alterations = '{}') THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = log AND relkind IN ('r', 'p'))
       OR NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = log AND attname = 'view_name' AND NOT attisdropped) THEN
        RAISE EXCEPTION '% is not a log of refreshes: a table with a column view_name', log
            USING HINT = 'Rename it, and migrate again.';
    END IF;

    undo := ARRAY['REVOKE ALL ON public.materialized_view_refresh_log FROM progress_reader, scanner_app, scanner_doctor']
        || ARRAY(SELECT public.grant_statements(coalesce(relacl, acldefault('r', relowner)), log::text, '')
                 FROM pg_class
                 WHERE oid = log)
        || ARRAY(SELECT public.grant_statements(attacl, log::text, format(' (%I)', attname))
                 FROM pg_attribute
                 WHERE attrelid = log);

    FOR item IN
        SELECT name, type
        FROM (
            VALUES ('last_refreshed_at', 'timestamptz'), ('refresh_duration_ms', 'int'),
                   ('total_jobs', 'bigint'), ('total_objects', 'bigint')
        ) AS columns (name, type)
        WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = log AND attname = name AND NOT attisdropped)
    LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', log, item.name, item.type);
        undo := format('ALTER TABLE %s DROP COLUMN %I', log, item.name) || undo;
    END LOOP;

    FOR item IN
        SELECT format_type(atttypid, atttypmod) AS type,
               ARRAY(SELECT described
                     FROM public.describe_views(ARRAY[log]) AS described
                     WHERE described.name <> log::text
                     ORDER BY described.position) AS views
        FROM pg_attribute
        WHERE attrelid = log AND attname = 'last_refreshed_at' AND atttypid <> 'timestamptz'::regtype
    LOOP
        PERFORM public.drop_described(item.views);
        EXECUTE format(
            'ALTER TABLE %s ALTER COLUMN last_refreshed_at TYPE timestamptz '
            'USING last_refreshed_at::timestamp AT TIME ZONE %L',
            log, zone
        );
        undo := format(
            'ALTER TABLE %s ALTER COLUMN last_refreshed_at TYPE %s USING (last_refreshed_at AT TIME ZONE %L)::%2$s',
            log, item.type, zone
        ) || undo;
        FOREACH built IN ARRAY item.views LOOP
            PERFORM public.build_described(built);
        END LOOP;
        INSERT INTO public.views_to_fill SELECT name, position FROM unnest(item.views) WHERE is_populated;
    END LOOP;

    IF NOT EXISTS (SELECT
                   FROM pg_index
                   WHERE indrelid = log
                     AND indisunique
                     AND pg_get_indexdef(indexrelid) LIKE '%(view_name)') THEN
        IF EXISTS (SELECT FROM public.materialized_view_refresh_log GROUP BY view_name HAVING count(*) > 1) THEN
            RAISE EXCEPTION '% has a row for each refresh', log
                USING HINT = 'Rename it, and migrate again.';
        END IF;
        ALTER TABLE public.materialized_view_refresh_log ADD CONSTRAINT one_row_for_each_view UNIQUE (view_name);
        undo := format('ALTER TABLE %s DROP CONSTRAINT one_row_for_each_view', log) || undo;
    END IF;

    BEGIN
        INSERT INTO public.materialized_view_refresh_log
            (view_name, last_refreshed_at, refresh_duration_ms, total_jobs, total_objects)
        VALUES ('job_progress', now(), 0, 0, 0)
        ON CONFLICT (view_name) DO UPDATE
        SET last_refreshed_at = excluded.last_refreshed_at;
        RAISE SQLSTATE 'UNDOT';
    EXCEPTION
        WHEN SQLSTATE 'UNDOT' THEN
            NULL;
    END;
    UPDATE public.adopted_objects SET alterations = undo WHERE name = log::text;
END
$$;

-- Builds the new view while the older one answers, so that adopt_older_views() only has to rename it. Anew each time: one
-- that an interrupted run left is older than the log says.
CREATE OR REPLACE FUNCTION build_job_progress_beside()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DROP MATERIALIZED VIEW IF EXISTS public.job_progress_next;
    IF to_regclass('public.job_progress') IN (SELECT older FROM public.older_views() AS older) THEN
        PERFORM public.build_job_progress('job_progress_next');
    END IF;
END
$$;

-- The way back, for the rollback: drops the objects of this file and builds those of the older deployment again, and the
-- views of other people on them. One transaction. The older job_progress is filled before anything is locked. Objects
-- that are not of this file stay: 002 stopped before it replaced them, or a script has made them since.
CREATE OR REPLACE FUNCTION return_older_objects()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    log CONSTANT text := 'public.materialized_view_refresh_log';
    ours CONSTANT text[] := ARRAY(
        SELECT name
        FROM unnest(ARRAY['public.job_progress', 'public.active_jobs_progress', 'public.job_statistics']) AS name
        WHERE to_regclass(name) IS NOT NULL
          AND to_regclass(name) NOT IN (SELECT older FROM public.older_views() AS older)
    );
    older CONSTANT public.adopted_objects[] := ARRAY(
        SELECT object
        FROM public.adopted_objects AS object
        -- CASE, because to_regclass() refuses the signature of a function.
        WHERE CASE WHEN kind LIKE '%VIEW' THEN name = ANY (ours) OR to_regclass(name) IS NULL END
        ORDER BY position
    );
    log_changes CONSTANT text[] := (
        SELECT alterations
        FROM public.adopted_objects
        WHERE name = log AND to_regclass(log) IS NOT NULL
    );
    described public.adopted_objects[];
    item public.adopted_objects;
    statement text;
BEGIN
    DROP MATERIALIZED VIEW IF EXISTS public.job_progress_next;
    FOREACH item IN ARRAY older LOOP
        IF item.name = 'public.job_progress' AND item.kind = 'MATERIALIZED VIEW' AND item.is_populated THEN
            BEGIN
                EXECUTE format('CREATE MATERIALIZED VIEW public.job_progress_next %s', item.definition);
            EXCEPTION
                WHEN data_exception THEN -- the older view divides by zero; build_described() builds it without rows
                    RAISE WARNING '% stays empty: %', item.name, SQLERRM;
            END;
        END IF;
    END LOOP;

    -- Views of other people are dropped only where they can be built again on an older view; elsewhere they stop the DROP.
    described := ARRAY(
        SELECT view
        FROM public.describe_views(
                 CASE WHEN array_to_string(log_changes, '') LIKE '% ALTER COLUMN %' THEN ours || log ELSE ours END::regclass[]
             ) AS view
        WHERE view.name <> log
          AND (view.name = ANY (ours) OR cardinality(older) > 0 OR log_changes IS NOT NULL)
        ORDER BY view.position
    );
    PERFORM public.drop_described(described);
    DROP VIEW IF EXISTS public.job_progress_source;
    DROP VIEW IF EXISTS public.job_progress_direct;
    IF NOT EXISTS (SELECT FROM public.objects_to_restore() WHERE name = 'refresh_job_progress()') THEN
        DROP FUNCTION public.refresh_job_progress();
    END IF;
    IF NOT EXISTS (SELECT FROM public.adopted_objects WHERE name LIKE 'public.should\_refresh\_progress(%') THEN
        DROP FUNCTION IF EXISTS public.should_refresh_progress(timestamptz);
    END IF;
    IF NOT EXISTS (SELECT FROM public.adopted_objects WHERE name = log) THEN
        DROP TABLE IF EXISTS public.materialized_view_refresh_log;
    END IF;

    ALTER MATERIALIZED VIEW IF EXISTS public.job_progress_next RENAME TO job_progress;
    FOREACH item IN ARRAY older LOOP
        PERFORM public.build_described(item);
    END LOOP;
    FOREACH statement IN ARRAY coalesce(log_changes, '{}') LOOP
        EXECUTE statement;
    END LOOP;
    FOREACH item IN ARRAY described LOOP
        IF item.name <> ALL (ours) THEN
            PERFORM public.build_described(item);
        END IF;
    END LOOP;
    INSERT INTO public.views_to_fill
    SELECT view.name, view.position
    FROM (
        SELECT * FROM unnest(older) WHERE name <> 'public.job_progress'
        UNION ALL
        SELECT * FROM unnest(described) WHERE name <> ALL (ours)
    ) AS view
    WHERE view.is_populated
    ON CONFLICT (name) DO NOTHING;

    IF to_regprocedure('public.refresh_job_progress()') IS NULL THEN
        FOR item IN SELECT * FROM public.adopted_objects WHERE name = 'public.refresh_job_progress()' LOOP
            PERFORM public.build_described(item);
        END LOOP;
    END IF;
    DELETE FROM public.adopted_objects WHERE definition IS NOT NULL;
    UPDATE public.adopted_objects SET alterations = '{}';
END
$$;

-- Brings the objects of this file to what they must be: replaces older ones, builds missing ones. One transaction, which
-- holds ACCESS EXCLUSIVE on older views and on the views that depend on them.
CREATE OR REPLACE FUNCTION adopt_older_views()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- They have their rights on the new objects, also where default privileges give them none. So has the owner.
    our_roles CONSTANT text[] := ARRAY[
        'scanner_app', 'progress_refresher', 'progress_reader', 'scanner_doctor', current_user
    ];
    older CONSTANT text[] := ARRAY(SELECT view::text FROM public.older_views() AS view);
    described CONSTANT public.adopted_objects[] := ARRAY(
        SELECT view
        FROM public.describe_views(older::regclass[]) AS view
        ORDER BY view.position
    );
    refresh public.adopted_objects;
    item public.adopted_objects;
BEGIN
    PERFORM public.adopt_refresh_log();
    PERFORM public.drop_described(described);

    -- Its result type is another one, and CREATE OR REPLACE cannot change that.
    SELECT 'public.refresh_job_progress()', 'FUNCTION', 0, pg_get_userbyid(proowner), pg_get_functiondef(oid),
           ARRAY(SELECT format('COMMENT ON FUNCTION public.refresh_job_progress() IS %L', comment)
                 FROM obj_description(oid, 'pg_proc') AS comment
                 WHERE comment IS NOT NULL)
           || ARRAY(SELECT public.grant_statements(
                               coalesce(proacl, acldefault('f', proowner)),
                               'FUNCTION public.refresh_job_progress()',
                               ''
                           )),
           false
    INTO refresh
    FROM pg_proc
    WHERE oid = to_regprocedure('public.refresh_job_progress()')
      AND EXISTS (SELECT FROM public.objects_to_restore() WHERE name = 'refresh_job_progress()');
    IF refresh.name IS NOT NULL THEN
        DROP FUNCTION public.refresh_job_progress();
    END IF;

    IF to_regclass('public.job_progress') IS NULL THEN
        ALTER MATERIALIZED VIEW IF EXISTS public.job_progress_next RENAME TO job_progress;
        ALTER INDEX IF EXISTS public.idx_job_progress_next_job_id RENAME TO idx_job_progress_job_id;
        ALTER INDEX IF EXISTS public.idx_job_progress_next_active RENAME TO idx_job_progress_active;
    END IF;
    PERFORM public.restore_job_progress();

    FOREACH item IN ARRAY described LOOP
        IF item.name = ANY (older) THEN
            INSERT INTO public.adopted_objects SELECT item.* ON CONFLICT (name) DO NOTHING;
            PERFORM public.alter_described(item, our_roles);
        ELSE
            PERFORM public.build_described(item);
        END IF;
    END LOOP;
    INSERT INTO public.views_to_fill
    SELECT view.name, view.position
    FROM unnest(described) AS view
    WHERE view.is_populated AND view.name <> ALL (older)
    ON CONFLICT (name) DO NOTHING;

    IF refresh.name IS NOT NULL THEN
        INSERT INTO public.adopted_objects SELECT refresh.* ON CONFLICT (name) DO NOTHING;
        -- Not PUBLIC's right, because any role could then keep the database busy.
        refresh.alterations := ARRAY(
            SELECT statement
            FROM unnest(refresh.alterations) AS statement
            WHERE statement NOT LIKE 'GRANT % TO PUBLIC%'
        );
        PERFORM public.alter_described(refresh, our_roles);
    END IF;
END
$$;

SELECT build_job_progress_beside();

SELECT adopt_older_views();

SELECT fill_built_views();

-- Writes the first row of the log.
SELECT refresh_job_progress();
