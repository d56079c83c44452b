-- What keeps two tables the same while both exist, and what compares them. Identifiers stand in braces.

-- name: create_mirror
-- Brings what a statement changed over to the other table, in its transaction: whoever sees the one change sees the other.
-- It does not repeat the statement but looks at what is there now, so that the order in which the triggers of a statement
-- with several parts fire does not matter. A row is changed in the other table by whoever holds the row in the first one:
-- nobody waits for anybody but for the copy of a few thousand rows, and for that no longer than a batch.
-- OFFSET 0 and the settings keep the planner to one look at the key for each row: a session's plan is made once, for however
-- many rows its first statement had, and however few the copy had.
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
        {touch}
        DELETE FROM {target} AS copy
        USING (SELECT {gone_key} FROM old_rows AS gone
               WHERE NOT EXISTS (SELECT FROM {source} AS source WHERE {source_is_gone} OFFSET 0)
               OFFSET 0) AS gone
        WHERE {copy_is_gone};
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF EXISTS (SELECT {key} FROM old_rows EXCEPT SELECT {key} FROM new_rows) THEN
            {touch}
            DELETE FROM {target} AS copy
            USING (SELECT {gone_key} FROM old_rows AS gone
                   WHERE NOT EXISTS (SELECT FROM {source} AS source WHERE {source_is_gone} OFFSET 0)
                   OFFSET 0) AS gone
            WHERE {copy_is_gone};
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

-- name: touch
-- A transaction above READ COMMITTED does not see a row that was copied since its snapshot, and a delete would pass it
-- over: so it writes the row first, which PostgreSQL refuses as any concurrent update (40001), and the client tries again.
IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
            INSERT INTO {target} ({columns})
            SELECT {columns} FROM old_rows
            ON CONFLICT ({key}) DO UPDATE SET {assignments};
        END IF;

-- name: create_triggers
-- ALWAYS: a session that replays a replica's changes, or loads without checks, is mirrored too.
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
-- The next rows behind a key, and the note that they are copied. FOR KEY SHARE keeps a row from being deleted, or from
-- getting another key, between its being read and its being copied; its status may be changed meanwhile, and whoever does
-- that writes the copy as well, before or after. What is inserted meanwhile is mirrored.
-- The end of a batch is its number of rows: an upper bound of several columns ends an index scan of PostgreSQL 17 only
-- where the first of them changes, and a batch would read the rest of its job.
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
-- The next rows behind a key of both tables, in one snapshot: writers change both or none. How many there are, the last of
-- them, and the jobs whose rows differ: of these the first does; behind it the batch may hold other rows of the one table.
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
