"""Connection strings of an environment's database: its address, a user, and the user's password or IAM token."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import make_dsn

from handlers.connection import CERTIFICATES, Endpoint, connection_arguments, iam_token
from handlers.contract.roles import DOCTOR, OWNER, READER
from handlers.contract.variables import RDS_CA_BUNDLE, RDS_DBNAME, RDS_PASSWORD, RDS_PROXY_ENDPOINT, RDS_USERNAME
from scannerdb.aws import calling, client, token_variables
from scannerdb.errors import OperatorError
from scannerdb.outputs import output, stack_outputs
from stacks.settings import Settings

# The owner logs in by password, which the proxy does not take. The doctor examines the proxy, so it connects past it.
DIRECT_USERS = frozenset({OWNER, DOCTOR})
REACH_TIMEOUT_S = 5
HANDLER_VARIABLES = (RDS_PROXY_ENDPOINT, RDS_DBNAME, RDS_USERNAME, RDS_PASSWORD)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A deployment's database, reached as one of its users.

    Attributes:
        user: who logs in; `OWNER` stands for the login of that name in the settings.
        outputs: of the deployment's stack, by name.

    """

    settings: Settings
    user: str
    endpoint: Endpoint
    outputs: Mapping[str, str]

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        user: str,
        direct: bool | None = None,
        outputs: Mapping[str, str] | None = None,
    ) -> "Target":
        """Look the addresses up in the deployment's outputs.

        Args:
            settings: of the environment.
            user: logs in, as the attribute.
            direct: whether past the proxy; `None`: as this user has to.
            outputs: of the deployment's stack, by name; `None`: read from its state.

        Raises:
            OperatorError: it is not deployed, or its state cannot be read.

        """
        outputs = stack_outputs(settings) if outputs is None else outputs
        way = "database" if (user in DIRECT_USERS if direct is None else direct) else "proxy"
        host = output(outputs, f"{way}_endpoint", settings)
        port = int(output(outputs, f"{way}_port", settings))
        database = settings.database
        login = database.master_username if user == OWNER else user
        endpoint = Endpoint(host=host, port=port, database=database.name, user=login)
        return cls(settings=settings, user=user, endpoint=endpoint, outputs=outputs)

    def check_reachable(self) -> None:
        """Open a TCP connection and close it, so that a command outside of the isolated network is told at once.

        Raises:
            OperatorError: no connection within `REACH_TIMEOUT_S`.

        """
        # libpq connects there instead of resolving the name; the emulator's database is found so too.
        address = os.environ.get("PGHOSTADDR") or self.endpoint.host
        try:
            socket.create_connection((address, self.endpoint.port), timeout=REACH_TIMEOUT_S).close()
        except ConnectionRefusedError as error:
            # The host answered, so this is inside of the network.
            raise OperatorError(
                f"{self.endpoint.host}:{self.endpoint.port} of {self.settings.environment} refuses connections: no "
                "server listens there, as while it restarts or fails over; `scannerdb invoke doctor -e "
                f"{self.settings.environment}` says what it sees"
            ) from error
        except OSError as error:
            environment = self.settings.environment
            raise OperatorError(
                f"{self.endpoint.host}:{self.endpoint.port} of {environment} cannot be reached from here: {error}. "
                f"Its network is isolated; from outside: {tunnel_as(self.user, environment)} -- scannerdb ..."
            ) from error

    def password(self) -> str:
        """Return the owner's password from Secrets Manager, or another user's IAM token, valid for 15 minutes.

        Raises:
            OperatorError: AWS refuses it.

        """
        if self.user == OWNER:
            return _master_password(self.settings)
        return iam_token(self.endpoint, token_variables(self.settings))

    def arguments(self) -> dict[str, str]:
        """Return libpq's parameters without the password."""
        return {
            "host": self.endpoint.host,
            "port": str(self.endpoint.port),
            "dbname": self.endpoint.database,
            "user": self.endpoint.user,
            "sslmode": "verify-full",
            "sslrootcert": str(authorities(self.settings)),
        }

    def dsn(self) -> str:
        """Return a connection string that holds the password; never print it."""
        return make_dsn(None, **self.arguments(), password=self.password())


def tunnel_as(user: str, environment: str) -> str:
    """Return the `scannerdb tunnel` command of a user; its defaults are the reader and, with --direct, the owner."""
    direct = " --direct" if user in DIRECT_USERS else ""
    named = "" if user in {READER, OWNER} else f" --user {user}"
    return f"scannerdb tunnel -e {environment}{direct}{named}"


def authorities(settings: Settings) -> Path:
    """Return the file of certificate authorities: the setting `functions.ca_bundle`, or those of AWS."""
    # Absolute: a command inside a tunnel may run in another folder.
    return (settings.functions.ca_bundle or CERTIFICATES).resolve()


def handler_dsn(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the connection string that a handler outside Lambda would use; `None` without RDS_PROXY_ENDPOINT.

    Raises:
        OperatorError: another variable that it needs is missing, or the port is not a number.

    """
    if not environ.get(RDS_PROXY_ENDPOINT):
        return None
    if missing := [name for name in HANDLER_VARIABLES if name not in environ]:
        raise OperatorError(f"RDS_PROXY_ENDPOINT is set, and {', '.join(missing)} is not; set it too, or give --dsn")
    try:
        endpoint = Endpoint.from_environment(environ)
    except ValueError as error:
        raise OperatorError(f"RDS_PROXY_ENDPOINT or RDS_PORT has no port of digits 0 to 9: {error}") from error
    arguments = connection_arguments(
        endpoint,
        password=environ[RDS_PASSWORD],
        application_name="scannerdb",
        environ={RDS_CA_BUNDLE: environ.get(RDS_CA_BUNDLE) or str(CERTIFICATES)},
    )
    return make_dsn(None, **arguments)


def _master_password(settings: Settings) -> str:
    with calling(settings, "the master secret of the database"):
        if (secret_arn := settings.database.master_secret_arn) is None:
            rds, identifier = client(settings, "rds"), settings.rds_database.identifier
            if settings.database.is_cluster:
                (found,) = rds.describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"]
            else:
                (found,) = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
            secret_arn = found["MasterUserSecret"]["SecretArn"]
        secret = client(settings, "secretsmanager").get_secret_value(SecretId=secret_arn)
    return str(json.loads(secret["SecretString"])["password"])
