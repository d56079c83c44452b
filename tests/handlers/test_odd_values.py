"""Values that PostgreSQL allows and the scanner does not write break no answer, least of all the page of other jobs."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from handlers import status
from handlers.connection import Database
from tests.support.command_line import dsn, scannerdb
from tests.support.invocations import Context

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

TIMES = {
    "infinity": "infinity",
    "-infinity": "-infinity",
    "0044-03-15 12:00+00 BC": "0044-03-15",
    "12000-01-01 00:00+00": "12000-01-01",
    # Of a year that Python has there, and not in UTC.
    "0001-01-01 00:00+14": "0001-12-31",
    "9999-12-31 23:59-12": "10000-01-01",
    "2026-11-01 12:00+05:30": "2026-11-01T06:30:00+00:00",
}


# Columns of an older deployment, whose times may be NULL.
NULLABLE = "ALTER TABLE jobs ALTER created_at DROP NOT NULL, ALTER updated_at DROP NOT NULL"


@pytest.fixture
def client(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Database:
    client = Database(database.variables("progress_reader"), query_timeout_s=5)
    monkeypatch.setattr(status, "database", client)
    return client


def get(route: str, job_id: str | None = None, **query: str) -> tuple[int, dict[str, Any]]:
    event = {
        "routeKey": route,
        "requestContext": {"requestId": "r-1"},
        "queryStringParameters": query,
        "pathParameters": {"job_id": job_id},
    }
    answer = status.handler(event, Context())
    return answer["statusCode"], json.loads(answer["body"])


@pytest.mark.parametrize("real_time", ["false", "true"])
@pytest.mark.parametrize(("written", "read"), TIMES.items())
def test_a_job_of_an_odd_time_is_answered_and_listed_among_the_others(
    client: Database, database: TestDatabase, written: str, read: str, real_time: str
) -> None:
    odd, *others = (database.add_job({"queued": 1}) for _ in range(3))
    database.query("UPDATE jobs SET created_at = %s, updated_at = %s WHERE job_id = %s", (written, written, odd))
    database.query("SELECT refresh_job_progress()")
    code, body = get("GET /jobs/{job_id}", odd, real_time=real_time)
    assert code == 200
    assert body["created_at"].startswith(read)
    listed: list[str] = []
    cursor: dict[str, str] = {}
    while cursor is not None:
        code, page = get("GET /jobs", state="active", limit="1", real_time=real_time, **cursor)
        assert code == 200
        listed += [job["job_id"] for job in page["jobs"]]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None  # type: ignore[assignment]
    assert sorted(listed) == sorted([odd, *others])
    assert get("GET /statistics", real_time=real_time)[0] == 200


@pytest.mark.parametrize("written", [*TIMES, None])
def test_the_command_line_shows_a_job_of_an_odd_time(
    database: TestDatabase, capsys: pytest.CaptureFixture[str], written: str | None
) -> None:
    odd = database.add_job({"queued": 1})
    database.query(NULLABLE)
    database.query("UPDATE jobs SET created_at = %s, updated_at = NULL", (written,))
    for options in ([], ["--real-time"], ["--json"]):
        scannerdb("status", odd, *options, "--dsn", dsn(database))
        assert odd in capsys.readouterr().out


def test_a_job_without_times_prefix_and_objects_is_answered(client: Database, database: TestDatabase) -> None:
    job_id = database.add_job({})
    database.query(NULLABLE)
    database.query("UPDATE jobs SET created_at = NULL, updated_at = NULL, prefix = NULL, execution_arn = ''")
    for real_time in ("false", "true"):
        code, body = get("GET /jobs/{job_id}", job_id, real_time=real_time)
        assert (code, body["created_at"], body["updated_at"], body["prefix"]) == (200, None, None, None)
        # An empty address names no execution, so nothing is to be waited for.
        assert (body["status"], body["progress_percent"]) == ("completed", 0)


@pytest.mark.parametrize("route", ["GET /jobs", "GET /statistics"])
def test_lists_and_statistics_are_live_while_job_progress_is_not_filled(
    client: Database, database: TestDatabase, route: str
) -> None:
    database.add_job({"queued": 1})
    database.query("REFRESH MATERIALIZED VIEW job_progress WITH NO DATA")
    code, body = get(route, state="active")
    assert (code, body["data_source"]) == (200, "real_time")


@pytest.mark.parametrize("time", ["99999-99-99 00:00:00+00", "0044-13-15 12:00:00+00 BC"])
def test_a_cursor_of_a_time_that_postgresql_does_not_know_is_a_bad_request(client: Database, time: str) -> None:
    cursor = urlsafe_b64encode(f"{time} {UUID(int=0)}".encode()).decode()
    code, body = get("GET /jobs", state="active", cursor=cursor)
    assert (code, body["error"]) == (400, "invalid_cursor")
