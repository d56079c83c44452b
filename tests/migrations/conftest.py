"""Fixtures of the tests of migrations: a database that an older deployment made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.old_deployment import OLD_DEPLOYMENT, create_analyst

if TYPE_CHECKING:
    from tests.support.database import TestDatabase


@pytest.fixture
def old(empty_database: TestDatabase) -> TestDatabase:
    """An old deployment with three jobs, one of them without objects."""
    create_analyst(empty_database)
    empty_database.query(OLD_DEPLOYMENT)
    empty_database.query(
        "INSERT INTO jobs (bucket) VALUES ('one'), ('two'), ('empty');"
        "INSERT INTO job_objects (job_id, bucket, key, etag, status) "
        "SELECT job_id, bucket, n::text, 'e', CASE WHEN n % 4 = 0 THEN 'queued' ELSE 'succeeded' END "
        "FROM jobs, generate_series(1, 100) AS n WHERE bucket <> 'empty';"
        "INSERT INTO findings (job_id, bucket, key, etag, detector, masked_match, byte_offset) "
        "SELECT job_id, bucket, '1', 'e', 'card', 'x', n FROM jobs, generate_series(1, 3) AS n WHERE bucket = 'one'"
    )
    return empty_database
