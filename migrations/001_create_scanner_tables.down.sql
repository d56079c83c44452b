-- Drops the scanner's tables, and the functions of roles.sql. Refuses while one of the tables holds a row.
-- squawk-ignore-file ban-drop-table, ban-drop-function

DO $$
BEGIN
    -- Waits for open writers, whose uncommitted rows the check below cannot see.
    LOCK TABLE findings, job_objects, jobs IN ACCESS EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM findings) OR EXISTS (SELECT FROM job_objects) OR EXISTS (SELECT FROM jobs) THEN
        RAISE EXCEPTION 'rolling back 001 would drop tables that hold rows'
            USING HINT = 'Save and delete the rows of findings, job_objects and jobs first, or keep 001 applied.';
    END IF;
END
$$;

DROP TABLE IF EXISTS findings;
DROP TABLE IF EXISTS job_objects;
DROP TABLE IF EXISTS jobs;
DROP FUNCTION IF EXISTS grant_rights();
DROP FUNCTION IF EXISTS expected_rights();
