"""The reads of the status API as `progress_reader` sends them, for tests of what a migration does to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from psycopg2.extras import RealDictCursor

from handlers.progress import reads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handlers.connection import Rows
    from tests.support.database import TestDatabase


Answer = dict[str, Any]


def _job(database: Rows, job_id: str, *, real_time: bool) -> tuple[int, Answer]:
    answer = reads.job_status(database, job_id, real_time=real_time)
    return answer["total"], answer


def _list(database: Rows, _job_id: str, *, real_time: bool) -> tuple[int, Answer]:
    answer = reads.list_jobs(database, state="active", limit=10, cursor=None, real_time=real_time)
    return sum(job["total"] for job in answer["jobs"]), answer


def _statistics(database: Rows, _job_id: str, *, real_time: bool) -> tuple[int, Answer]:
    answer = reads.statistics(database, real_time=real_time)
    return answer["total_objects_all_jobs"], answer


# Each returns how many objects it counted, and the answer.
READS = {"job": _job, "list": _list, "statistics": _statistics}


class Reader:
    """A connection as `progress_reader`. Use as a context manager."""

    def __init__(self, database: TestDatabase) -> None:
        self._connection = database.connect("progress_reader")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def fetch_all(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement in a transaction of its own and return its rows."""
        with self._connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(query, parameters)
            return [dict(row) for row in cursor.fetchall()]
