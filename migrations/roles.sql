-- The login roles and their settings. The numbered files grant rights on the objects that they create.
-- Runs before the numbered files in each run, so it must be idempotent.
-- No role has a password: RDS and RDS Proxy check IAM tokens, for members of rds_iam. Other servers lack that role.
-- Settings belong to the role, because RDS Proxy refuses them as startup options and pins a session that sets them.

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

-- The scanner: its statements take milliseconds, and an idle transaction keeps vacuum from removing dead rows.
ALTER ROLE scanner_app SET statement_timeout = '5min';
ALTER ROLE scanner_app SET idle_in_transaction_session_timeout = '1min';

-- Less than the refresh function's timeout of 300 s, so that the server cancels first and the function logs the reason.
ALTER ROLE progress_refresher SET statement_timeout = '280s';
ALTER ROLE progress_refresher SET lock_timeout = '10s';

-- The status API answers within three seconds, so its query ends before.
ALTER ROLE progress_reader SET statement_timeout = '2s';
ALTER ROLE progress_reader SET default_transaction_read_only = on;
-- Forces index scans for reads of one job. Dead deltas inflate the estimate, and the planner would choose another scan.
-- Only a plain index scan marks the dead entries that it meets, so that the next read skips them.
ALTER ROLE progress_reader SET enable_seqscan = off;
ALTER ROLE progress_reader SET enable_bitmapscan = off;
-- enable_seqscan = off inflates the cost of full scans (/statistics), which would trigger JIT; turn JIT off.
ALTER ROLE progress_reader SET jit = off;

-- The doctor only reads, answers within seconds, and never queues long for a lock that writers would queue behind.
ALTER ROLE scanner_doctor SET default_transaction_read_only = on;
ALTER ROLE scanner_doctor SET statement_timeout = '20s';
ALTER ROLE scanner_doctor SET lock_timeout = '2s';

-- Pinned, because a database or a parameter group may set another default. Under REPEATABLE READ a transaction keeps
-- the snapshot of its first statement: a real-time read, which promises the numbers of now, would be older than its
-- caller thinks, and a refresh can end with a serialization failure instead of a fold.
ALTER ROLE progress_refresher SET default_transaction_isolation = 'read committed';
ALTER ROLE progress_reader SET default_transaction_isolation = 'read committed';
ALTER ROLE scanner_doctor SET default_transaction_isolation = 'read committed';

-- Other sessions' statements, statistics, the size of the write-ahead log. On RDS the master user may grant pg_monitor.
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
