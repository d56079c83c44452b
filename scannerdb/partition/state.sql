-- The state of a partitioning: one row.

-- name: create
CREATE SCHEMA job_objects_partitioning;
CREATE TABLE job_objects_partitioning.state (
    phase text NOT NULL,
    modulus int NOT NULL,
    definition jsonb NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_key text[],
    copied_rows bigint NOT NULL DEFAULT 0,
    copied_at xid8
);
-- A publication of all tables would otherwise refuse the updates below.
ALTER TABLE job_objects_partitioning.state REPLICA IDENTITY FULL;
INSERT INTO job_objects_partitioning.state (phase, modulus, definition)
VALUES (%(phase)s, %(modulus)s, %(definition)s);

-- name: read
SELECT phase, modulus, definition, last_key, copied_rows, copied_at::text
FROM job_objects_partitioning.state;

-- name: enter
UPDATE job_objects_partitioning.state
SET phase = %(phase)s,
    changed_at = clock_timestamp();

-- name: end_copy
UPDATE job_objects_partitioning.state
SET phase = %(phase)s,
    changed_at = clock_timestamp(),
    copied_at = pg_current_xact_id();

-- name: keep_definition
UPDATE job_objects_partitioning.state
SET definition = %(definition)s;
