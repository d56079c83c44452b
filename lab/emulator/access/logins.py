"""Whether a function, or an engineer on the bastion, can connect to a database: security groups and IAM logins.

Sources: "Creating and using an IAM policy for IAM database access" and "Troubleshooting for RDS Proxy" in the Amazon
RDS user guide.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from handlers.contract.variables import RDS_ENDPOINT, RDS_PORT, RDS_PROXY_ENDPOINT, RDS_USERNAME
from lab.emulator.access.account import Account, Function, Instance, Place, Proxy
from lab.emulator.access.decisions import AccessDeniedError, Use, check_use
from lab.emulator.access.network import NoRouteError, check_path


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One connection to a database or a proxy.

    Attributes:
        by: who, for people.
        role: whose `rds-db:connect` counts.
        place: where the client lies in the network.
        host, port: where it connects to.
        user: who logs in with IAM, or `None` for a login with a password.

    """

    by: str
    role: str | None
    place: Place | None
    host: str
    port: int
    user: str | None

    def __str__(self) -> str:
        return f"{self.by}: connect to {self.host}:{self.port} as {self.user or 'the owner'}"


class LoginRefusedError(Exception):
    """No connection; the message is what PostgreSQL's client library reports, the cause says which policy or rule."""


def connections_of(function: Function) -> Iterator[Connection]:
    """Yield the connections that a function's variables name."""
    for variable in (RDS_ENDPOINT, RDS_PROXY_ENDPOINT):
        if variable in function.variables:
            host, _, port = function.variables[variable].partition(":")
            yield Connection(
                by=function.name,
                role=function.role,
                place=function.place,
                host=host,
                port=int(port or function.variables[RDS_PORT]),
                user=function.variables.get(RDS_USERNAME),
            )


def check_connection(account: Account, connection: Connection) -> None:
    """Check that a connection is let through and its user may log in, behind a proxy too.

    Raises:
        LoginRefusedError: it is not.

    """
    where = f'connection to server at "{connection.host}", port {connection.port} failed'
    try:
        server = _server(account, connection.host)
        _check_network(account, connection, server.group_ids)
        if isinstance(server, Proxy):
            _check_behind(account, server, connection.user)
    except NoRouteError as error:
        raise LoginRefusedError(f"{where}: timeout expired") from error
    except AccessDeniedError as error:
        message = f"This RDS proxy has no credentials for the role {connection.user}"
        raise LoginRefusedError(
            f"{where}: FATAL:  {message}. Check the credentials for this role and try again."
        ) from error
    try:
        if connection.user is not None:
            check_use(account, _login(account, connection.by, connection.role, server, connection.user))
    except AccessDeniedError as error:
        message = f'PAM authentication failed for user "{connection.user}"'
        if isinstance(server, Proxy):
            message = f"The IAM authentication failed for the role {connection.user}. Check the IAM token for this role"
        raise LoginRefusedError(f"{where}: FATAL:  {message}") from error


def _server(account: Account, host: str) -> Instance | Proxy:
    servers: tuple[Instance | Proxy, ...] = (*account.instances, *account.proxies)
    found = next((each for each in servers if each.host == host), None)
    if found is None:
        raise NoRouteError(f"no database and no proxy is named {host}")
    return found


def _check_network(account: Account, connection: Connection, group_ids: tuple[str, ...]) -> None:
    if connection.place is None:
        raise NoRouteError(f"{connection.by} lies in no network, and {connection.host} has no public address")
    check_path(account, source=connection.place.group_ids, target=group_ids, port=connection.port)


def _check_behind(account: Account, proxy: Proxy, user: str | None) -> None:
    """Check the proxy's own way to its database."""
    if proxy.target_host is None:
        raise NoRouteError(f"{proxy.name} has no target")
    instance = _server(account, proxy.target_host)
    assert isinstance(instance, Instance)
    check_path(account, source=proxy.group_ids, target=instance.group_ids, port=instance.port)
    for secret in proxy.secret_arns:
        check_use(account, Use(by=proxy.name, action="secretsmanager:GetSecretValue", resource=secret, role=proxy.role))
    if not proxy.secret_arns and user is not None:
        check_use(account, _login(account, proxy.name, proxy.role, instance, user))


def _login(account: Account, by: str, role: str | None, server: Instance | Proxy, user: str) -> Use:
    resource = account.arn("rds-db", f"dbuser:{server.resource_id}/{user}")
    return Use(by=by, action="rds-db:connect", resource=resource, role=role)
