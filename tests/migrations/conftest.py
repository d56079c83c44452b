"""Fixtures of the tests of migrations: a database that an older deployment made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.old_deployment import (
    BUILT_ON_TOP,
    OLD_DEPLOYMENT,
    OLD_INDEXES,
    OLD_TABLES,
    ROWS,
    create_analyst,
    run_old_002,
)

if TYPE_CHECKING:
    from tests.support.database import TestDatabase


@pytest.fixture
def old(empty_database: TestDatabase) -> TestDatabase:
    """An old deployment with three jobs, one of them without objects; its job_progress was never filled."""
    create_analyst(empty_database)
    empty_database.query(OLD_DEPLOYMENT)
    empty_database.query(ROWS)
    return empty_database


@pytest.fixture
def filled_old(empty_database: TestDatabase) -> TestDatabase:
    """An old deployment of another version, with the same rows, whose job_progress and the views on it are filled."""
    create_analyst(empty_database)
    empty_database.query(OLD_TABLES + OLD_INDEXES)
    empty_database.query(ROWS)
    run_old_002(empty_database)
    empty_database.query(BUILT_ON_TOP)
    empty_database.query("REFRESH MATERIALIZED VIEW team_snapshot")
    return empty_database
