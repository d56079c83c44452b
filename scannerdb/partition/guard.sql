-- Needed on a partitioned table only.

-- name: create
-- Makes PostgreSQL refuse MERGE, so that progress stays exact: in PostgreSQL 17 the transition tables of a MERGE into a
-- partitioned table are wrong. An UPDATE after an INSERT has the inserted row in place of the new one, and an UPDATE that
-- moves a row to another partition is missing. (ExecMergeMatched leaves tcs_original_insert_tuple as the insert set it;
-- ExecInsert asks whether the operation is CMD_UPDATE.)
-- The rule does nothing else and costs nothing; a trigger that checked the transition tables took half of the time of an
-- UPDATE of one row. ENABLE ALWAYS: also under session_replication_role = replica.
CREATE RULE merge_is_told_wrongly_here AS ON DELETE TO {source} DO ALSO NOTHING;
ALTER TABLE {source} ENABLE ALWAYS RULE merge_is_told_wrongly_here;
COMMENT ON RULE merge_is_told_wrongly_here ON {source} IS
    'PostgreSQL refuses MERGE on a table with a rule. In PostgreSQL 17 a MERGE on a partitioned table tells statement triggers the wrong rows, and job_progress would not be exact: use INSERT ... ON CONFLICT ... DO UPDATE.'
