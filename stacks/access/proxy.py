"""RDS Proxy: a few connections to the database shared by any number of Lambdas, IAM from end to end."""

from cdktf import Fn, TerraformLocal
from cdktf_cdktf_provider_aws.db_proxy import DbProxy, DbProxyAuth
from cdktf_cdktf_provider_aws.db_proxy_default_target_group import (
    DbProxyDefaultTargetGroup,
    DbProxyDefaultTargetGroupConnectionPoolConfig,
)
from cdktf_cdktf_provider_aws.db_proxy_endpoint import DbProxyEndpoint
from cdktf_cdktf_provider_aws.db_proxy_target import DbProxyTarget
from constructs import Construct

from handlers.contract import roles
from handlers.contract.timeouts import PROXY_BORROW_S
from stacks.database.database import Database
from stacks.foundation import iam
from stacks.foundation.context import Context
from stacks.foundation.iam import PolicyStatement
from stacks.foundation.log_groups import log_group
from stacks.network import security_groups
from stacks.network.network import Network
from stacks.settings.instance_classes import PROXY_CONNECTIONS_PERCENT

IDLE_CLIENT_TIMEOUT_S = 900
MAX_IDLE_CONNECTIONS_PERCENT = 20
# "Currently, all proxies listen on port 5432 for PostgreSQL", also where the database has another port:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.howitworks.html
PORT = 5432


class Proxy(Construct):
    """The proxy, and who may reach and use it."""

    def __init__(
        self, scope: Construct, id_: str, *, context: Context, network: Network, database: Database, key_arn: str
    ) -> None:
        super().__init__(scope, id_)
        self._context = context
        # The emulator has no proxy: the address it returns is the database's.
        self.port = PORT if context.settings.aws.endpoint is None else database.port
        name = context.settings.prefix
        self.security_group = security_groups.security_group(
            self, name=context.name("proxy"), vpc_id=network.vpc_id, description="RDS Proxy"
        )
        security_groups.allow(
            self, "to_database", source=self.security_group, target=database.security_group, port=database.port
        )
        for group_id in context.settings.network.client_security_group_ids:
            # Named by the group: with a position in the list as its name, a moved rule would be created while the old
            # one still exists, and AWS refuses duplicates.
            security_groups.allow_clients(
                self, f"from_{group_id}", group_id=group_id, target=self.security_group, port=self.port
            )
        logs = log_group(self, "log_group", context=context, name=f"/aws/rds/proxy/{name}", key_arn=key_arn)
        by_iam = context.settings.proxy.auth_mode == "iam"
        role, policy = iam.service_role(
            self,
            "role",
            name=context.name("proxy"),
            service="rds.amazonaws.com",
            statements=_iam_access(database) if by_iam else _secret_access(context, database, key_arn),
        )
        self._proxy = DbProxy(
            self,
            "proxy",
            name=name,
            engine_family="POSTGRESQL",
            role_arn=role.arn,
            require_tls=True,
            default_auth_scheme="IAM_AUTH" if by_iam else None,
            auth=None if by_iam else [_secret_authentication(database)],
            idle_client_timeout=IDLE_CLIENT_TIMEOUT_S,
            vpc_subnet_ids=network.subnet_ids,
            vpc_security_group_ids=[self.security_group.id],
            depends_on=[logs, policy],
        )
        targets = DbProxyDefaultTargetGroup(
            self,
            "target_group",
            db_proxy_name=self._proxy.name,
            connection_pool_config=DbProxyDefaultTargetGroupConnectionPoolConfig(
                connection_borrow_timeout=PROXY_BORROW_S,
                max_connections_percent=PROXY_CONNECTIONS_PERCENT,
                max_idle_connections_percent=MAX_IDLE_CONNECTIONS_PERCENT,
            ),
        )
        self.target = DbProxyTarget(
            self,
            "target",
            db_proxy_name=self._proxy.name,
            target_group_name=targets.name,
            **database.proxy_target,
            # A cluster is a target once it has an instance.
            depends_on=database.ready,
        )
        self.endpoint = self._proxy.endpoint
        self.reader_endpoint = self._readers(network) if context.settings.database.readers else None
        # The tail of the ARN: arn:aws:rds:<region>:<account>:db-proxy:prx-0123...
        self._resource_id = TerraformLocal(self, "resource_id", Fn.element(Fn.split(":", self._proxy.arn), 6))

    def _readers(self, network: Network) -> str:
        """Add an endpoint that leads to the readers. It takes the proof of logins that the proxy takes."""
        endpoint = DbProxyEndpoint(
            self,
            "readers",
            db_proxy_name=self._proxy.name,
            db_proxy_endpoint_name=self._context.name("readers"),
            target_role="READ_ONLY",
            vpc_subnet_ids=network.subnet_ids,
            vpc_security_group_ids=[self.security_group.id],
            # Without a reader the endpoint takes no connection.
            depends_on=[self.target],
        )
        return endpoint.endpoint

    def user_arn(self, user: str) -> str:
        """Return what a caller's `rds-db:connect` names in order to log in as `user` through this proxy."""
        return self._context.arn("rds-db", f"dbuser:{self._resource_id.as_string}/{user}")

    def login(self, user: str) -> PolicyStatement:
        """Return the permission to log in as `user` through this proxy."""
        return iam.statement("rds-db:connect", resources=[self.user_arn(user)])


def _iam_access(database: Database) -> dict[str, PolicyStatement]:
    users = [database.user_arn(user) for user in roles.IAM_ROLES]
    return {"LogInAsTheCaller": iam.statement("rds-db:connect", resources=users)}


def _secret_access(context: Context, database: Database, key_arn: str) -> dict[str, PolicyStatement]:
    return {
        "ReadSecret": iam.statement("secretsmanager:GetSecretValue", resources=[database.master_secret_arn]),
        "DecryptSecret": database.master_secret_key()
        or iam.statement(
            "kms:Decrypt",
            resources=[key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"secretsmanager.{context.settings.region}.amazonaws.com"}},
        ),
    }


def _secret_authentication(database: Database) -> DbProxyAuth:
    return DbProxyAuth(auth_scheme="SECRETS", iam_auth="REQUIRED", secret_arn=database.master_secret_arn)
