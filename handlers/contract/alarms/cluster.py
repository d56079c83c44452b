"""What only an Aurora cluster can be short of: its volume, its readers, its capacity.

Metrics: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
"""

from handlers.contract.alarms.answers import INSTANCE_LOOK, READ_CHECKS, SESSION_CHECKS
from handlers.contract.alarms.deployment import Deployment, chosen, on_a_cluster
from handlers.contract.alarms.metrics import database_metric, volume_metric
from handlers.contract.alarms.model import FIVE_MINUTES_S, HOUR_S, MINUTE_S, AlarmRecord, Expression, Statistic

_USED = Statistic(metric=volume_metric("VolumeBytesUsed"), statistic="Maximum")
# "Maximum storage ... for temporary files" is about twice the memory of a class:
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Managing.TempStorage.html
_LOCAL_STORAGE_PER_MEMORY = 2


def _has_readers(deployment: Deployment) -> bool:
    return deployment.readers > 0


def _is_serverless(deployment: Deployment) -> bool:
    return deployment.is_serverless


CLUSTER = (
    AlarmRecord(
        name="cluster-load",
        is_for=on_a_cluster,
        # Performance Insights publishes by instance only. The query needs not know which of them writes.
        watches=Expression(
            label="sessions at work on the busiest instance",
            formula='SELECT MAX(DBLoad) FROM SCHEMA("AWS/RDS", DBInstanceIdentifier) WHERE {deployment.is_member}',
        ),
        period_s=MINUTE_S,
        evaluation_periods=15,
        threshold=lambda deployment: deployment.vcpus,
        unit="sessions",
        missing_data="notBreaching",  # no datum is no load
        severity="ticket",
        meaning="More sessions are at work than an instance has virtual CPUs ({deployment.vcpus}); they wait.",
        checks=("connection", *SESSION_CHECKS, *READ_CHECKS),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="commits-slow",
        is_for=on_a_cluster,
        watches=Statistic(metric=database_metric("CommitLatency"), statistic="Average"),
        period_s=MINUTE_S,
        evaluation_periods=5,
        threshold=50,
        unit="ms",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="ticket",
        meaning="Commits wait long for the volume; every write of the scanner takes longer by that.",
        checks=("connection", "progress-backlog", "slow-statements", "migrations", "vacuum"),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="cache-misses",
        is_for=on_a_cluster,
        watches=Statistic(metric=database_metric("BufferCacheHitRatio"), statistic="Average"),
        period_s=MINUTE_S,
        evaluation_periods=10,
        comparison="LessThanThreshold",
        threshold=80,
        unit="%",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="ticket",
        meaning="Many reads miss the cache and go to the volume; the data no longer fits into memory.",
        checks=("connection", *READ_CHECKS, "vacuum"),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="local-storage-low",
        # Serverless v2 does not publish it.
        is_for=lambda deployment: on_a_cluster(deployment) and not deployment.is_serverless,
        watches=Statistic(metric=database_metric("FreeLocalStorage"), statistic="Minimum"),
        period_s=MINUTE_S,
        evaluation_periods=5,
        comparison="LessThanThreshold",
        threshold=lambda deployment: 0.1 * _LOCAL_STORAGE_PER_MEMORY * deployment.memory_bytes,
        unit="bytes",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="ticket",
        meaning="The writer's own disk, for temporary files and logs, is nearly full; large sorts and builds fail.",
        checks=("connection", "slow-statements", "migrations", "long-transactions"),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="replica-lag",
        is_for=_has_readers,
        watches=Statistic(metric=database_metric("AuroraReplicaLagMaximum"), statistic="Maximum"),
        period_s=MINUTE_S,
        evaluation_periods=5,
        threshold=1000,
        unit="ms",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="ticket",
        meaning="A reader is behind the writer; dashboards read old rows, and the reader may restart.",
        checks=("connection", "long-transactions", "slow-statements", "vacuum"),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="capacity-used",
        is_for=_is_serverless,
        watches=Statistic(metric=database_metric("ACUUtilization"), statistic="Average"),
        period_s=MINUTE_S,
        evaluation_periods=15,
        threshold=90,
        unit="%",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="ticket",
        meaning="The cluster has scaled nearly to its most capacity; beyond it statements take longer.",
        checks=("connection", "connections", *READ_CHECKS, "refresh-runs", "vacuum"),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="volume-nearly-full",
        is_for=on_a_cluster,
        watches=_USED,
        period_s=FIVE_MINUTES_S,
        evaluation_periods=3,
        threshold=lambda deployment: 0.9 * deployment.storage_bytes,
        unit="bytes",
        missing_data="ignore",  # RDS publishes every five minutes; a gap says nothing new
        severity="ticket",
        meaning="The cluster's volume is near the size at which it grows no more; then every write fails.",
        checks=("connection", "storage", "vacuum"),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="volume-filling",
        is_for=on_a_cluster,
        watches=Expression(
            label="time until the volume is at its limit, at the rate of the last hour",
            # In hours; a year when it does not grow.
            formula=("IF(RATE(used) > 0, ({deployment.storage_bytes} - used) / (3600 * RATE(used)), 8760)"),
            inputs={"used": _USED},
        ),
        period_s=HOUR_S,
        evaluation_periods=3,
        comparison="LessThanThreshold",
        threshold=chosen("storage_hours"),
        unit="hours",
        missing_data="ignore",  # RDS publishes every five minutes; a gap says nothing new
        severity="ticket",
        meaning="At the present rate the cluster's volume is at its limit within days.",
        checks=("connection", "storage", "vacuum", "long-transactions"),
        look=INSTANCE_LOOK,
        sets="storage_hours",
    ),
)
