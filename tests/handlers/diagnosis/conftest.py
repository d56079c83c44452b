"""Fixtures of the tests of the diagnosis: a database to look at, and sessions that end with the test."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg2
import pytest

from tests.support.diagnosis import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.database import TestDatabase


@pytest.fixture
def well(database: TestDatabase) -> TestDatabase:
    """A database with two jobs, refreshed a moment ago."""
    # As RDS lets the master user; here only a superuser may.
    database.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", user="postgres")
    database.add_job({"queued": 1, "succeeded": 3}, findings=2)
    database.add_job({"succeeded": 2})
    database.query("SELECT refresh_job_progress()")
    return database


@pytest.fixture
def sessions(database: TestDatabase) -> Iterator[Callable[..., Session]]:
    """Make sessions that end with the test."""
    made: list[Session] = []

    def make(user: str = "scanner_app") -> Session:
        made.append(Session(database, user))
        return made[-1]

    yield make
    for session in made:
        with contextlib.suppress(psycopg2.Error):
            database.query("SELECT pg_terminate_backend(%s)", (session.pid,), user="postgres")
        session.connection.close()
