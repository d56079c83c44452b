"""The rows that the bench loads inside the server are those that its clients look for."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from lab.bench.changes import update_one_by_one
from lab.bench.dataset import LOAD_FINDINGS, LOAD_JOB, LOAD_OBJECTS, _chunks, _parameters, base_size, plan_jobs
from lab.bench.progress import parameters_for, sizes_up_to
from lab.bench.writer_client import Client

if TYPE_CHECKING:
    from tests.support.database import TestDatabase


def test_one_job_holds_half_of_the_objects_and_a_hundred_share_the_rest() -> None:
    hot, *others = plan_jobs(10_051)
    assert hot.objects == 5025
    assert [job.objects for job in others] == [51] * 26 + [50] * 74
    assert len({job.job_id for job in (hot, *others)}) == 101


def test_a_thousand_jobs_share_the_rest_when_a_run_says_so() -> None:
    hot, *others = plan_jobs(10_051, 1000)
    assert hot.objects == 5025
    assert [job.objects for job in others] == [6] * 26 + [5] * 974


def test_the_statements_of_the_load_cover_each_object_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.bench.dataset.ROWS_PER_STATEMENT", 300)
    jobs = plan_jobs(1500, 2)
    loaded = [
        (chunk["job_id"], number) for chunk in _chunks(jobs) for number in range(chunk["first"], chunk["last"] + 1)
    ]
    assert loaded == [(job.job_id, number) for job in jobs for number in range(job.objects)]


@pytest.mark.parametrize(
    ("objects", "sizes"),
    [
        (100_000_000, [100_000, 1_000_000, 10_000_000, 100_000_000]),
        (10_000_000, [100_000, 1_000_000, 10_000_000]),
        (200_000, [100_000, 200_000]),
        (1_000_000, [100_000, 1_000_000]),
    ],
)
def test_sizes_grow_tenfold_up_to_the_one_asked_for(objects: int, sizes: list[int]) -> None:
    assert sizes_up_to(objects) == sizes


@pytest.mark.parametrize(("objects", "base"), [(100_000_000, 1_000_000), (10_000_000, 1_000_000), (1_000_000, 100_000)])
def test_the_largest_size_is_compared_with_a_million_objects(objects: int, base: int) -> None:
    assert base_size(sizes_up_to(objects)) == base


def test_rows_that_need_more_than_the_memory_get_a_larger_cache_and_less_wal() -> None:
    small, large = parameters_for(10_000_000), parameters_for(100_000_000)
    assert (small["shared_buffers"], large["shared_buffers"]) == ("1GB", "4GB")
    assert (small["max_wal_size"], large["max_wal_size"]) == ("8GB", "2GB")


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
            for first in (0, 100):
                cursor.execute(LOAD_FINDINGS, _parameters(job) | {"first": first, "last": first + 99})
            cursor.execute("SELECT key FROM findings ORDER BY key")
            # Of the first 124 objects, which are done.
            assert [(key,) for (key,) in cursor.fetchall()] == [(job.primary_key(n)[2],) for n in (0, 50, 100)]
            update_one_by_one(cursor, [job], updates=210, first=195)
            cursor.execute("SELECT count(*) FROM job_objects WHERE updated_at > now() - INTERVAL '1 hour'")
            assert cursor.fetchall() == [(200,)]
    finally:
        connection.close()
