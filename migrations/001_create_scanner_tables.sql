-- The scanner's own tables: jobs, the S3 objects of each job, and the findings in them.
-- Where these tables exist, they stay as they are: no table is rewritten, no row changes.

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
    -- A serial, because existing deployments have one and grant rights on its sequence.
    -- squawk-ignore prefer-identity
    id bigserial PRIMARY KEY,
    job_id uuid NOT NULL,
    bucket text NOT NULL,
    key text NOT NULL,
    etag text NOT NULL,
    detector text NOT NULL,
    masked_match text,
    context text,
    -- An int, because existing deployments have one and another type would rewrite the table.
    -- squawk-ignore prefer-bigint-over-int
    byte_offset int,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (bucket, key, etag, detector, byte_offset)
);

SELECT grant_rights();
