-- Taking 001 back drops the scanner's tables, so it refuses while they hold anything.
-- Dropping is what a rollback is for.
-- squawk-ignore-file ban-drop-table

DO $$
BEGIN
    -- Rows that a writer has not committed yet are not to be seen, so no writer may be under way.
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
