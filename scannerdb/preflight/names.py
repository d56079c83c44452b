"""Whether a name that the deploy will create is taken, for instance by what a destroy left.

The names are those of the synthesised stack, without what the Terraform state holds: that is ours already.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scannerdb.checks.model import Answer, Check, Context, ok, refused, warning
from scannerdb.checks.run import code_of

NOT_FOUND = frozenset(
    {
        "404",
        "DBClusterNotFoundFault",
        "DBClusterSnapshotNotFoundFault",
        "DBInstanceNotFound",
        "DBInstanceNotFoundFault",
        "DBParameterGroupNotFound",
        "DBProxyNotFoundFault",
        "DBSnapshotNotFound",
        "DBSubnetGroupNotFoundFault",
        "NoSuchBucket",
        "NoSuchEntity",
        "NotFound",
        "ResourceNotFoundException",
    }
)
# A bucket that another account owns.
FORBIDDEN = "403"

# Not a command: what a deployment in service needs must not be deleted because its state was not found.
OF_ANOTHER_STATE = (
    "delete nothing: a database of this name is there, so this state is not its own; correct [state], or give the "
    "environment another name"
)

# Asks AWS for one name; it may raise a `ClientError` that says that there is none.
IsTaken = Callable[[Context, str], object]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of resource whose name is unique.

    Attributes:
        name: of the check.
        asked: in words.
        type: of the resource in Terraform.
        attribute: the one that holds the name.
        is_taken: asks AWS for one name.
        free: what frees a name; `{name}` stands for it.

    """

    name: str
    asked: str
    type: str
    attribute: str
    is_taken: IsTaken
    free: str

    def ask(self, context: Context) -> Iterator[Answer]:
        """Ask for each name that the deploy will create."""
        names = context.to_create(self.type, self.attribute)
        taken = [name for name in names if _exists(self.is_taken, context, name)]
        is_left = not taken or not _database_lives(context)
        for name in taken:
            yield refused(
                f"{name} exists, and the Terraform state does not hold it",
                next=self.free.format(name=name) if is_left else OF_ANOTHER_STATE,
            )
        if not taken:
            yield ok(f"{len(names)} free" if names else "nothing of it will be created")


def _exists(is_taken: IsTaken, context: Context, name: str) -> bool:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        return bool(is_taken(context, name))
    except ClientError as error:
        if code_of(error) in NOT_FOUND:
            return False
        raise


def _database_lives(context: Context) -> bool:
    """Return whether there is a database of this name that the state does not hold: then nothing was left behind."""
    return any(
        _exists(kind.is_taken, context, name)
        for kind in SERVERS
        for name in context.to_create(kind.type, kind.attribute)
    )


def _log_group(context: Context, name: str) -> bool:
    found = context.aws("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return any(group["logGroupName"] == name for group in found)


def _bucket(context: Context, name: str) -> bool:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        context.aws("s3").head_bucket(Bucket=name)
    except ClientError as error:
        if code_of(error) == FORBIDDEN:
            return True
        raise
    return True


def _alias(context: Context, name: str) -> bool:
    pages = context.aws("kms").get_paginator("list_aliases").paginate()
    return any(alias["AliasName"] == name for page in pages for alias in page["Aliases"])


def _of_rds(operation: str, argument: str, found: str) -> IsTaken:
    return lambda context, name: getattr(context.aws("rds"), operation)(**{argument: name})[found]


_INSTANCE = _of_rds("describe_db_instances", "DBInstanceIdentifier", "DBInstances")
SERVERS = (
    Kind(
        name="database",
        asked="names: database",
        type="aws_db_instance",
        attribute="identifier",
        is_taken=_INSTANCE,
        free=OF_ANOTHER_STATE,
    ),
    Kind(
        name="cluster",
        asked="names: cluster",
        type="aws_rds_cluster",
        attribute="cluster_identifier",
        is_taken=_of_rds("describe_db_clusters", "DBClusterIdentifier", "DBClusters"),
        free=OF_ANOTHER_STATE,
    ),
)
KINDS = (
    Kind(
        name="log-groups",
        asked="names: log groups",
        type="aws_cloudwatch_log_group",
        attribute="name",
        is_taken=_log_group,
        free="aws logs delete-log-group --log-group-name {name}    # its events are lost",
    ),
    Kind(
        name="bucket",
        asked="names: bucket of releases",
        type="aws_s3_bucket",
        attribute="bucket",
        is_taken=_bucket,
        free="aws s3 rb s3://{name} --force    # after its old versions are deleted; what is in it is lost",
    ),
    Kind(
        name="roles",
        asked="names: IAM roles",
        type="aws_iam_role",
        attribute="name",
        is_taken=lambda context, name: context.aws("iam").get_role(RoleName=name),
        # The policy inside has the role's name (stacks/foundation/iam.py).
        free="aws iam delete-role-policy --role-name {name} --policy-name {name} && "
        "aws iam delete-role --role-name {name}",
    ),
    Kind(
        name="instance-profiles",
        asked="names: instance profile",
        type="aws_iam_instance_profile",
        attribute="name",
        is_taken=lambda context, name: context.aws("iam").get_instance_profile(InstanceProfileName=name),
        free="aws iam delete-instance-profile --instance-profile-name {name}    # after its role is removed from it",
    ),
    Kind(
        name="key-alias",
        asked="names: alias of the key",
        type="aws_kms_alias",
        attribute="name",
        is_taken=_alias,
        free="aws kms delete-alias --alias-name {name}",
    ),
    *SERVERS,
    Kind(
        name="cluster-instances",
        asked="names: instances of the cluster",
        type="aws_rds_cluster_instance",
        attribute="identifier",
        is_taken=_INSTANCE,
        free=OF_ANOTHER_STATE,
    ),
    Kind(
        name="subnet-group",
        asked="names: subnet group",
        type="aws_db_subnet_group",
        attribute="name",
        is_taken=_of_rds("describe_db_subnet_groups", "DBSubnetGroupName", "DBSubnetGroups"),
        free="aws rds delete-db-subnet-group --db-subnet-group-name {name}",
    ),
    Kind(
        name="parameter-group",
        asked="names: parameter group",
        type="aws_db_parameter_group",
        attribute="name",
        is_taken=_of_rds("describe_db_parameter_groups", "DBParameterGroupName", "DBParameterGroups"),
        free="aws rds delete-db-parameter-group --db-parameter-group-name {name}",
    ),
    Kind(
        name="cluster-parameter-group",
        asked="names: parameter group of the cluster",
        type="aws_rds_cluster_parameter_group",
        attribute="name",
        is_taken=_of_rds(
            "describe_db_cluster_parameter_groups", "DBClusterParameterGroupName", "DBClusterParameterGroups"
        ),
        free="aws rds delete-db-cluster-parameter-group --db-cluster-parameter-group-name {name}",
    ),
    Kind(
        name="proxy",
        asked="names: proxy",
        type="aws_db_proxy",
        attribute="name",
        is_taken=_of_rds("describe_db_proxies", "DBProxyName", "DBProxies"),
        free="aws rds delete-db-proxy --db-proxy-name {name}",
    ),
    Kind(
        name="functions",
        asked="names: functions",
        type="aws_lambda_function",
        attribute="function_name",
        is_taken=lambda context, name: context.aws("lambda").get_function_configuration(FunctionName=name),
        free="aws lambda delete-function --function-name {name}",
    ),
    Kind(
        name="schedule-group",
        asked="names: schedule group",
        type="aws_scheduler_schedule_group",
        attribute="name",
        is_taken=lambda context, name: context.aws("scheduler").get_schedule_group(Name=name),
        free="aws scheduler delete-schedule-group --name {name}",
    ),
)


def _final_snapshot(context: Context) -> Iterator[Answer]:
    """Look for the snapshot of an earlier environment of this name; it stops a destroy, not a deploy."""
    kinds = (
        ("aws_db_instance", _of_rds("describe_db_snapshots", "DBSnapshotIdentifier", "DBSnapshots")),
        (
            "aws_rds_cluster",
            _of_rds("describe_db_cluster_snapshots", "DBClusterSnapshotIdentifier", "DBClusterSnapshots"),
        ),
    )
    for kind, snapshot in kinds:
        names = [body.get("final_snapshot_identifier") for body in context.planned(kind)]
        for name in filter(None, names):
            if _exists(snapshot, context, name):
                yield warning(
                    f"{name} exists: RDS will refuse to take this environment down",
                    next="copy the snapshot under another key, then delete it: docs/operations/deployments.md",
                )
                return
    yield ok("none of an earlier environment")


NAMES = (
    *(Check(name=f"name-{kind.name}", asked=kind.asked, ask=kind.ask) for kind in KINDS),
    Check(name="final-snapshot", asked="final snapshot", ask=_final_snapshot),
)
