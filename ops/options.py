"""What the commands share: which database, in which form the answer, which release."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import psycopg2
from psycopg2.extras import RealDictCursor

from handlers.migrator.release import Release, read_release
from handlers.migrator.session import Connect
from stacks.package import build_release
from stacks.settings import environment_files

ROOT = Path(__file__).resolve().parent.parent
MIGRATIONS = ROOT / "migrations"
ENVIRONMENTS = ROOT / "environments"
CONNECT_TIMEOUT_S = 5

dsn_option = click.option(
    "--dsn",
    envvar="SCANNERDB_DSN",
    help="A libpq connection string or URL, of the owner of the tables. Also from SCANNERDB_DSN.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def environment_file(environment: str) -> Path:
    """Return the settings file of an environment.

    Raises:
        click.UsageError: there is none of this name.

    """
    known = environment_files(ENVIRONMENTS)
    if environment not in known:
        raise click.UsageError(f"environment {environment!r} is none of {', '.join(known)}")
    return known[environment]


def needed(dsn: str | None) -> str:
    """Return the connection string.

    Raises:
        click.UsageError: there is none.

    """
    if dsn is None:
        raise click.UsageError("name the database with --dsn or SCANNERDB_DSN")
    return dsn


def connect_to(dsn: str) -> Connect:
    """Return what opens a connection in autocommit mode; its `psycopg2.Error` says what is wrong."""

    def connect() -> "psycopg2.extensions.connection":
        connection: psycopg2.extensions.connection = psycopg2.connect(
            dsn, application_name="scannerdb", connect_timeout=CONNECT_TIMEOUT_S
        )
        connection.autocommit = True
        return connection

    return connect


def current_release() -> Release:
    """Return the release of the folder migrations/."""
    package = build_release(MIGRATIONS)
    return read_release(package.path.read_bytes(), expected_sha256=package.sha256)


class Session:
    """One connection that answers statements with rows, as `handlers.progress` asks for them."""

    def __init__(self, dsn: str) -> None:
        self._connection = connect_to(dsn)()

    def fetch_all(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement and return its rows."""
        with self._connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(query, parameters)
            return [dict(row) for row in cursor.fetchall()]
