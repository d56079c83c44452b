"""Connections to PostgreSQL: verified TLS, an IAM token instead of a password, reopened once when lost."""

import os
import re
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE
from psycopg2.extras import RealDictCursor

from handlers.contract.timeouts import CONNECT_S
from handlers.contract.variables import (
    POWERTOOLS_SERVICE_NAME,
    RDS_CA_BUNDLE,
    RDS_DBNAME,
    RDS_PASSWORD,
    RDS_PORT,
    RDS_PROXY_ENDPOINT,
    RDS_USERNAME,
)
from handlers.errors import DatabaseUnavailableError
from handlers.waiting import in_thread

# The certificate authorities of RDS and of RDS Proxy; the package carries them.
CERTIFICATES = Path(__file__).with_name("certificates.pem")
# The least that libpq accepts.
CONNECT_TIMEOUT_S = 2
# Of SQLSTATE: https://www.postgresql.org/docs/17/errcodes-appendix.html
CONNECTION_EXCEPTION = "08"
# The server shuts down or starts, or it became a standby: a new connection may find another one.
_ANOTHER_SERVER = ("57P", "25006")
# What `iam_token` imports.
_SIGNING = ("botocore.auth", "botocore.awsrequest", "botocore.credentials")
# How often the wait for an address looks at the clock.
_TICK_S = 0.05
# A peer that stopped answering is given up after this; without it the kernel tries for a quarter of an hour.
TCP_USER_TIMEOUT_MS = 3000


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a database is and who connects to it."""

    host: str
    port: int
    database: str
    user: str

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] = os.environ, *, server: str = RDS_PROXY_ENDPOINT
    ) -> "Endpoint":
        """Read the variables of handlers/contract/variables.py.

        Args:
            environ: the variables.
            server: the one that names the server: RDS Proxy, or `RDS_ENDPOINT` for the database itself.

        Raises:
            KeyError: one of them, other than the port, is not set.
            ValueError: the port is not written with the digits 0 to 9 alone, which int() would not ask for.

        """
        host, _, port = environ[server].partition(":")
        port = port or environ.get(RDS_PORT, "5432")
        if not re.fullmatch("[0-9]+", port):
            raise ValueError(f"{port!r} is not a port")
        return cls(
            host=host,
            port=int(port),
            database=environ[RDS_DBNAME],
            user=environ[RDS_USERNAME],
        )


def password_for(endpoint: Endpoint, environ: Mapping[str, str] = os.environ) -> str:
    """Return an IAM token in Lambda, and `RDS_PASSWORD` outside.

    Raises:
        KeyError: a variable that it takes is not set.

    """
    return iam_token(endpoint, environ) if "AWS_LAMBDA_FUNCTION_NAME" in environ else environ[RDS_PASSWORD]


def iam_token(endpoint: Endpoint, environ: Mapping[str, str] = os.environ) -> str:
    """Sign an IAM authentication token for `endpoint.user`, valid for 15 minutes.

    A token is a presigned URL of the service `rds-db` without its scheme; source: "Connecting to your DB instance
    using IAM authentication" in the Amazon RDS user guide. Signing it needs no call to AWS and no `rds` client,
    which alone would take 100 ms of a cold start to import.
    """
    from botocore.auth import SigV4QueryAuth  # noqa: PLC0415 - a third of a second, needed on a new connection only
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    credentials = Credentials(
        environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], environ.get("AWS_SESSION_TOKEN")
    )
    request = AWSRequest(
        method="GET",
        url=f"https://{endpoint.host}:{endpoint.port}/",
        params={"Action": "connect", "DBUser": endpoint.user},
    )
    SigV4QueryAuth(credentials, "rds-db", environ["AWS_REGION"], expires=900).add_auth(request)
    return str(request.url).removeprefix("https://")


def connection_arguments(
    endpoint: Endpoint, *, password: str, application_name: str, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return the arguments of `psycopg2.connect`; `RDS_CA_BUNDLE` names other authorities than those of AWS.

    Nothing is `SET` after connecting and no startup option is sent: RDS Proxy pins a session that sets and refuses
    `options`. Timeouts are properties of the roles (migrations/roles.sql).
    """
    return {
        "host": endpoint.host,
        "port": endpoint.port,
        "dbname": endpoint.database,
        "user": endpoint.user,
        "password": password,
        "application_name": application_name,
        "sslmode": "verify-full",
        "sslrootcert": environ.get(RDS_CA_BUNDLE, str(CERTIFICATES)),
        "connect_timeout": CONNECT_TIMEOUT_S,
        "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
    }


def connect(endpoint: Endpoint, *, password: str, application_name: str) -> "psycopg2.extensions.connection":
    """Open a connection in autocommit mode, for work that may take long.

    Raises:
        DatabaseUnavailableError: no connection within the timeout; libpq's message is kept.

    """
    arguments = connection_arguments(endpoint, password=password, application_name=application_name)
    try:
        connection: psycopg2.extensions.connection = psycopg2.connect(**arguments)
    except psycopg2.OperationalError as error:
        raise _unreachable(endpoint, error) from error
    connection.autocommit = True
    return connection


class Rows(Protocol):
    """Runs statements and returns their rows: a `Database`, or the command line's own connection."""

    def fetch_all(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement and return its rows."""


class Database:
    """One connection through RDS Proxy that outlives invocations, opened on first use and reopened once when lost.

    The connection is asynchronous, so that this class enforces its time limits: a server that is stopped or frozen, or
    a proxy that does not answer, cannot keep a caller waiting. (libpq's own limit is at least two seconds, for each
    address.)

    Args:
        environ: the variables of `Endpoint.from_environment`, and of `iam_token` or `RDS_PASSWORD`.
        query_timeout_s: how long one call of `fetch_all` may take, with connecting and a second try. Must exceed the
            role's `statement_timeout`, so the server cancels first.

    """

    def __init__(self, environ: Mapping[str, str] = os.environ, *, query_timeout_s: float) -> None:
        if "AWS_LAMBDA_FUNCTION_NAME" in environ:
            # While Lambda starts the function: this takes a third of a second of a whole CPU, and a request's time to
            # connect must not pay it. With 512 MiB Lambda gives a function 0.3 of one.
            for module in _SIGNING:
                import_module(module)
        self._environ = environ
        self._query_timeout_s = query_timeout_s
        self._connection: psycopg2.extensions.connection | None = None

    def fetch_all(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement and return its rows.

        A statement may run twice, when the connection is lost. That is safe for reads, and for a refresh, whose second
        run finds nothing to do.

        Raises:
            DatabaseUnavailableError: no connection in time, no answer in time, the connection was lost twice, or
                RDS Proxy answers that it gets no connection to the database.
            psycopg2.Error: the server refused the statement.

        """
        # Connecting, the statement and the second try share one limit, so a caller never waits for twice as long.
        ends_at = time.monotonic() + self._query_timeout_s
        connected_by = min(time.monotonic() + CONNECT_S, ends_at)
        for attempt in ("first", "second"):
            try:
                return self._run(query, parameters, connected_by, ends_at)
            except psycopg2.Error as error:
                code = error.pgcode or ""
                if self._connection is not None and not self._connection.closed:
                    if code.startswith(CONNECTION_EXCEPTION):
                        # RDS Proxy gave up waiting for the database. A second try would wait as long again.
                        self._connection.close()
                        raise DatabaseUnavailableError(str(error).strip()) from error
                    if not code.startswith(_ANOTHER_SERVER):
                        raise  # the server answered: a timeout or a lack of memory, not a lost connection
                    self._connection.close()
                    if attempt == "second":
                        raise
                elif attempt == "second":
                    message = f"the connection was lost twice in a row: {str(error).strip()}"
                    raise DatabaseUnavailableError(message) from error
        raise AssertionError("unreachable")

    def _run(
        self, query: str, parameters: Mapping[str, Any] | None, connected_by: float, ends_at: float
    ) -> list[dict[str, Any]]:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect(connected_by)
        connection = self._connection
        with connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(query, parameters)
            _wait(connection, ends_at, "the database did not answer in time")
            return [dict(row) for row in cursor.fetchall()]

    def _connect(self, connected_by: float) -> "psycopg2.extensions.connection":
        endpoint = Endpoint.from_environment(self._environ)
        password = password_for(endpoint, self._environ)
        name = self._environ.get(POWERTOOLS_SERVICE_NAME, "scanner-database")
        arguments = connection_arguments(endpoint, password=password, application_name=name, environ=self._environ)
        try:
            arguments |= _addresses(endpoint, connected_by)
            connection: psycopg2.extensions.connection = psycopg2.connect(**arguments, async_=1)
            _wait(connection, connected_by, "no answer")
        except (psycopg2.OperationalError, DatabaseUnavailableError) as error:
            raise _unreachable(endpoint, error) from error
        return connection


def _addresses(endpoint: Endpoint, ends_at: float) -> dict[str, str]:
    """Return libpq's parameters for each address of the host; none where PGHOSTADDR gives the address.

    libpq would resolve the name by a call that nothing can interrupt. `host` stays, once for each address: the
    certificate is checked against it.

    Raises:
        DatabaseUnavailableError: the name has no address, or it is later than `ends_at` (of `time.monotonic()`).

    """
    if "PGHOSTADDR" in os.environ:
        return {}

    def check() -> None:
        if time.monotonic() >= ends_at:
            raise DatabaseUnavailableError("its name was not resolved in time")

    def resolve() -> list[str]:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        return [str(address[0]) for *_, address in found]

    try:
        addresses = in_thread(resolve, check=check, every_s=_TICK_S)
    except socket.gaierror as error:
        raise DatabaseUnavailableError(f"its name could not be resolved: {error.strerror}") from error
    return {"host": ",".join([endpoint.host] * len(addresses)), "hostaddr": ",".join(addresses)}


def _wait(connection: "psycopg2.extensions.connection", ends_at: float, complaint: str) -> None:
    """Wait until an asynchronous connection has finished its current operation.

    Raises:
        DatabaseUnavailableError: it is later than `ends_at` (of `time.monotonic()`); the connection is closed.

    """
    while (state := connection.poll()) != POLL_OK:
        wire = [connection.fileno()]
        remaining_s = max(ends_at - time.monotonic(), 0)
        ready = select.select(wire if state == POLL_READ else [], wire if state == POLL_WRITE else [], [], remaining_s)
        if not any(ready):
            connection.close()
            raise DatabaseUnavailableError(complaint)


def _unreachable(endpoint: Endpoint, error: Exception) -> DatabaseUnavailableError:
    return DatabaseUnavailableError(
        f"no connection to {endpoint.host}:{endpoint.port} as {endpoint.user}: {str(error).strip()}"
    )
