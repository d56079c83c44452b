"""One database of the embedded server, and the release that migrates it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg2

from handlers.migrator.release import read_release
from lab.embedded_postgres import ADMIN_USER, EmbeddedPostgres
from stacks import ROOT
from stacks.assets.package import build_release as package_release

if TYPE_CHECKING:
    from pathlib import Path

    from handlers.contract.release import Release

MIGRATIONS = ROOT / "migrations"
BUILD = ROOT / "build" / "tests"


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

    def server_pid(self) -> int:
        """Return the process that accepts connections."""
        return int((self.server.data / "postmaster.pid").read_text().splitlines()[0])

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


def build_release(migrations: Path) -> Release:
    """Build a release of a folder as a deploy does, and read it as the runner does."""
    package = package_release(migrations, folder=BUILD / "releases")
    return read_release(package.path.read_bytes(), expected_sha256=package.sha256)
