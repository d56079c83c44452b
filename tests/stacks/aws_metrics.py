"""The metrics that AWS publishes of what is deployed here, as AWS documents them."""

# By namespace: where they are documented, and their names by the dimensions that we ask for.
AWS_METRICS: dict[str, tuple[str, dict[frozenset[str], frozenset[str]]]] = {
    "AWS/ApiGateway": (
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html",
        {frozenset({"ApiId"}): frozenset({"4xx", "5xx", "Count", "DataProcessed", "IntegrationLatency", "Latency"})},
    ),
    "AWS/Lambda": (
        "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html",
        {
            frozenset({"FunctionName"}): frozenset(
                {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"}
            )
        },
    ),
    "AWS/Scheduler": (
        "https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html",
        {
            frozenset({"ScheduleGroup"}): frozenset(
                {
                    *("InvocationAttemptCount", "TargetErrorCount", "TargetErrorThrottledCount"),
                    *("InvocationThrottleCount", "InvocationDroppedCount"),
                }
            )
        },
    ),
    "AWS/SNS": (
        "https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html",
        {
            frozenset({"TopicName"}): frozenset(
                {"NumberOfMessagesPublished", "NumberOfNotificationsDelivered", "NumberOfNotificationsFailed"}
            )
        },
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PerfInsights.Cloudwatch.html for DBLoad
    "AWS/RDS": (
        "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html and rds-proxy.monitoring.html",
        {
            frozenset({"DBInstanceIdentifier"}): frozenset(
                {
                    *("CPUUtilization", "CPUCreditBalance", "CPUSurplusCreditsCharged"),
                    *("DatabaseConnections", "DBLoad", "DBLoadCPU", "DBLoadNonCPU"),
                    *("FreeableMemory", "SwapUsage", "FreeStorageSpace", "MaximumUsedTransactionIDs"),
                    *("ReadIOPS", "WriteIOPS", "ReadLatency", "WriteLatency", "ReadThroughput", "WriteThroughput"),
                    *("DiskQueueDepth", "EBSByteBalance%", "EBSIOBalance%"),
                }
            ),
            frozenset({"ProxyName"}): frozenset(
                {
                    *("ClientConnections", "ClientConnectionsReceived", "ClientConnectionsSetupFailedAuth"),
                    *("DatabaseConnectionsBorrowLatency", "QueryDatabaseResponseLatency"),
                }
            ),
            frozenset({"ProxyName", "Target", "TargetGroup"}): frozenset(
                {"DatabaseConnectionsCurrentlyBorrowed", "DatabaseConnectionsCurrentlySessionPinned"}
            ),
            frozenset({"ProxyName", "TargetGroup", "TargetRole"}): frozenset({"AvailabilityPercentage"}),
        },
    ),
}
