"""Fixtures that every folder of tests shares: an embedded PostgreSQL, and fresh databases in it."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg2
import pytest

from handlers.migrator.release import read_release
from handlers.migrator.runner import run
from lab.embedded_postgres import ADMIN_USER, DEFAULT_VERSION, EmbeddedPostgres
from stacks.assets.package import build_release as package_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handlers.contract.release import Release

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
BUILD = MIGRATIONS.parent / "build" / "tests"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class TestDatabase:
    """One database of the embedded server."""

    __test__ = False

    server: EmbeddedPostgres
    name: str

    def connect(self, user: str = ADMIN_USER) -> psycopg2.extensions.connection:
        """Return a connection in autocommit mode; the caller closes it."""
        connection = psycopg2.connect(self.server.dsn(user=user, database=self.name))
        connection.autocommit = True
        return connection

    def query(self, sql: str, parameters: Any = None, *, user: str = ADMIN_USER) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own and return its rows."""
        connection = self.connect(user)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def add_job(self, statuses: dict[str, int], *, findings: int = 0) -> str:
        """Insert one job with so many objects of each status; return its id."""
        job_id = str(uuid4())
        self.query("INSERT INTO jobs (job_id, bucket) VALUES (%s, 'b')", (job_id,))
        for status, count in statuses.items():
            self.query(
                "INSERT INTO job_objects (job_id, bucket, key, etag, status) "
                "SELECT %s, 'b', %s || n, 'e', %s FROM generate_series(1, %s) AS n",
                (job_id, status, status, count),
            )
        self.query(
            "INSERT INTO findings (job_id, bucket, key, etag, detector, byte_offset) "
            "SELECT %s, 'b', %s, 'e', 'card', n FROM generate_series(1, %s) AS n",
            (job_id, job_id, findings),
        )
        return job_id

    def variables(self, user: str) -> dict[str, str]:
        """Return the variables that a handler reads, for this database."""
        return self.server.variables(user=user, database=self.name)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what must run in one process, in its order: a file, and the one deployment of all acceptance tests.

    First, because pytest-xdist reads the marks in the same hook.
    """
    for item in items:
        folder = item.path.parent
        item.add_marker(pytest.mark.xdist_group(folder.name if folder.name == "acceptance" else str(item.path)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One server for all tests, of the version that POSTGRES_VERSION names.

    It forgets on a crash of the machine, which no test makes.
    """
    directory = BUILD / f"postgres-{os.getpid()}"
    version = int(os.environ.get("POSTGRES_VERSION", DEFAULT_VERSION))
    with EmbeddedPostgres(directory, durable=False, version=version) as server:
        yield server
    shutil.rmtree(directory)


def _create_database(server: EmbeddedPostgres, name: str, *, template: str = "template1") -> TestDatabase:
    with server.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}" OWNER {ADMIN_USER} TEMPLATE "{template}"')
    return TestDatabase(server, name)


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> TestDatabase:
    """A database that holds nothing."""
    return _create_database(postgres, f"empty_{next(_numbers)}")


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> TestDatabase:
    """The database that `database` is copied from."""
    template = _create_database(postgres, "migrated_template")
    run(template.connect, build_release(MIGRATIONS))
    return template


@pytest.fixture
def database(postgres: EmbeddedPostgres, migrated_template: TestDatabase) -> TestDatabase:
    """A database that all migrations were applied to."""
    return _create_database(postgres, f"migrated_{next(_numbers)}", template=migrated_template.name)


def build_release(migrations: Path) -> Release:
    """Build a release of a folder as a deploy does, and read it as the runner does."""
    package = package_release(migrations, folder=BUILD / "releases")
    return read_release(package.path.read_bytes(), expected_sha256=package.sha256)


@pytest.fixture
def release_of(tmp_path: Path) -> Callable[..., Release]:
    """Return a function that makes a release of the SQL files given by name."""

    def make(files: dict[str, str]) -> Release:
        folder = tmp_path / f"migrations_{next(_numbers)}"
        folder.mkdir()
        for name, sql in files.items():
            (folder / name).write_text(sql)
        return build_release(folder)

    return make
