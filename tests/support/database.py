"""One database of the embedded server, and the release that migrates it."""

from __future__ import annotations

import itertools
import os
import re
import select
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from handlers.migrator.release import read_release
from lab.embedded_postgres import ADMIN_USER, EmbeddedPostgres
from stacks import ROOT
from stacks.assets.package import build_release as package_release
from tests.support.processes import is_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handlers.contract.release import Release

MIGRATIONS = ROOT / "migrations"
BUILD = ROOT / "build" / "tests"
# A file system in memory: to make the 300 files of a database takes a tenth of the time that it takes on a disk.
MEMORY = Path("/dev/shm")
ENOUGH_MEMORY = 4 * 1024**3
# What only sessions know that begin later.
CHANGES_SESSIONS = re.compile(r"\bALTER\s+(DATABASE|ROLE|USER)\b", re.IGNORECASE)


@dataclass(frozen=True)
class TestDatabase:
    """One database of the embedded server."""

    __test__ = False

    server: EmbeddedPostgres
    name: str
    # Of the users whose settings and rights no migration changes: the others' sessions must be new.
    _idle: dict[str, list[psycopg2.extensions.connection]] = field(
        default_factory=lambda: {ADMIN_USER: [], "postgres": []}, compare=False, repr=False
    )

    def connect(self, user: str = ADMIN_USER) -> psycopg2.extensions.connection:
        """Return a connection in autocommit mode; the caller closes it."""
        connection = psycopg2.connect(self.server.dsn(user=user, database=self.name))
        connection.autocommit = True
        return connection

    def query(self, sql: str, parameters: Any = None, *, user: str = ADMIN_USER) -> list[tuple[Any, ...]]:
        """Run one statement in a session that knows nothing of earlier ones; return its rows."""
        connection = self._session(user)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            self._give_back(connection, user)
            if CHANGES_SESSIONS.search(sql):
                self.close()

    def close(self) -> None:
        """End the sessions that are kept."""
        for sessions in self._idle.values():
            while sessions:
                sessions.pop().close()

    def _session(self, user: str) -> psycopg2.extensions.connection:
        """Return a kept session, or a new one, which costs more than most statements."""
        sessions = self._idle.get(user, [])
        while sessions:
            connection = sessions.pop()
            # Between two statements, a server has only its end to tell.
            if not select.select([connection], [], [], 0)[0]:
                return connection
            connection.close()
        return self.connect(user)

    def _give_back(self, connection: psycopg2.extensions.connection, user: str) -> None:
        """End a session, or keep it after all that its end does."""
        if user not in self._idle or connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
            connection.close()
            return
        with connection.cursor() as cursor:
            cursor.execute("DISCARD ALL")
            cursor.execute("SELECT pg_stat_force_next_flush()")
        self._idle[user].append(connection)

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


def ask(server: EmbeddedPostgres, sql: str) -> list[tuple[Any, ...]]:
    """Run one statement in a server's own database, as its owner; return its rows."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def build_release(migrations: Path) -> Release:
    """Build a release of a folder as a deploy does, and read it as the runner does."""
    package = package_release(migrations, folder=BUILD / "releases")
    return read_release(package.path.read_bytes(), expected_sha256=package.sha256)


def server_folder() -> Path:
    """Return the folder for the server of this process: in memory where there is enough, else below `build`."""
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_MEMORY
    folder, prefix = (MEMORY, f"scanner-database-{os.getuid()}-") if roomy else (BUILD, "postgres-")
    # A killed run leaves its server, which would keep the memory.
    for left in folder.glob(f"{prefix}*"):
        if not is_running(int(left.name.removeprefix(prefix))):
            EmbeddedPostgres(left).discard()
    return folder / f"{prefix}{os.getpid()}"


class Databases:
    """Creates databases on a server, which the end of the server deletes at the latest."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._maintenance = TestDatabase(server, "postgres")
        self._numbers = itertools.count(1)
        self._left: list[str] = []

    @contextmanager
    def created(self, kind: str, *, template: str = "template1") -> Iterator[TestDatabase]:
        """Create a database with a name of this kind, a copy of the template."""
        # Not at the end of its block: PostgreSQL would sleep until the last session has ended.
        while self._left:
            self._run(f"DROP DATABASE {self._left.pop()} WITH (FORCE)")
        database = TestDatabase(self._maintenance.server, f"{kind}_{next(self._numbers)}")
        # Copied file by file; by default each page would be written to the log first.
        self._run(f"CREATE DATABASE {database.name} OWNER {ADMIN_USER} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield database
        finally:
            database.close()
            self._left.append(database.name)

    def _run(self, statement: str) -> None:
        self._maintenance.query(statement, user="postgres")
