"""What the disk is short of."""

from stacks.alarms.metrics import database_metric
from stacks.alarms.model import HOUR_S, MINUTE_S, Alarm, Expression, Statistic
from stacks.settings import Settings


def storage(settings: Settings) -> tuple[Alarm, ...]:
    """Return the alarms of the disk."""
    free = database_metric(settings, "FreeStorageSpace")

    def slow(name: str, metric: str, meaning: str) -> Alarm:
        return Alarm(
            name=name,
            watches=Statistic(metric=database_metric(settings, metric), statistic="p90"),
            period_s=MINUTE_S,
            evaluation_periods=5,
            threshold=0.02,
            unit="s",
            missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
            severity="ticket",
            meaning=meaning,
        )

    def burst(name: str, metric: str, meaning: str) -> Alarm:
        return Alarm(
            name=name,
            watches=Statistic(metric=database_metric(settings, metric), statistic="Average"),
            period_s=MINUTE_S,
            evaluation_periods=3,
            comparison="LessThanThreshold",
            threshold=10,
            unit="%",
            missing_data="notBreaching",  # large classes have no burst balance
            severity="ticket",
            meaning=meaning,
        )

    return (
        Alarm(
            name="storage-low",
            watches=Statistic(metric=free, statistic="Minimum"),
            period_s=MINUTE_S,
            evaluation_periods=5,
            comparison="LessThanThreshold",
            # RDS adds storage below a tenth: this is where that did not happen.
            threshold=0.05 * settings.database.allocated_storage_gib * 1024**3,
            unit="bytes",
            missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
            severity="page",
            meaning="The disk is nearly full and did not grow; when it is full, the database stops.",
        ),
        Alarm(
            name="storage-filling",
            watches=Expression(
                label="time until the disk is full, at the rate of the last hour",
                # In hours; a year when the free space grows.
                formula="IF(RATE(free) < 0, free / (-3600 * RATE(free)), 8760)",
                inputs={"free": Statistic(metric=free, statistic="Minimum")},
            ),
            period_s=HOUR_S,
            evaluation_periods=3,
            comparison="LessThanThreshold",
            threshold=settings.alarms.storage_hours,
            unit="hours",
            missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
            severity="ticket",
            meaning="At the present rate the disk is full within days.",
        ),
        slow("disk-reads-slow", "ReadLatency", "Reads from the disk take long; the data no longer fits into memory."),
        slow("disk-writes-slow", "WriteLatency", "Writes to the disk take long; every commit waits for them."),
        burst("disk-throughput-spent", "EBSByteBalance%", "The instance has spent its burst of disk throughput."),
        burst("disk-operations-spent", "EBSIOBalance%", "The instance has spent its burst of disk operations."),
    )
