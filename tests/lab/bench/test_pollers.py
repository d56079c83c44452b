"""Pollers run the function's own code, writers keep their rate, and each is compared with `SELECT 1`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from handlers.progress.routes import PARAMETERS
from lab.bench import floors, pollers
from lab.bench.dataset import LOAD_JOB, LOAD_OBJECTS, _parameters, plan_jobs
from lab.bench.paced_writers import PacedWriter
from lab.bench.poller_client import Poller, Way, event
from lab.bench.pollers import ALONE, POLLED, Polled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.database import TestDatabase

ROUND_S = pollers.ROUND_S + pollers.WARM_UP_S


@pytest.fixture
def polled_database(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> TestDatabase:
    """Two jobs with objects, refreshed; the variables that a poller sets are taken back."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    connection = database.connect()
    with connection.cursor() as cursor:
        for job in plan_jobs(40, 1):
            cursor.execute(LOAD_JOB, _parameters(job))
            cursor.execute(LOAD_OBJECTS, _parameters(job) | {"first": 0, "last": job.objects - 1})
        cursor.execute("SELECT refresh_job_progress()")
        cursor.execute(floors.CREATE_FUNCTIONS)
    connection.close()
    return database


def poller(database: TestDatabase) -> Poller:
    variables = database.server.variables(user="progress_reader", database=database.name)
    return Poller(variables, [job.job_id for job in plan_jobs(40, 1)], 0)


@pytest.mark.parametrize("way", ["SELECT 1", "lookup", "code", "query", "cached", "real-time", "list", "statistics"])
def test_every_way_gets_answers_from_where_it_asks_for_them(
    polled_database: TestDatabase, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.bench.poller_client.WARM_UP_S", 0)
    asking = poller(polled_database)
    asking._status.database = type(asking._status.database)(os.environ, query_timeout_s=5)
    assert asking.poll(way, 0.05)


def test_an_answer_from_another_source_is_an_error(polled_database: TestDatabase) -> None:
    polled_database.query("UPDATE jobs SET created_at = now()")
    polled_database.query("SELECT refresh_job_progress()")
    asking = poller(polled_database)
    asking._status.database = type(asking._status.database)(os.environ, query_timeout_s=5)
    with pytest.raises(RuntimeError, match="real_time"):
        asking.poll("cached", 0.05)


def test_every_route_of_the_function_is_polled() -> None:
    for route in PARAMETERS:
        assert event(route, job_id="1")["routeKey"] == route
    assert event("GET /jobs/{job_id}", job_id="1", real_time="true")["rawPath"] == "/jobs/1"


def test_a_writer_keeps_its_rate_and_updates_objects_that_exist(polled_database: TestDatabase) -> None:
    dsn = polled_database.server.dsn(user="scanner_app", database=polled_database.name)
    writer = PacedWriter(dsn, plan_jobs(40, 1), 0)
    assert len(writer.write(0.5, 40)) == 20
    updated = polled_database.query("SELECT count(*) FROM job_objects WHERE updated_at > now() - INTERVAL '1 minute'")
    assert updated[0][0] > 10
    writer._cursor.connection.close()


def test_a_writer_that_is_slow_is_behind_its_rate() -> None:
    polled = Polled()
    whole = [1.0] * round(ROUND_S * pollers.UPDATES_PER_S / pollers.WRITERS)
    polled.add([[2.0] * 100, [4.0] * 100], [whole] * 7 + [whole[: len(whole) // 2]])
    assert polled.kept == [pytest.approx(0.5, abs=0.01)]
    assert polled.answers_per_s == [pytest.approx(750)]
    assert polled.percentiles(99) == [4.0]


def samples(rate_ms: float, update_ms: float) -> Polled:
    polled = Polled()
    each = [update_ms] * round(ROUND_S * pollers.UPDATES_PER_S / pollers.WRITERS)
    for _ in range(2):
        polled.add([[rate_ms] * 10], [each] * pollers.WRITERS)
    return polled


def test_answers_are_compared_with_select_1_and_writers_with_those_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled = {ALONE: samples(1, 1), **{way: samples(1, 1) for way in POLLED}, "cached": samples(2, 1.5)}
    sums = {"list": samples(60, 1), "list alone": samples(40, 1)}
    found = {answer.question: answer for answer in pollers.answers(polled, sums)}
    rate = found["answers, cached, per second : `SELECT 1`"]
    assert (rate.value, rate.held) == ("500 : 1,000", False)
    assert found["of its rate, the slowest of 8 writers kept beside cached answers"].held is True
    update = found["one update beside cached answers : beside `SELECT 1`, p50"]
    assert (update.value, update.held) == ("1.50 ms : 1.00 ms; 1.00 ms beside no poll", False)
    assert found["list in real time, beside 2,000 updates/s of all jobs"].held is False
    assert found["list in real time, without changes since a refresh"].held is True

    monkeypatch.setattr(pollers, "RESULTS", tmp_path)
    pollers.write(list(found.values()), {"cores": 2, "version": "17", "samples": 2, "sums": sums["list"].summary()})
    page = (tmp_path / "pollers.md").read_text()
    assert "What RDS Proxy and Lambda add cannot be measured here" in page
    assert "2 of 5 goals were held." in page
    assert json.loads((tmp_path / "pollers.json").read_text())["sums"]["p99_ms"] == [60, 60]
