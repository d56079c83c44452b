-- What a partitioned table needs that a plain one does not.

-- name: create
-- Has PostgreSQL refuse MERGE, so that progress stays exact: on a partitioned table PostgreSQL 17 tells statement triggers
-- the wrong rows of it. An update that comes after an insert is told with the inserted row in the place of the new one, and
-- an update that moves a row to another partition is not told as one. (ExecMergeMatched leaves tcs_original_insert_tuple as
-- the insert set it; ExecInsert asks whether the operation is CMD_UPDATE.)
-- The rule does nothing else, and costs nothing: a trigger that compared what it is told with what was changed took half of
-- the time of an update of one row. ALWAYS: for a session that replays a replica's changes too.
CREATE RULE merge_is_told_wrongly_here AS ON DELETE TO {source} DO ALSO NOTHING;
ALTER TABLE {source} ENABLE ALWAYS RULE merge_is_told_wrongly_here;
COMMENT ON RULE merge_is_told_wrongly_here ON {source} IS
    'PostgreSQL refuses MERGE on a table with a rule. In PostgreSQL 17 a MERGE on a partitioned table tells statement triggers the wrong rows, and job_progress would not be exact: use INSERT ... ON CONFLICT ... DO UPDATE.'
