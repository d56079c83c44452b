-- Repeatable: runs before the numbered files with each new release, so it must be idempotent.
-- Who may do what; the numbered files grant the rights on the objects that they make.
-- No role has a password: RDS Proxy and RDS check IAM tokens (rds_iam exists there only).
-- Timeouts live on the role because RDS Proxy refuses them as startup options and pins a session that sets them.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['scanner_app', 'progress_refresher', 'progress_reader', 'scanner_doctor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role_name);
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam')
           AND NOT EXISTS (SELECT
                           FROM pg_auth_members
                           WHERE roleid = 'rds_iam'::regrole
                             AND member = role_name::regrole) THEN
            EXECUTE format('GRANT rds_iam TO %I', role_name);
        END IF;
    END LOOP;
END
$$;

-- The scanner: a statement that runs for minutes is a mistake, an idle transaction holds vacuum back.
ALTER ROLE scanner_app SET statement_timeout = '5min';
ALTER ROLE scanner_app SET idle_in_transaction_session_timeout = '1min';

-- A refresh ends before its function's own timeout of five minutes does, so that the reason is logged.
ALTER ROLE progress_refresher SET statement_timeout = '280s';
ALTER ROLE progress_refresher SET lock_timeout = '10s';

-- A caller of the status API has given up after a few seconds; so does the query.
ALTER ROLE progress_reader SET statement_timeout = '5s';
ALTER ROLE progress_reader SET default_transaction_read_only = on;
-- It reads one job by an index, also where deltas that are dead but not vacuumed yet make the planner think that a scan of
-- all is as good: an index scan marks the dead ones, and the next read skips them; the others pass them every time.
ALTER ROLE progress_reader SET enable_seqscan = off;
ALTER ROLE progress_reader SET enable_bitmapscan = off;
-- What reads all jobs, as /statistics does, has to scan all the same; what the planner thinks that costs now would have it
-- compiled first.
ALTER ROLE progress_reader SET jit = off;

-- The doctor looks and never touches, gives up before the on-call does, and queues for no lock that writers wait behind.
ALTER ROLE scanner_doctor SET default_transaction_read_only = on;
ALTER ROLE scanner_doctor SET statement_timeout = '20s';
ALTER ROLE scanner_doctor SET lock_timeout = '2s';

-- Other sessions' statements, statistics, and the size of the write-ahead log. On RDS the master user may give this on.
DO $$
BEGIN
    IF NOT EXISTS (SELECT
                   FROM pg_auth_members
                   WHERE roleid = 'pg_monitor'::regrole
                     AND member = 'scanner_doctor'::regrole) THEN
        GRANT pg_monitor TO scanner_doctor;
    END IF;
END
$$;
