-- Keeps two tables the same while both exist, and compares them. Identifiers stand in braces.

-- name: create_mirror
-- Repeats a statement's changes on the other table, in the same transaction, so both become visible together.
-- It copies the rows as they are now instead of repeating the statement, so the order in which the triggers of a statement
-- with several parts fire does not matter. The writer already holds the row lock in the first table, so two writers never
-- wait for each other in the second one; a writer waits for the copy only, for one batch at most.
-- OFFSET 0 and the settings force one index lookup a row: the plan is cached for the session, and it may have been made
-- for a statement of many rows, or while the copy was small.
CREATE OR REPLACE FUNCTION {function}()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $mirror$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        BEGIN
            TRUNCATE {target};
        EXCEPTION
            WHEN object_in_use THEN NULL; -- TRUNCATE jobs CASCADE has emptied both
        END;
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        {delete_gone};
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF EXISTS (SELECT {key} FROM old_rows EXCEPT SELECT {key} FROM new_rows) THEN
            {delete_gone};
        END IF;
    END IF;
    INSERT INTO {target} ({columns})
    SELECT source.*
    FROM new_rows AS changed
    CROSS JOIN LATERAL (SELECT {columns} FROM {source} AS source WHERE {source_is_changed} OFFSET 0) AS source
    ON CONFLICT ({key}) DO UPDATE SET {assignments};
    RETURN NULL;
END
$mirror$

-- name: delete_gone
{touch}
        DELETE FROM {target} AS copy
        USING (SELECT {gone_key} FROM old_rows AS gone
               WHERE NOT EXISTS (SELECT FROM {source} AS source WHERE {source_is_gone} OFFSET 0)
               OFFSET 0) AS gone
        WHERE {copy_is_gone}

-- name: touch
-- A transaction above READ COMMITTED does not see a row that was copied after its snapshot, so its DELETE would skip it.
-- Writing the row first fails with a serialization error (40001), and the client retries the transaction.
IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
            INSERT INTO {target} ({columns})
            SELECT {columns} FROM old_rows
            ON CONFLICT ({key}) DO UPDATE SET {assignments};
        END IF;

-- name: create_triggers
-- ENABLE ALWAYS: also fires under session_replication_role = replica, as in logical replication and in loads that skip checks.
CREATE TRIGGER mirror_insert AFTER INSERT ON {source}
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION {function}();
CREATE TRIGGER mirror_update AFTER UPDATE ON {source}
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION {function}();
CREATE TRIGGER mirror_delete AFTER DELETE ON {source}
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION {function}();
CREATE TRIGGER mirror_truncate AFTER TRUNCATE ON {source}
FOR EACH STATEMENT EXECUTE FUNCTION {function}();
ALTER TABLE {source} ENABLE ALWAYS TRIGGER mirror_insert, ENABLE ALWAYS TRIGGER mirror_update,
    ENABLE ALWAYS TRIGGER mirror_delete, ENABLE ALWAYS TRIGGER mirror_truncate

-- name: drop_triggers
DROP TRIGGER IF EXISTS mirror_insert ON {source};
DROP TRIGGER IF EXISTS mirror_update ON {source};
DROP TRIGGER IF EXISTS mirror_delete ON {source};
DROP TRIGGER IF EXISTS mirror_truncate ON {source}

-- name: copy_batch
-- Copies the next rows after a key, and records the last one. FOR KEY SHARE prevents that a row is deleted, or gets
-- another key, between the read and the copy. A concurrent change of its status is mirrored by its own trigger, before or
-- after this; so is a concurrent INSERT.
-- A batch ends by LIMIT: for an upper bound on a row of several columns, PostgreSQL 17 ends the index scan only where the
-- first column changes, so a batch would read the rest of its job.
WITH keys AS MATERIALIZED (
    SELECT {key} FROM {source} AS source WHERE {behind} ORDER BY {key} LIMIT %(rows)s
),
batch AS MATERIALIZED (
    SELECT {columns} FROM keys JOIN {source} AS source USING ({key}) FOR KEY SHARE OF source
),
copied AS (
    INSERT INTO {target} ({columns}) SELECT {columns} FROM batch ON CONFLICT ({key}) DO NOTHING
)
UPDATE {state}
SET last_key = coalesce((SELECT {key_as_text} FROM keys ORDER BY {key_descending} LIMIT 1), last_key),
    copied_rows = copied_rows + (SELECT count(*) FROM keys)
RETURNING copied_rows, last_key, (SELECT count(*) FROM keys)

-- name: compare_batch
-- Compares the next rows after a key of both tables, in one snapshot: each write is in both or in neither. Returns the
-- number of rows, the last key, and the jobs that differ. Only the first of these is certain: after it, the two LIMITs may
-- end at different rows.
WITH original AS MATERIALIZED (
    SELECT {columns} FROM {source} AS source WHERE {behind} ORDER BY {key} LIMIT %(rows)s
),
copy AS MATERIALIZED (
    SELECT {columns} FROM {target} AS source WHERE {behind} ORDER BY {key} LIMIT %(rows)s
),
difference AS (
    SELECT coalesce(original.job, copy.job) AS job, original.rows, copy.rows AS copied
    FROM (
        SELECT {partition_key} AS job, count(*) AS rows, bit_xor(hashtextextended(ROW({columns})::text, 0)) AS sum
        FROM original
        GROUP BY {partition_key}
    ) AS original
    FULL JOIN (
        SELECT {partition_key} AS job, count(*) AS rows, bit_xor(hashtextextended(ROW({columns})::text, 0)) AS sum
        FROM copy
        GROUP BY {partition_key}
    ) AS copy ON copy.job = original.job
    WHERE (original.rows, original.sum) IS DISTINCT FROM (copy.rows, copy.sum)
)
SELECT (SELECT count(*) FROM original),
       (SELECT {key_as_text} FROM original ORDER BY {key_descending} LIMIT 1),
       (SELECT coalesce(jsonb_agg(jsonb_build_array(job, rows, copied) ORDER BY job), '[]') FROM difference)
