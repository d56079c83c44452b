"""The interface of a database: what the rest of the stack needs, the same for every kind."""

from collections.abc import Sequence
from typing import TypedDict

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.cloudwatch_log_group import CloudwatchLogGroup
from cdktf_cdktf_provider_aws.data_aws_cloudwatch_log_group import DataAwsCloudwatchLogGroup
from constructs import Construct

from stacks.foundation import iam
from stacks.foundation.context import Context
from stacks.foundation.iam import PolicyStatement
from stacks.network import security_groups

# UTC. A backup may not overlap the maintenance.
BACKUP_WINDOW = "01:00-02:00"
MAINTENANCE_WINDOW = "tue:02:30-tue:03:30"


class ProxyTarget(TypedDict, total=False):
    """The arguments of an `aws_db_proxy_target` that name a database: one of the two."""

    db_instance_identifier: str
    db_cluster_identifier: str


class Database(Construct):
    """A PostgreSQL server that the functions, the proxy and the bastion connect to; each kind is a subclass.

    Attributes:
        identifier: by which RDS, its metrics and its events name it.
        port: on which it listens.
        security_group: rules that let clients in name it.
        query_log_group: where PostgreSQL's log arrives.
        address: its host name.
        resource_id: by which `rds-db:connect` names it, such as `db-ABCDEFGHIJKL`.
        master_secret_arn: the secret with the owner's password.
        ready: what must exist before a client can connect.
        proxy_target: the arguments that name it as the target of an RDS Proxy.
        access_rules: commands for the rules that the owner of its security group must make; `None`: all are made here.

    """

    identifier: str
    port: int
    security_group: security_groups.Target
    query_log_group: CloudwatchLogGroup | DataAwsCloudwatchLogGroup
    address: str
    resource_id: str
    master_secret_arn: str
    ready: Sequence[ITerraformDependable]
    proxy_target: ProxyTarget
    access_rules: list[str] | None = None

    def __init__(self, scope: Construct, id_: str, *, context: Context) -> None:
        super().__init__(scope, id_)
        self._context = context

    def master_secret_key(self) -> PolicyStatement | None:
        """Return the permission to decrypt the master secret, where the deployment's own key does not encrypt it."""
        return None

    def user_arn(self, user: str) -> str:
        """Return what `rds-db:connect` names for a login as `user` on the database itself, past the proxy."""
        return self._context.arn("rds-db", f"dbuser:{self.resource_id}/{user}")

    def login(self, user: str) -> PolicyStatement:
        """Return the permission to log in as `user`, past the proxy."""
        return iam.statement("rds-db:connect", resources=[self.user_arn(user)])
