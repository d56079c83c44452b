"""By what RDS names a database, and what each kind has: metrics, logs, events, parameters and commands."""

from dataclasses import dataclass
from enum import StrEnum

from handlers.contract.names import database_log_group


class RdsKind(StrEnum):
    """What RDS calls a server: in names of log groups and in options of its commands."""

    INSTANCE = "instance"
    CLUSTER = "cluster"


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What RDS has for one kind.

    Attributes:
        metrics_by: the dimension of its metrics that holds the identifier.
        role: the value of the dimension `Role`, which follows a failover; empty: the metrics have no such dimension.
        logs: those that it exports.
        events: the `detail-type` of its events, those of its instances included.
        parameter_family: what the family of its parameter group begins with, before the major version.
        describe: the command of the AWS CLI that shows it, without the identifier.
        shown: the query of that command that leaves what an on-call needs.

    """

    metrics_by: str
    role: str
    logs: tuple[str, ...]
    events: tuple[str, ...]
    parameter_family: str
    describe: str
    shown: str


_FACTS = {
    RdsKind.INSTANCE: _Facts(
        metrics_by="DBInstanceIdentifier",
        role="",
        logs=("postgresql", "upgrade"),
        events=("RDS DB Instance Event",),
        parameter_family="postgres",
        describe="describe-db-instances --db-instance-identifier",
        shown=(
            "DBInstances[].{Status:DBInstanceStatus,Class:DBInstanceClass,Version:EngineVersion,GiB:AllocatedStorage,"
            "MaxGiB:MaxAllocatedStorage,Zone:AvailabilityZone,MultiAZ:MultiAZ}"
        ),
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/dimensions.html
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.CloudWatch.html
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-cloudwatch-events.sample.html
    RdsKind.CLUSTER: _Facts(
        metrics_by="DBClusterIdentifier",
        role="WRITER",
        logs=("postgresql",),
        events=("RDS DB Cluster Event", "RDS DB Instance Event"),
        parameter_family="aurora-postgresql",
        describe="describe-db-clusters --db-cluster-identifier",
        shown=(
            "DBClusters[].{Status:Status,Version:EngineVersion,Storage:StorageType,Zones:length(AvailabilityZones),"
            "Members:length(DBClusterMembers),Writer:DBClusterMembers[?IsClusterWriter].DBInstanceIdentifier|[0]}"
        ),
    ),
}


@dataclass(frozen=True, kw_only=True)
class RdsDatabase:
    """One database server.

    Args:
        kind: an instance, or an Aurora cluster.
        identifier: within the account and region.

    """

    kind: RdsKind
    identifier: str

    @classmethod
    def parse(cls, text: str) -> "RdsDatabase":
        """Return the database of a text that `str` made, such as `instance/scanner-database-dev`.

        Raises:
            ValueError: it is no such text.

        """
        kind, _, identifier = text.partition("/")
        return cls(kind=RdsKind(kind), identifier=identifier)

    def __str__(self) -> str:
        return f"{self.kind}/{self.identifier}"

    @property
    def facts(self) -> _Facts:
        """What RDS has for its kind."""
        return _FACTS[self.kind]

    def log_group(self, log: str = "postgresql") -> str:
        """Return the log group that RDS writes one of its logs to."""
        return database_log_group(str(self), log)

    def members(self, readers: int) -> tuple[str, ...]:
        """Return the identifiers of its instances: of a cluster, one more than there are readers."""
        if self.kind is RdsKind.INSTANCE:
            return (self.identifier,)
        return tuple(f"{self.identifier}-{number}" for number in range(1, readers + 2))
