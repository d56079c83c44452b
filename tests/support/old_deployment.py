"""What older deployments made, for the tests that take it over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pglast import parser
from psycopg2 import errors

from lab.embedded_postgres import ADMIN_USER
from stacks import ROOT

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

FOLDER = ROOT / "tests" / "migrations"
OLD_DEPLOYMENT = (FOLDER / "old_deployment.sql").read_text()
OLD_002 = (FOLDER / "old_002.sql").read_text()
# The parts of the first: its tables, its composite indexes, and what other people built on its views.
OLD_TABLES, _, _rest = OLD_DEPLOYMENT.partition("-- The composite indexes.\n")
OLD_INDEXES, _, _rest = _rest.partition("-- The log.\n")
BUILT_ON_TOP = _rest.partition("-- What other teams built on top. No file records it.\n")[2]
ROWS = """
INSERT INTO jobs (bucket) VALUES ('one'), ('two'), ('empty');
INSERT INTO job_objects (job_id, bucket, key, etag, status)
SELECT job_id, bucket, n::text, 'e', CASE WHEN n % 4 = 0 THEN 'queued' ELSE 'succeeded' END
FROM jobs, generate_series(1, 100) AS n WHERE bucket <> 'empty';
INSERT INTO findings (job_id, bucket, key, etag, detector, masked_match, byte_offset)
SELECT job_id, bucket, '1', 'e', 'card', 'x', n FROM jobs, generate_series(1, 3) AS n WHERE bucket = 'one';
"""


def create_analyst(database: TestDatabase) -> None:
    """Create the role that others gave rights to."""
    create_role(database, "analyst", "NOLOGIN")


def create_role(database: TestDatabase, name: str, options: str = "LOGIN") -> None:
    """Create a role of the server, which all tests share."""
    create = f"DO $$ BEGIN IF to_regrole('{name}') IS NULL THEN CREATE ROLE {name} {options}; END IF; END $$"
    database.query(create, user="postgres")


def run_old_002(database: TestDatabase, *, user: str = ADMIN_USER) -> None:
    """Run the second script of an older deployment as psql does, which goes on after a statement that fails."""
    for statement in parser.split(OLD_002):
        try:
            database.query(statement, user=user)
        except errors.InvalidFunctionDefinition as error:
            if "cannot change return type" not in str(error):
                raise
