"""What `scannerdb doctor` holds a database against: the thresholds of the alarms, and a few facts of the deployment."""

from stacks.alarms import catalogue
from stacks.settings import Settings

THRESHOLDS = {
    "lag_s": "progress-lag",
    "backlog_rows": "progress-backlog",
    "lock_wait_s": "lock-waits",
    "transaction_s": "long-transaction",
    "connections_percent": "database-connections",
    "transaction_ids": "transaction-ids",
    "storage_hours": "storage-filling",
}


def doctor_limits(settings: Settings) -> dict[str, float]:
    """Return the fields of `handlers.diagnosis.Limits`, the units in their names."""
    alarms = {alarm.name: alarm for alarm in catalogue(settings, api_id="")}
    return {
        **{name: alarms[alarm].threshold for name, alarm in THRESHOLDS.items()},
        "refresh_interval_s": 60 * settings.schedule.refresh_minutes,
        "slow_statement_ms": settings.database.log_min_duration_ms,
        "storage_gib": settings.database.max_allocated_storage_gib,
    }
