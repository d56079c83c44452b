"""Connections of a run: to the server itself, of a supported version, with the settings that a run depends on."""

from collections.abc import Callable
from typing import Any

import psycopg2

from handlers.contract import postgres_versions
from handlers.errors import DatabaseUnavailableError, PoolerError, SessionSettingError, UnsupportedVersionError
from handlers.migrator.advice import connecting_step
from handlers.migrator.ledger import QUERIES

# Undoes what statements of a migration set for the session, and sets again what a run depends on.
RESET = f"{QUERIES['reset_session']};\n{QUERIES['prepare_session']}"


def connect_to_supported(connect: Callable[[], "psycopg2.extensions.connection"]) -> "psycopg2.extensions.connection":
    """Open a connection to the server itself, of a supported version, and give it the settings of a run.

    Raises:
        DatabaseUnavailableError: no connection.
        UnsupportedVersionError: the version is none of `postgres_versions.SUPPORTED`; nothing was run.
        PoolerError: the connection leads to a pooler; nothing was set.
        SessionSettingError: a default of the database or of the role cannot be changed.

    """
    try:
        connection = connect()
    except psycopg2.OperationalError as error:
        raise DatabaseUnavailableError(f"{str(error).strip()}\n{connecting_step(error)}".strip()) from error
    try:
        _refuse_other_versions(connection)
        refuse_pooler(connection)
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: Any) -> None:
    """Set what a run depends on.

    Raises:
        SessionSettingError: a default of the database or of the role cannot be changed.

    """
    connection.set_client_encoding("UTF8")
    try:
        connection.cursor().execute(QUERIES["prepare_session"])
    except psycopg2.errors.InsufficientPrivilege as error:
        user, database = connection.info.user, connection.info.dbname
        raise SessionSettingError(
            f"a run needs another default and {user} may not set it: {error.diag.message_primary}. An administrator "
            f'can run ALTER ROLE "{user}" RESET ... or ALTER DATABASE "{database}" RESET ...'
        ) from error


def refuse_pooler(connection: Any) -> None:
    """Refuse a connection whose statements a pooler passes on to a server process of its choice.

    What a session sets, and a lock that it takes, would stay on that process, for the next client. PgBouncer makes up
    the process id of its clients, also in session mode; RDS Proxy sends none. The server itself sends the one that
    `pg_backend_pid()` returns. Asking leaves nothing behind.

    Args:
        connection: in autocommit mode.

    Raises:
        PoolerError: the connection leads to a pooler; it stays open.
        psycopg2.Error: the server did not answer.

    """
    announced = connection.info.backend_pid
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (answering,) = cursor.fetchone()
    if answering != announced:
        raise PoolerError(
            f"{connection.info.host}:{connection.info.port} is a pooler such as PgBouncer or RDS Proxy: it announced "
            f"{f'server process {announced}' if announced else 'no server process'}, and process {answering} answers. "
            "Settings and locks of this session would stay there for other clients; connect to the database itself"
        )


def _refuse_other_versions(connection: Any) -> None:
    if (reason := postgres_versions.unsupported(connection.server_version)) is not None:
        raise UnsupportedVersionError(reason)
