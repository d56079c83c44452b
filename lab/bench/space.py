"""Measures the disk space of exact progress, beside the rows and the guide's indexes, and the time of a vacuum."""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.bench.answers import Answer
from lab.bench.dataset import Dataset
from lab.bench.samples import time_ms

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


@dataclass(frozen=True)
class Database:
    """The bytes of a database with its indexes, and the server's own cache, as PostgreSQL writes it."""

    size: int
    shared_buffers: str


def of_database(dataset: Dataset) -> Database:
    """Return the size of a database and of the server's cache."""
    size = dataset.scalar("SELECT pg_database_size(current_database())")
    return Database(size, dataset.scalar("SHOW shared_buffers"))


def building_answers(objects: int, load_s: float, database: Database, memory_bytes: int) -> list[Answer]:
    """Say what the load took, and how the database compares with what may cache it."""
    sizes = f"{gigabytes(database.size)} : {gigabytes(memory_bytes)}"
    cache = f"shared_buffers has {database.shared_buffers} of it, and the system caches files in what is free"
    return [
        Answer(
            question=f"building {objects:,} objects: rows, primary key, vacuum",
            value=f"{load_s:,.0f} s, {objects / load_s:,.0f} rows/s",
        ),
        Answer(question="the database with its indexes : memory of this machine", value=f"{sizes}; {cache}"),
    ]


@dataclass(frozen=True)
class Vacuum:
    """A vacuum of job_objects with all indexes: seconds, dead rows before it, bytes of the table with its indexes."""

    duration_s: float
    dead_rows: int
    table_bytes: int


def vacuum_objects(dataset: Dataset) -> Vacuum:
    """Vacuum job_objects and each of its indexes, which a plain VACUUM leaves out while few pages have dead rows."""
    with dataset.cursor() as cursor:
        cursor.execute("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'job_objects'")
        dead_rows = cursor.fetchall()[0][0]
        duration_s = time_ms(lambda: cursor.execute("VACUUM (INDEX_CLEANUP ON) job_objects")) / 1000
        cursor.execute("SELECT pg_total_relation_size('job_objects')")
        return Vacuum(duration_s, dead_rows, cursor.fetchall()[0][0])


def vacuum_answer(vacuum: Vacuum) -> Answer:
    """Say what the vacuum took."""
    dead, size = f"{vacuum.dead_rows:,} dead rows", gigabytes(vacuum.table_bytes)
    return Answer(
        question="vacuum of `job_objects` with every index",
        value=f"{vacuum.duration_s:,.1f} s for {dead}; the table and its indexes take {size}",
    )


def answers(loaded: Mapping[str, int], deltas_after_load: int, deltas_after_vacuum: int) -> list[Answer]:
    """Return a row for each table, view and index."""
    values = {name: megabytes(size) for name, size in loaded.items()}
    values["job_progress_deltas"] = (
        f"{megabytes(deltas_after_load)} after the backlogs above, {megabytes(deltas_after_vacuum)} after a vacuum"
    )
    return [Answer(question=f"space of {_quoted(name)}", value=value) for name, value in values.items()]


def megabytes(size: int) -> str:
    """Return bytes as megabytes."""
    return f"{size / 1e6:,.2f} MB"


def gigabytes(size: float) -> str:
    """Return bytes as gigabytes."""
    return f"{size / 1e9:,.2f} GB"


def _quoted(name: str) -> str:
    first, _, rest = name.partition(" ")
    return f"`{first}`{rest and ' '}{rest}"
