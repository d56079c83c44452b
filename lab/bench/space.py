"""Measures the disk space of exact progress, beside the rows and the guide's indexes."""

from collections.abc import Mapping

from lab.bench.answers import Answer
from lab.bench.dataset import Dataset

COUNTED = ("job_progress_counts", "job_progress_deltas", "job_progress")
INDEXES = (
    "idx_job_objects_job_status",
    "idx_job_objects_job_updated",
    "idx_job_objects_bucket_key_composite",
    "idx_findings_job_detector",
)


def measure(dataset: Dataset) -> dict[str, int]:
    """Return the bytes of each progress table (with its indexes), of each composite index, and of the rows."""
    with dataset.cursor() as cursor:
        cursor.execute("SELECT name, pg_total_relation_size(name::regclass) FROM unnest(%s) AS name", ([*COUNTED],))
        sizes = dict(cursor.fetchall())
        cursor.execute("SELECT name, pg_relation_size(name::regclass) FROM unnest(%s) AS name", ([*INDEXES],))
        sizes |= dict(cursor.fetchall())
        cursor.execute("SELECT pg_table_size('job_objects')")
        sizes["job_objects without indexes"] = cursor.fetchall()[0][0]
        return sizes


def deltas_after_vacuum(dataset: Dataset) -> int:
    """Vacuum the deltas as autovacuum does; return their bytes."""
    with dataset.cursor() as cursor:
        cursor.execute("VACUUM job_progress_deltas")
    return measure(dataset)["job_progress_deltas"]


def answers(loaded: Mapping[str, int], deltas_after_load: int, deltas_after_vacuum: int) -> list[Answer]:
    """Return a row for each table, view and index."""
    values = {name: megabytes(size) for name, size in loaded.items()}
    values["job_progress_deltas"] = (
        f"{values['job_progress_deltas']} when new, {megabytes(deltas_after_load)} after the backlogs above, "
        f"{megabytes(deltas_after_vacuum)} after a vacuum"
    )
    return [Answer(question=f"space of {_quoted(name)}", value=value) for name, value in values.items()]


def megabytes(size: int) -> str:
    """Return bytes as megabytes."""
    return f"{size / 1e6:,.2f} MB"


def _quoted(name: str) -> str:
    first, _, rest = name.partition(" ")
    return f"`{first}`{rest and ' '}{rest}"
