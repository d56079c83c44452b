"""The rows that the bench loads inside the server are those that its clients look for."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from lab.bench.changes import update_one_by_one
from lab.bench.dataset import LOAD_JOB, LOAD_OBJECTS, _parameters, plan_jobs
from lab.bench.progress import sizes_up_to
from lab.bench.writer_client import Client

if TYPE_CHECKING:
    from tests.support.database import TestDatabase


def test_one_job_holds_half_of_the_objects_and_a_hundred_share_the_rest() -> None:
    hot, *others = plan_jobs(10_051)
    assert hot.objects == 5025
    assert [job.objects for job in others] == [51] * 26 + [50] * 74
    assert len({job.job_id for job in (hot, *others)}) == 101


@pytest.mark.parametrize(
    ("objects", "sizes"),
    [(10_000_000, [100_000, 1_000_000, 10_000_000]), (200_000, [100_000, 200_000]), (1_000_000, [100_000, 1_000_000])],
)
def test_sizes_grow_tenfold_up_to_the_one_asked_for(objects: int, sizes: list[int]) -> None:
    assert sizes_up_to(objects) == sizes


def test_each_client_walks_through_its_own_part_of_a_job_and_begins_again() -> None:
    (job,) = plan_jobs(16)[:1]
    keys = [key for _, _, key, _ in itertools.islice(Client._objects([job], 7), 3)]
    assert [key[-17:-8] for key in keys] == ["000000007", "000000000", "000000001"]


def test_objects_are_found_by_the_key_that_follows_from_their_number(database: TestDatabase) -> None:
    job = plan_jobs(400)[0]  # 200 objects
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(LOAD_JOB, _parameters(job))
            cursor.execute(LOAD_OBJECTS, _parameters(job) | {"first": 0, "last": job.objects - 1})
            cursor.execute("SELECT job_id::text, bucket, key, etag FROM job_objects ORDER BY key")
            assert cursor.fetchall() == [job.primary_key(number) for number in range(200)]
            cursor.execute("SELECT DISTINCT status FROM job_objects ORDER BY status")
            assert [status for (status,) in cursor.fetchall()] == ["failed", "processing", "queued", "succeeded"]
            update_one_by_one(cursor, [job], updates=210, first=195)
            cursor.execute("SELECT count(*) FROM job_objects WHERE updated_at > now() - INTERVAL '1 hour'")
            assert cursor.fetchall() == [(200,)]
    finally:
        connection.close()
