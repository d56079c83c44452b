-- The scanner's own tables: jobs, the S3 objects of each, and what was found in them.
-- A database that has them already is adopted: nothing is rewritten, no row is touched.

CREATE TABLE IF NOT EXISTS jobs (
    job_id uuid PRIMARY KEY,
    bucket text NOT NULL,
    prefix text,
    execution_arn text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS job_objects (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    bucket text NOT NULL,
    key text NOT NULL,
    etag text NOT NULL,
    status text NOT NULL CHECK (status IN ('queued', 'processing', 'succeeded', 'failed')),
    last_error text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, bucket, key, etag)
);

CREATE TABLE IF NOT EXISTS findings (
    -- Existing deployments have the serial, and their grants name its sequence.
    -- squawk-ignore prefer-identity
    id bigserial PRIMARY KEY,
    job_id uuid NOT NULL,
    bucket text NOT NULL,
    key text NOT NULL,
    etag text NOT NULL,
    detector text NOT NULL,
    masked_match text,
    context text,
    -- The type that existing deployments have; changing it would rewrite the table.
    -- squawk-ignore prefer-bigint-over-int
    byte_offset int,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (bucket, key, etag, detector, byte_offset)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs, job_objects, findings TO scanner_app;
GRANT USAGE ON SEQUENCE findings_id_seq TO scanner_app;
