"""What `scannerdb doctor` holds a database against: thresholds of the alarms, and facts of the deployment."""

from handlers.contract.alarms import RECORDS
from handlers.contract.thresholds import Thresholds
from stacks.alarms import catalogue
from stacks.settings import Settings
from stacks.settings.cluster import VOLUME_GIB


def doctor_thresholds(settings: Settings) -> Thresholds:
    """Return the thresholds of one deployment."""
    alarms = {alarm.name: alarm for alarm in catalogue(settings)}
    return Thresholds(
        **{record.sets: alarms[record.name].threshold for record in RECORDS if record.sets and record.name in alarms},
        refresh_interval_s=settings.schedule.refresh_interval_s,
        slow_statement_ms=settings.database.log_min_duration_ms,
        storage_gib=VOLUME_GIB if settings.database.is_cluster else settings.database.max_allocated_storage_gib,
    )
