"""What older deployments made, for the tests that take it over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks import ROOT

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

OLD_DEPLOYMENT = (ROOT / "tests" / "migrations" / "old_deployment.sql").read_text()


def create_analyst(database: TestDatabase) -> None:
    """Create the role that others gave rights to."""
    create = "DO $$ BEGIN IF to_regrole('analyst') IS NULL THEN CREATE ROLE analyst NOLOGIN; END IF; END $$"
    database.query(create, user="postgres")
