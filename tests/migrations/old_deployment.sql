-- A database as deployments made it before this project: the same tables, names, column types and grants.
-- uuid-ossp is left out: only the default of jobs.job_id needs it, and gen_random_uuid() stands for that here.

CREATE TABLE jobs (
    job_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    bucket text NOT NULL,
    prefix text DEFAULT '',
    execution_arn text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
CREATE INDEX idx_jobs_created_at ON jobs (created_at);
CREATE INDEX idx_jobs_execution_arn ON jobs (execution_arn) WHERE execution_arn IS NOT NULL;

CREATE TABLE job_objects (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    bucket text NOT NULL,
    key text NOT NULL,
    etag text,
    status text NOT NULL CHECK (status IN ('queued', 'processing', 'succeeded', 'failed')),
    last_error text,
    updated_at timestamptz DEFAULT now(),
    PRIMARY KEY (job_id, bucket, key, etag)
);
CREATE INDEX idx_job_objects_job_id ON job_objects (job_id);
CREATE INDEX idx_job_objects_status ON job_objects (status);
CREATE INDEX idx_job_objects_bucket_key ON job_objects (bucket, key);

CREATE TABLE findings (
    id bigserial PRIMARY KEY,
    job_id uuid NOT NULL,
    bucket text NOT NULL,
    key text NOT NULL,
    etag text,
    detector text NOT NULL,
    masked_match text NOT NULL,
    context text,
    byte_offset int NOT NULL,
    created_at timestamptz DEFAULT now(),
    UNIQUE (bucket, key, etag, detector, byte_offset)
);
CREATE INDEX idx_findings_job_id ON findings (job_id);
CREATE UNIQUE INDEX idx_findings_dedup ON findings (bucket, key, etag, detector, byte_offset);

CREATE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END
$$;
CREATE TRIGGER update_jobs_updated_at BEFORE UPDATE ON jobs
FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_job_objects_updated_at BEFORE UPDATE ON job_objects
FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE VIEW job_summary AS
SELECT jobs.job_id, jobs.bucket, count(DISTINCT (o.bucket, o.key, o.etag)) AS total_objects
FROM jobs
LEFT JOIN job_objects AS o ON o.job_id = jobs.job_id
GROUP BY jobs.job_id, jobs.bucket;

-- The composite indexes.
CREATE INDEX idx_job_objects_job_status ON job_objects (job_id, status);
CREATE INDEX idx_job_objects_job_updated ON job_objects (job_id, updated_at DESC);
CREATE INDEX idx_job_objects_bucket_key_composite ON job_objects (bucket, key, job_id);
CREATE INDEX idx_findings_job_detector ON findings (job_id, detector);

-- The log.
CREATE TABLE materialized_view_refresh_log (
    view_name text PRIMARY KEY,
    last_refreshed_at timestamptz NOT NULL DEFAULT now(),
    refresh_duration_ms int,
    total_jobs int,
    total_objects bigint
);
INSERT INTO materialized_view_refresh_log (view_name) VALUES ('job_progress');

-- The view of the published guide divides by zero for a job without objects; deployments have it in this form too.
CREATE MATERIALIZED VIEW job_progress AS
SELECT j.job_id, j.bucket, j.prefix, j.execution_arn, j.created_at, j.updated_at,
       count(o.job_id) AS total_objects,
       count(*) FILTER (WHERE o.status = 'queued') AS queued_count,
       count(*) FILTER (WHERE o.status = 'processing') AS processing_count,
       count(*) FILTER (WHERE o.status = 'succeeded') AS succeeded_count,
       count(*) FILTER (WHERE o.status = 'failed') AS failed_count,
       (SELECT count(*) FROM findings AS f WHERE f.job_id = j.job_id) AS total_findings,
       round(count(*) FILTER (WHERE o.status IN ('succeeded', 'failed'))::numeric / count(o.job_id)::numeric * 100, 2)
           AS progress_percent
FROM jobs AS j
LEFT JOIN job_objects AS o ON o.job_id = j.job_id
GROUP BY j.job_id
WITH NO DATA;
CREATE INDEX idx_job_progress_job_id ON job_progress (job_id);
CREATE INDEX idx_job_progress_progress ON job_progress (progress_percent);

CREATE FUNCTION refresh_job_progress() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    REFRESH MATERIALIZED VIEW job_progress;
END
$$;
CREATE FUNCTION should_refresh_progress(last_refresh_time timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN now() - last_refresh_time > INTERVAL '5 minutes';
END
$$;

CREATE VIEW active_jobs_progress AS
SELECT * FROM job_progress WHERE progress_percent < 100 ORDER BY created_at DESC;
CREATE VIEW job_statistics AS
SELECT count(*) AS total_jobs,
       count(*) FILTER (WHERE progress_percent = 100) AS completed_jobs,
       sum(total_objects) AS total_objects_all_jobs,
       sum(total_findings) AS total_findings_all_jobs,
       avg(progress_percent) AS avg_progress
FROM job_progress;

GRANT SELECT ON job_progress, active_jobs_progress, job_statistics TO public;
GRANT EXECUTE ON FUNCTION refresh_job_progress() TO public;

-- What other teams built on top. No file records it.
CREATE VIEW team_dashboard AS
SELECT bucket, sum(total_objects) AS objects, max(progress_percent) AS progress FROM job_progress GROUP BY bucket;
COMMENT ON VIEW team_dashboard IS 'read by the weekly report';
CREATE VIEW team_dashboard_top WITH (security_barrier = true) AS
SELECT d.bucket, s.total_jobs FROM team_dashboard AS d CROSS JOIN job_statistics AS s;
CREATE MATERIALIZED VIEW team_snapshot AS
SELECT job_id, progress_percent FROM active_jobs_progress
WITH NO DATA;
CREATE UNIQUE INDEX team_snapshot_job ON team_snapshot (job_id);
GRANT SELECT ON team_dashboard TO analyst WITH GRANT OPTION;
GRANT SELECT (bucket) ON team_dashboard_top TO analyst;
GRANT SELECT ON team_snapshot TO public;
GRANT SELECT (job_id, total_objects) ON job_progress TO analyst;
GRANT EXECUTE ON FUNCTION refresh_job_progress() TO analyst;
CREATE INDEX somebodys_index ON job_objects (updated_at) WHERE status = 'failed';
