"""Each supported version of PostgreSQL lives through the whole of it; every other version is refused before anything.

All other tests run on one version; `make test-versions` runs them on each.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from handlers import refresh, status
from handlers.connection import Database
from handlers.contract import postgres_versions
from handlers.diagnosis import CHECKS
from handlers.errors import NoRollbackError, UnsupportedVersionError
from handlers.migrator.runner import rollback, run
from handlers.migrator.steps import migration_plan
from lab.embedded_postgres import ADMIN_USER, DEFAULT_VERSION, EmbeddedPostgres
from scannerdb.partition import run as partitioning
from stacks import ROOT
from tests.support.database import BUILD, MIGRATIONS, TestDatabase, build_release
from tests.support.diagnosis import diagnose
from tests.support.invocations import Context
from tests.support.partitioning import LIMITS, differences, partition, revert, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handlers.contract.release import Release

pytestmark = pytest.mark.slow

# One server each; the default version is what all other tests run on.
OTHERS = [version for version in postgres_versions.SUPPORTED if version != DEFAULT_VERSION]
# Whatever the owner has made; extensions and what comes with a database are not his.
MADE = """
SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'
  AND oid NOT IN (SELECT objid FROM pg_depend WHERE deptype = 'e')
UNION ALL
SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  AND oid NOT IN (SELECT objid FROM pg_depend WHERE deptype = 'e')
ORDER BY 1
"""


@pytest.fixture(scope="module", params=OTHERS)
def fresh_database(request: pytest.FixtureRequest) -> Iterator[TestDatabase]:
    """The empty database of a server of another version than the default."""
    directory = BUILD / f"postgres-{request.param}-{os.getpid()}"
    with EmbeddedPostgres(directory, durable=False, version=request.param) as server:
        yield TestDatabase(server, "scanner_db")
        server.discard()


def test_it_migrates_counts_answers_and_goes_back_to_nothing(
    fresh_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, release = fresh_database, build_release(MIGRATIONS)
    monkeypatch.setattr(status, "database", Database(database.variables("progress_reader"), query_timeout_s=3))
    monkeypatch.setattr(refresh, "database", Database(database.variables("progress_refresher"), query_timeout_s=30))
    monkeypatch.setattr(refresh.metrics.provider, "namespace", "ScannerDatabase")

    assert {step.file for step in migration_plan(release, database.connect).steps} == {
        item.file for item in release.migrations
    }
    assert len(run(database.connect, release).applied) == len(release.migrations)
    assert migration_plan(release, database.connect).steps == ()

    job_id = database.add_job({"queued": 2, "succeeded": 6}, findings=3)
    database.query("UPDATE job_objects SET status = 'failed' WHERE status = 'queued'", user="scanner_app")
    database.add_job({"processing": 1})
    assert _ask("GET /jobs/{job_id}", job_id, real_time="true")["failed"] == 2
    assert refresh.handler({}, Context())["objects"] == 9
    assert _ask("GET /statistics")["total_findings_all_jobs"] == 3
    assert len(_ask("GET /jobs", state="active")["jobs"]) == 1

    assert refresh.handler({"action": "verify"}, Context())["drifted_jobs"] == 0
    _without_triggers(database, "DELETE FROM job_objects WHERE status = 'failed'")
    assert refresh.handler({"action": "verify"}, Context())["drifted_jobs"] == 1
    assert refresh.handler({"action": "rebuild"}, Context())["mended_jobs"] == 1
    assert _ask("GET /jobs/{job_id}", job_id, real_time="true")["total"] == 6

    partition(database)
    assert differences(database) == []
    revert(database)
    refresh.handler({}, Context())
    findings = diagnose(database, *CHECKS)
    assert [finding for finding in findings if finding.state not in {"ok", "look"}] == []

    database.query("DELETE FROM findings; DELETE FROM jobs")
    for _ in release.migrations:
        rollback(database.connect, release)
    with pytest.raises(NoRollbackError):
        rollback(database.connect, release)
    assert database.query(MADE) == [("schema_migrations",)]


def _ask(route: str, job_id: str | None = None, **query: str) -> dict[str, Any]:
    """Return the body of an answer of the status API."""
    event = {
        "routeKey": route,
        "requestContext": {"requestId": "r-1"},
        "pathParameters": {"job_id": job_id} if job_id else {},
        "queryStringParameters": query,
    }
    answer = status.handler(event, Context())
    assert answer["statusCode"] == 200, answer["body"]
    body: dict[str, Any] = json.loads(answer["body"])
    return body


def _without_triggers(database: TestDatabase, sql: str) -> None:
    database.query(f"ALTER TABLE job_objects DISABLE TRIGGER USER; {sql}; ALTER TABLE job_objects ENABLE TRIGGER USER")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("README.md", "PostgreSQL {first} to {last}"),
        ("docs/adopt.md", "PostgreSQL {listed} or {last}"),
    ],
)
def test_the_pages_name_the_versions_that_are_supported(page: str, said: str) -> None:
    *others, last = postgres_versions.SUPPORTED
    wanted = said.format(first=others[0], last=last, listed=", ".join(map(str, others)))
    assert wanted in (ROOT / page).read_text()


class Untouchable(psycopg2.extensions.connection):
    """A connection to a server that says it is of another version, and on which nothing may be run."""

    def cursor(self, *_: object, **__: object) -> Any:
        raise AssertionError("a statement was run")


def _connect_to(database: TestDatabase, server_version: int) -> Callable[[], psycopg2.extensions.connection]:
    factory = type("Untouchable", (Untouchable,), {"server_version": server_version})
    dsn = database.server.dsn(user=ADMIN_USER, database=database.name)
    return lambda: psycopg2.connect(dsn, connection_factory=factory)


ACTIONS: dict[str, Callable[[Callable[[], psycopg2.extensions.connection], Release], object]] = {
    "plan": lambda connect, release: migration_plan(release, connect),
    "migrate": run,
    "rollback": rollback,
    "partition": lambda connect, _: partitioning.partition(
        connect, partitioning.Options(), limits=LIMITS, report=silent
    ),
    "partition --revert": lambda connect, _: partitioning.revert(connect, limits=LIMITS, report=silent),
    "partition --finish": lambda connect, _: partitioning.finish(connect, limits=LIMITS, report=silent),
    "partition --status": lambda connect, _: partitioning.status(connect),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("server_version", "message"),
    [
        (140023, "PostgreSQL 14 is not supported, 15 to 18 are: upgrade the server first"),
        (190000, "PostgreSQL 19 is not supported, 15 to 18 are: use a newer release of this project"),
    ],
)
def test_another_version_is_refused_before_the_first_statement(
    empty_database: TestDatabase, action: str, server_version: int, message: str
) -> None:
    with pytest.raises(UnsupportedVersionError, match=f"^{message}$"):
        ACTIONS[action](_connect_to(empty_database, server_version), build_release(MIGRATIONS))
