"""What the instance is short of."""

from handlers.contract.alarms.answers import INSTANCE_LOOK, READ_CHECKS, SESSION_CHECKS
from handlers.contract.alarms.deployment import on_an_instance
from handlers.contract.alarms.metrics import database_metric
from handlers.contract.alarms.model import FIVE_MINUTES_S, MINUTE_S, AlarmRecord, Statistic

INSTANCE = (
    AlarmRecord(
        name="database-cpu",
        watches=Statistic(metric=database_metric("CPUUtilization"), statistic="Average"),
        period_s=MINUTE_S,
        evaluation_periods=5,
        threshold=90,
        unit="%",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="ticket",
        meaning="The database's CPU is nearly used up; statements take longer.",
        checks=("connection", "connections", *READ_CHECKS, "refresh-runs", "vacuum"),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="database-load",
        is_for=lambda deployment: on_an_instance(deployment) and deployment.has_performance_insights,
        watches=Statistic(metric=database_metric("DBLoad"), statistic="Average"),
        period_s=MINUTE_S,
        evaluation_periods=15,
        threshold=lambda deployment: deployment.vcpus,
        unit="sessions",
        # No datum is no load: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PerfInsights.Cloudwatch.html
        missing_data="notBreaching",
        severity="ticket",
        meaning="More sessions are at work than the instance has virtual CPUs ({deployment.vcpus}); they wait.",
        checks=("connection", *SESSION_CHECKS, *READ_CHECKS),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="database-memory",
        watches=Statistic(metric=database_metric("FreeableMemory"), statistic="Average"),
        period_s=MINUTE_S,
        evaluation_periods=15,
        comparison="LessThanThreshold",
        threshold=lambda deployment: 0.05 * deployment.memory_bytes,
        unit="bytes",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="ticket",
        meaning="Little memory is left for the file cache; reads go to the disk, and the database may restart.",
        checks=("connection", "connections", "slow-statements"),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="database-cpu-credits",
        is_for=lambda deployment: deployment.is_burstable,
        watches=Statistic(metric=database_metric("CPUCreditBalance"), statistic="Minimum"),
        # "CPU credit metrics are available at a five-minute frequency only":
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html
        period_s=FIVE_MINUTES_S,
        # A new instance begins with none, and the smallest of ours earns 24 an hour.
        evaluation_periods=24,
        comparison="LessThanThreshold",
        threshold=20,
        unit="credits",
        missing_data="ignore",  # RDS publishes every five minutes; a gap says nothing new
        severity="ticket",
        meaning="The burstable instance had hardly any CPU credits for two hours; it costs more or gets slower.",
        checks=("connection", "connections", *READ_CHECKS),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="transaction-ids",
        watches=Statistic(metric=database_metric("MaximumUsedTransactionIDs"), statistic="Average"),
        period_s=MINUTE_S,
        threshold=1_000_000_000,
        unit="transactions",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="ticket",
        meaning="Vacuum does not keep up; at two billion the database refuses every write.",
        checks=("connection", "transaction-ids", "vacuum", "long-transactions", "idle-in-transaction"),
        sets="transaction_ids",
    ),
)
