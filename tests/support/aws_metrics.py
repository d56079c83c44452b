"""The metrics that AWS publishes of what is deployed here, as AWS documents them."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Documented(NamedTuple):
    """What AWS says of a metric.

    Args:
        unit: in which it is published; `count` for a number of things.
        kind: `events` are added up; a `level` is worse when it is high, a `reserve` when it is low.
        is_steady: whether it is published in every period, also when nothing happens.

    """

    unit: Literal["count", "%", "s", "ms", "µs", "bytes", "bytes/s"]
    kind: Literal["events", "level", "reserve"]
    is_steady: bool = False


def _each(names: str, *documented: object) -> dict[str, Documented]:
    return dict.fromkeys(names.split(), Documented(*documented))


# By namespace and dimensions.
AWS_METRICS: dict[tuple[str, frozenset[str]], dict[str, Documented]] = {
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    ("AWS/ApiGateway", frozenset({"ApiId"})): {
        **_each("4xx 5xx Count", "count", "events"),
        **_each("IntegrationLatency Latency", "ms", "level"),
        **_each("DataProcessed", "bytes", "events"),
    },
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    ("AWS/Lambda", frozenset({"FunctionName"})): {
        **_each("Errors Invocations Throttles", "count", "events"),
        **_each("ConcurrentExecutions", "count", "level"),
        **_each("Duration", "ms", "level"),
    },
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
    ("AWS/Scheduler", frozenset({"ScheduleGroup"})): _each(
        "InvocationAttemptCount InvocationDroppedCount InvocationThrottleCount TargetErrorCount "
        "TargetErrorThrottledCount",
        *("count", "events"),
    ),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
    ("AWS/SNS", frozenset({"TopicName"})): _each(
        "NumberOfMessagesPublished NumberOfNotificationsDelivered NumberOfNotificationsFailed", "count", "events"
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html, and for DBLoad
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PerfInsights.Cloudwatch.html
    ("AWS/RDS", frozenset({"DBInstanceIdentifier"})): {
        **_each("CPUUtilization", "%", "level", True),
        **_each("CPUCreditBalance", "count", "reserve", True),
        **_each("CPUCreditUsage CPUSurplusCreditBalance CPUSurplusCreditsCharged", "count", "level", True),
        **_each("DatabaseConnections DiskQueueDepth", "count", "level", True),
        # "published to CloudWatch only if there is load on the DB instance"
        **_each("DBLoad DBLoadCPU DBLoadNonCPU", "count", "level"),
        **_each("MaximumUsedTransactionIDs ReadIOPS WriteIOPS", "count", "level", True),
        **_each("FreeableMemory FreeStorageSpace", "bytes", "reserve", True),
        **_each("OldestReplicationSlotLag ReplicationSlotDiskUsage SwapUsage", "bytes", "level", True),
        **_each("TransactionLogsDiskUsage", "bytes", "level", True),
        **_each("NetworkReceiveThroughput NetworkTransmitThroughput", "bytes/s", "level", True),
        **_each("ReadThroughput TransactionLogsGeneration WriteThroughput", "bytes/s", "level", True),
        **_each("ReadLatency WriteLatency", "s", "level", True),
        # Of small classes only.
        **_each("EBSByteBalance% EBSIOBalance%", "%", "reserve"),
    },
    # Each metric of an instance of Aurora, summed up by role: the writer's.
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
    ("AWS/RDS", frozenset({"DBClusterIdentifier", "Role"})): {
        **_each("ACUUtilization CPUUtilization", "%", "level", True),
        **_each("BufferCacheHitRatio", "%", "reserve", True),
        **_each("CPUCreditBalance", "count", "reserve", True),
        **_each("AuroraReplicaLag AuroraReplicaLagMaximum CommitLatency", "ms", "level", True),
        **_each("CPUCreditUsage CPUSurplusCreditBalance CPUSurplusCreditsCharged", "count", "level", True),
        **_each("DatabaseConnections DiskQueueDepth ServerlessDatabaseCapacity", "count", "level", True),
        **_each("MaximumUsedTransactionIDs ReadIOPS WriteIOPS", "count", "level", True),
        **_each("FreeableMemory FreeLocalStorage", "bytes", "reserve", True),
        **_each("SwapUsage TransactionLogsDiskUsage", "bytes", "level", True),
        **_each("NetworkReceiveThroughput NetworkTransmitThroughput ReadThroughput", "bytes/s", "level", True),
        **_each("StorageNetworkThroughput WriteThroughput", "bytes/s", "level", True),
        **_each("ReadLatency WriteLatency", "s", "level", True),
    },
    ("AWS/RDS", frozenset({"DBClusterIdentifier"})): {
        **_each("VolumeBytesUsed", "bytes", "level", True),
        **_each("VolumeReadIOPs VolumeWriteIOPs", "count", "level", True),
    },
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.monitoring.html
    ("AWS/RDS", frozenset({"ProxyName"})): {
        **_each("ClientConnections", "count", "level"),
        **_each("ClientConnectionsReceived ClientConnectionsSetupFailedAuth", "count", "events"),
        **_each("DatabaseConnectionsBorrowLatency QueryDatabaseResponseLatency", "µs", "level"),
    },
    ("AWS/RDS", frozenset({"ProxyName", "Target", "TargetGroup"})): _each(
        "DatabaseConnectionsCurrentlyBorrowed DatabaseConnectionsCurrentlySessionPinned", "count", "level"
    ),
    ("AWS/RDS", frozenset({"ProxyName", "TargetGroup", "TargetRole"})): _each("AvailabilityPercentage", "%", "reserve"),
}

# The alarms that AWS recommends on these metrics: statistic, seconds of a period, periods.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
RECOMMENDED: dict[tuple[str, str], tuple[str, int, int]] = {
    ("AWS/ApiGateway", "Latency"): ("p90", 60, 5),
    ("AWS/RDS", "CPUUtilization"): ("Average", 60, 5),
    ("AWS/RDS", "DBLoad"): ("Average", 60, 15),
    ("AWS/RDS", "FreeableMemory"): ("Average", 60, 15),
    ("AWS/RDS", "FreeStorageSpace"): ("Minimum", 60, 5),
    ("AWS/RDS", "MaximumUsedTransactionIDs"): ("Average", 60, 1),
    ("AWS/RDS", "ReadLatency"): ("p90", 60, 5),
    ("AWS/RDS", "WriteLatency"): ("p90", 60, 5),
}
