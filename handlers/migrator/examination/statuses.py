"""Which statuses occur beside the four that a job is counted by."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from handlers.migrator.examination.checks import Check
from handlers.queries import load_queries

STATUS_CHECK = Check(
    why="An object in another status than the four counts in the total and is not done: its job does not reach 100 %.",
    way_out="{way_out}",
    refuses=False,
)
_QUERIES = load_queries(Path(__file__).with_name("statuses.sql"))
_WAY_OUT = "Nothing, where that is meant; else UPDATE these objects to one of queued, processing, succeeded, failed."
_UNKNOWN = "not looked at: no index begins with it, and the table was never analyzed"
_KNOWN = {"queued", "processing", "succeeded", "failed"}
# Read within a tenth of a second.
_SMALL_BYTES = 64 * 1024**2
_NAMED = 10


def unknown_statuses(fetch: Callable[[str], list[dict[str, Any]]]) -> list[dict[str, str]]:
    """Return one row, with a subject, a value and a way out, where there are such statuses or this cannot be told.

    Exact where a CHECK constraint or an index tells, and in a small table; else as the last ANALYZE found.

    Args:
        fetch: runs a query and returns its rows.

    """
    columns = fetch(_QUERIES["column"])
    return [
        {
            "subject": "public.job_objects.status",
            "value": value,
            "way_out": "ANALYZE public.job_objects, and scannerdb plan again." if value == _UNKNOWN else _WAY_OUT,
        }
        for row in columns
        for value in _told(row, fetch)
    ]


def _told(column: dict[str, Any], fetch: Callable[[str], list[dict[str, Any]]]) -> Iterator[str]:
    allowed = column["allowed"] if column["plain"] else None
    since = ""
    if allowed and _KNOWN.issuperset(allowed) and not column["nullable"]:
        return
    if column["plain"] and column["indexed"]:
        statuses = [row["status"] for row in fetch(_QUERIES["by_index"])]
    elif column["bytes"] <= _SMALL_BYTES:
        statuses = [row["status"] for row in fetch(_QUERIES["by_reading"])]
    elif column["common"] is not None or column["has_nulls"]:
        statuses = [*(column["common"] or []), *([None] if column["has_nulls"] else [])]
        since = ", as the last ANALYZE found; others may occur rarely"
    else:
        yield _UNKNOWN
        return
    others = sorted(f"'{status}'" if status is not None else "NULL" for status in statuses if status not in _KNOWN)
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        yield f"{', '.join(others[:_NAMED])}{more} occur{'s' if len(others) == 1 else ''}{since}"
