"""The checks: one query and one record each. A column of the query can stand in a record's `{braces}`."""

from dataclasses import dataclass
from pathlib import Path

from handlers.queries import load_queries

_FOLDER = Path(__file__).parent

TABLES = ("jobs", "job_objects", "findings")
# The tables with triggers.
COUNTED = ("job_objects", "findings")
# What the migrations create beside them: t for a table, v for a view, m for a materialized view. An older deployment
# may have a view in the place of a materialized view.
RELATIONS = {
    **dict.fromkeys(TABLES, "t"),
    "job_progress": "m",
    "active_jobs_progress": "v",
    "job_statistics": "v",
    "job_progress_direct": "v",
    "job_progress_source": "v",
    "job_progress_live": "v",
    "job_progress_next": "m",
    "job_progress_counts": "t",
    "job_progress_recounts": "t",
    "adopted_objects": "t",
    "views_to_fill": "t",
    "job_progress_deltas": "t",
    "job_progress_bounds": "t",
    "job_progress_changes": "v",
    "job_progress_valid_bounds": "v",
    "job_progress_folded": "v",
    "job_progress_unfolded": "v",
    "materialized_view_refresh_log": "t",
    "retired_jobs": "t",
    "schema_migrations": "t",
}
PROGRESS_COLUMNS = (
    *("job_id", "bucket", "prefix", "execution_arn", "created_at", "updated_at", "total_objects", "queued_count"),
    *("processing_count", "succeeded_count", "failed_count", "total_findings", "progress_percent"),
    "last_object_update",
)
STATISTICS_COLUMNS = (
    *("total_jobs", "completed_jobs", "in_progress_jobs", "pending_jobs", "total_objects_all_jobs"),
    *("total_objects_processed", "total_findings_all_jobs", "avg_progress", "most_recent_job", "oldest_active_job"),
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """Why the rows of a query matter, what to do, and whether `migrate` refuses."""

    why: str
    way_out: str
    refuses: bool


def _refuses(why: str, way_out: str) -> Check:
    return Check(why=why, way_out=way_out, refuses=True)


def _notes(why: str, way_out: str) -> Check:
    return Check(why=why, way_out=way_out, refuses=False)


_SURROUNDINGS = {
    "standby": _refuses("It takes no change.", "Connect to the primary, which RDS calls the writer."),
    "schema": _refuses("Every object is made in it.", "Its owner, or that of the database, can run {statement}."),
    "roles": _refuses("Each run sets the roles of roles.sql up.", "An administrator can run {statement}."),
    "sessions": _notes(
        "measure_sessions() runs with its rights, so lock waits and open transactions of other users would read as 0, "
        "and the doctor refuses this login.",
        "An administrator can run {statement}.",
    ),
    "owners": _refuses(
        "Only its owner, or a member of that role, may change it.", "Its owner or an administrator can run {statement}."
    ),
    "functions": _refuses("A migration cannot replace it by its function of this name.", "{statement}"),
    "older_views": _refuses(
        "It cannot be built again on the new view, so the older one cannot be replaced.", "{statement}"
    ),
    "subscriptions": _refuses(
        "Rows that replication applies fire no triggers, so they are not counted, and a refresh here collides with "
        "that of the publisher.",
        "Migrate the publisher. To use this database by itself: {statement}, then scannerdb migrate and scannerdb "
        "rebuild.",
    ),
    "publications": _notes(
        "A subscriber needs the rows of jobs, job_objects and findings, and counts them itself; the rest must not "
        "be refreshed there.",
        "CREATE PUBLICATION ... FOR TABLE jobs, job_objects, findings; on a subscriber that takes over, scannerdb "
        "migrate and scannerdb rebuild.",
    ),
    "defaults": _notes("{why}", "{statement}, where it is not meant."),
}

_TABLES = {
    "elsewhere": _refuses(
        "The tables are expected in public, and new, empty ones would be made there.",
        "{statement}; then give the application a search_path with public. Where they are another application's, "
        "rename that job_objects.",
    ),
    "kind": _refuses("A migration makes or changes a {wanted} of this name.", "{statement}"),
    "missing_columns": _refuses("Migrations and refreshes read this column.", "{statement}"),
    "job_id_types": _refuses(
        "Triggers count jobs by uuid: after their creation every write to the table would fail.",
        "{condition}, in a maintenance window, because it rewrites the table, without the foreign keys and views on "
        "the column: {statement}, and so on all three tables.",
    ),
    "nullable_job_ids": _refuses(
        "A row without a job cannot be counted: its write would fail.",
        "{statement}. The second reads the whole table while writers wait; add CHECK (job_id IS NOT NULL) NOT VALID "
        "and VALIDATE it before, and it does not.",
    ),
    "jobs_without_key": _refuses(
        "job_progress has one row a job: a job that occurs twice stops every refresh.",
        "CREATE UNIQUE INDEX CONCURRENTLY ON public.jobs (job_id)",
    ),
    "times_of_other_types": _refuses(
        "Refreshes and reads compare it with timestamptz.",
        "{statement}. From timestamp, in a session with SET timezone = 'UTC', it rewrites no row, but builds the "
        "column's indexes while writers wait. A view on the column must be dropped first.",
    ),
    "times_without_zone": _notes(
        "Each session reads it in its own time zone, and the API's answers have no offset.",
        "Keep the time zone of the database at the one that the application writes.",
    ),
    "children": _refuses(
        "A read of the parent includes its rows, but a write to it fires none of the parent's triggers, so it is not "
        "counted.",
        "Move its rows into the parent, or {statement}.",
    ),
    "parents": _notes(
        "A write that names the parent fires none of this table's triggers, so it is not counted.",
        "Write to this table by its own name; after a write to the parent run scannerdb rebuild.",
    ),
    "partitioned": _notes(
        "A write that names a partition, and ATTACH or DETACH PARTITION, fire no trigger, and PostgreSQL tells "
        "triggers of a MERGE wrongly here, so they are not counted right.",
        "Write to the table by its own name, without MERGE; after ATTACH or DETACH run scannerdb rebuild.",
    ),
    "unlogged": _notes(
        "A crash of the server empties it, but not its counts.",
        "After a crash run scannerdb rebuild, or ALTER TABLE {subject} SET LOGGED, which rewrites it.",
    ),
    "rules": _notes(
        "Only rows that reach the table are counted.", "Nothing, where the rule does not send rows to another table."
    ),
    "hidden_rows": _refuses(
        "Rows that a policy hides from this login cannot be counted.",
        "{statement}; or an administrator can give the login BYPASSRLS.",
    ),
    "row_security": _notes(
        "Policies hold for scanner_app: it reads and writes only what they allow.",
        "CREATE POLICY ... TO scanner_app, where the application is to log in with that role.",
    ),
    "triggers": _refuses("A migration would replace it.", "{statement}"),
    "indexes_of_partitioned": _refuses(
        "CREATE INDEX CONCURRENTLY, as which a migration builds it, is refused there.",
        "{statement}. Writers wait while it builds, unless each partition has such an index before: build these "
        "CONCURRENTLY.",
    ),
    "redundant_indexes": _notes("Each write updates it, and no query needs it.", "{statement}"),
}

# Name of the query, its text, its record; in the order in which findings are printed.
CHECKS = [
    *((name, query, _SURROUNDINGS[name]) for name, query in load_queries(_FOLDER / "surroundings.sql").items()),
    *((name, query, _TABLES[name]) for name, query in load_queries(_FOLDER / "tables.sql").items()),
]
