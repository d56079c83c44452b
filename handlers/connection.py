"""Connections to PostgreSQL: verified TLS, an IAM token instead of a password, reopened once when lost."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import RealDictCursor

from handlers.errors import DatabaseUnavailableError

# The roots of the RDS instance's and of the RDS Proxy's certificates; the package carries them.
CERTIFICATES = Path(__file__).with_name("certificates.pem")
# libpq takes no less than two seconds for a connect.
CONNECT_TIMEOUT_S = 2
# A peer that vanished without a word is given up after this, not after the kernel's quarter of an hour.
TCP_USER_TIMEOUT_MS = 3000


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a database is and who connects to it."""

    host: str
    port: int
    database: str
    user: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Endpoint":
        """Read `RDS_PROXY_ENDPOINT` (host or host:port), `RDS_PORT`, `RDS_DBNAME` and `RDS_USERNAME`.

        Raises:
            KeyError: one of them, other than the port, is not set.

        """
        host, _, port = environ["RDS_PROXY_ENDPOINT"].partition(":")
        return cls(
            host=host,
            port=int(port or environ.get("RDS_PORT", "5432")),
            database=environ["RDS_DBNAME"],
            user=environ["RDS_USERNAME"],
        )


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


def connect(endpoint: Endpoint, *, password: str, application_name: str) -> "psycopg2.extensions.connection":
    """Open a connection in autocommit mode.

    Nothing is `SET` after connecting and no startup option is sent: RDS Proxy pins a session that sets and refuses
    `options`. Timeouts are properties of the roles (migrations/roles.sql).

    Raises:
        DatabaseUnavailableError: no connection within the timeout; libpq's message is kept.

    """
    try:
        connection = psycopg2.connect(
            host=endpoint.host,
            port=endpoint.port,
            dbname=endpoint.database,
            user=endpoint.user,
            password=password,
            application_name=application_name,
            sslmode="verify-full",
            sslrootcert=os.environ.get("RDS_CA_BUNDLE", str(CERTIFICATES)),
            connect_timeout=CONNECT_TIMEOUT_S,
            tcp_user_timeout=TCP_USER_TIMEOUT_MS,
        )
    except psycopg2.OperationalError as error:
        message = f"no connection to {endpoint.host}:{endpoint.port} as {endpoint.user}: {str(error).strip()}"
        raise DatabaseUnavailableError(message) from error
    connection.autocommit = True
    return connection


class Database:
    """One connection through RDS Proxy that outlives invocations, opened on first use and reopened once when lost."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._connection: psycopg2.extensions.connection | None = None

    def fetch_all(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement and return its rows.

        Every query here may run twice: reads, and a refresh whose second run finds nothing to do.

        Raises:
            DatabaseUnavailableError: the connection was lost, and lost again or refused on the second try.

        """
        for attempt in ("first", "second"):
            try:
                return self._run(query, parameters)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                if self._connection is not None and not self._connection.closed:
                    raise  # the server answered: a timeout or a lack of memory, not a lost connection
                if attempt == "second":
                    message = f"the connection was lost twice in a row: {str(error).strip()}"
                    raise DatabaseUnavailableError(message) from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connection; the next query opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, query: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        with self._connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(query, parameters)
            return [dict(row) for row in cursor.fetchall()]

    def _connect(self) -> "psycopg2.extensions.connection":
        endpoint = Endpoint.from_environment(self._environ)
        in_lambda = "AWS_LAMBDA_FUNCTION_NAME" in self._environ
        password = iam_token(endpoint, self._environ) if in_lambda else self._environ["RDS_PASSWORD"]
        name = self._environ.get("POWERTOOLS_SERVICE_NAME", "scanner-database")
        return connect(endpoint, password=password, application_name=name)
