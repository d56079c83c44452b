"""The alarms of one deployment: the records of `handlers/contract/alarms/` with the facts of the settings."""

from handlers.contract.alarms import RECORDS
from handlers.contract.alarms.deployment import Deployment
from handlers.contract.alarms.model import Alarm
from stacks.settings import Settings
from stacks.settings.cluster import VOLUME_GIB
from stacks.settings.instance_classes import PROXY_CONNECTIONS_PERCENT

GIB = 1024**3


def facts(settings: Settings, *, api_id: str = "") -> Deployment:
    """Return what alarms need to know of a deployment."""
    database = settings.database
    instance = database.size
    return Deployment(
        prefix=settings.prefix,
        database=settings.rds_database,
        environment=settings.environment,
        api_id=api_id,
        refresh_interval_s=settings.schedule.refresh_interval_s,
        slow_statement_ms=database.log_min_duration_ms,
        vcpus=instance.vcpus,
        memory_bytes=instance.memory_gib * GIB,
        max_connections=database.session_limit,
        proxy_connections=database.session_limit * PROXY_CONNECTIONS_PERCENT / 100,
        storage_bytes=(VOLUME_GIB if database.is_cluster else database.allocated_storage_gib) * GIB,
        is_burstable=instance.is_burstable,
        has_performance_insights=database.performance_insights,
        readers=database.readers,
        is_serverless=database.capacity is not None,
        chosen=settings.alarms.model_dump(exclude={"emails", "runbook_url"}),
    )


def catalogue(settings: Settings, *, api_id: str = "") -> tuple[Alarm, ...]:
    """Return the alarms of one deployment, in the order of the records: users first."""
    deployment = facts(settings, api_id=api_id)
    return tuple(record.of(deployment) for record in RECORDS if record.is_for is None or record.is_for(deployment))
