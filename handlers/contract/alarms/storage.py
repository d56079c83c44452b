"""What the disk is short of."""

from handlers.contract.alarms.answers import INSTANCE_LOOK, READ_CHECKS
from handlers.contract.alarms.deployment import chosen, on_an_instance
from handlers.contract.alarms.metrics import database_metric
from handlers.contract.alarms.model import HOUR_S, MINUTE_S, AlarmRecord, Expression, Statistic

_FREE = Statistic(metric=database_metric("FreeStorageSpace"), statistic="Minimum")


def _slow(name: str, metric: str, meaning: str, *, checks: tuple[str, ...]) -> AlarmRecord:
    return AlarmRecord(
        name=name,
        watches=Statistic(metric=database_metric(metric), statistic="p90"),
        period_s=MINUTE_S,
        evaluation_periods=5,
        threshold=0.02,
        unit="s",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="ticket",
        meaning=meaning,
        checks=checks,
        look=INSTANCE_LOOK,
    )


def _burst(name: str, metric: str, meaning: str) -> AlarmRecord:
    return AlarmRecord(
        name=name,
        is_for=on_an_instance,
        watches=Statistic(metric=database_metric(metric), statistic="Average"),
        period_s=MINUTE_S,
        evaluation_periods=3,
        comparison="LessThanThreshold",
        threshold=10,
        unit="%",
        missing_data="notBreaching",  # large classes have no burst balance
        severity="ticket",
        meaning=meaning,
        checks=("connection", *READ_CHECKS, "migrations", "vacuum"),
        look=INSTANCE_LOOK,
    )


STORAGE = (
    AlarmRecord(
        name="storage-low",
        is_for=on_an_instance,
        watches=_FREE,
        period_s=MINUTE_S,
        evaluation_periods=5,
        comparison="LessThanThreshold",
        # RDS adds storage below a tenth, so this much less means that it did not.
        threshold=lambda deployment: 0.05 * deployment.storage_bytes,
        unit="bytes",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="page",
        meaning="The disk is nearly full and did not grow; when it is full, the database stops.",
        checks=("connection", "storage", "vacuum", "long-transactions"),
        look=INSTANCE_LOOK,
    ),
    AlarmRecord(
        name="storage-filling",
        is_for=on_an_instance,
        watches=Expression(
            label="time until the disk is full, at the rate of the last hour",
            # In hours; a year when the free space grows.
            formula="IF(RATE(free) < 0, free / (-3600 * RATE(free)), 8760)",
            inputs={"free": _FREE},
        ),
        period_s=HOUR_S,
        evaluation_periods=3,
        comparison="LessThanThreshold",
        threshold=chosen("storage_hours"),
        unit="hours",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="ticket",
        meaning="At the present rate the disk is full within days.",
        checks=("connection", "storage", "vacuum", "long-transactions"),
        look=INSTANCE_LOOK,
        sets="storage_hours",
    ),
    _slow(
        "disk-reads-slow",
        "ReadLatency",
        "Reads from the disk take long; the data no longer fits into memory.",
        checks=("connection", *READ_CHECKS, "vacuum"),
    ),
    _slow(
        "disk-writes-slow",
        "WriteLatency",
        "Writes to the disk take long; every commit waits for them.",
        checks=("connection", "migrations", "progress-backlog", "slow-statements", "vacuum"),
    ),
    _burst("disk-throughput-spent", "EBSByteBalance%", "The instance has spent its burst of disk throughput."),
    _burst("disk-operations-spent", "EBSIOBalance%", "The instance has spent its burst of disk operations."),
)
