"""What lies behind the functions: proxy, instance, disk, and what the database's log says."""

from handlers.contract.alarms.cluster import CLUSTER
from handlers.contract.alarms.deployment import Deployment
from handlers.contract.alarms.instance import INSTANCE
from handlers.contract.alarms.metrics import SLOW_QUERIES, database_metric, proxy_metric, volume_metric
from handlers.contract.alarms.model import FIVE_MINUTES_S
from handlers.contract.alarms.proxy import PROXY
from handlers.contract.alarms.sessions import SESSIONS, STATEMENTS
from handlers.contract.alarms.storage import STORAGE
from stacks.monitoring.log_queries import slowest_statements
from stacks.monitoring.widgets.model import Graph, LogTable, Mark, Section, Series, series
from stacks.monitoring.widgets.units import MIB
from stacks.settings import Settings


def proxy(deployment: Deployment) -> Section:
    """Return what RDS Proxy publishes."""
    return Section(
        heading="Proxy",
        records=PROXY,
        rows=(
            (
                Graph(title="Reaches the database, %", alarms=("proxy-unavailable",)),
                Graph(
                    title="Wait for a connection, s",
                    alarms=("proxy-borrow-slow",),
                    series=(series(proxy_metric("QueryDatabaseResponseLatency"), "Average"),),
                ),
                Graph(
                    title="Connections borrowed",
                    alarms=("proxy-saturated",),
                    marks=(Mark(label="allowed", value=deployment.proxy_connections),),
                ),
            ),
            (
                Graph(title="Sessions pinned", alarms=("proxy-pinned",)),
                Graph(
                    title="Clients",
                    series=(
                        series(proxy_metric("ClientConnections"), "Sum"),
                        series(proxy_metric("ClientConnectionsReceived"), "Sum", on_the_right=True),
                    ),
                ),
                Graph(title="Logins refused in five minutes", alarms=("proxy-logins-failing",)),
            ),
        ),
    )


def instance() -> Section:
    """Return what the instance and its sessions are short of."""
    return Section(
        heading="Database",
        records=SESSIONS + INSTANCE,
        rows=(
            (
                Graph(
                    title="Connections, % of max_connections",
                    alarms=("database-connections",),
                    series=(series(database_metric("DatabaseConnections"), "Maximum", on_the_right=True),),
                ),
                Graph(title="Longest wait for a lock, s", alarms=("lock-waits",)),
            ),
            (
                Graph(title="CPU, %", alarms=("database-cpu",)),
                Graph(
                    title="Load: sessions at work",
                    alarms=("database-load",),
                    series=_averages("DBLoadCPU", "DBLoadNonCPU"),
                ),
                Graph(
                    title="Memory, GiB",
                    alarms=("database-memory",),
                    series=(series(database_metric("SwapUsage"), "Maximum"),),
                ),
                Graph(
                    title="CPU credits",
                    alarms=("database-cpu-credits",),
                    series=(series(database_metric("CPUSurplusCreditsCharged"), "Maximum", on_the_right=True),),
                ),
            ),
            (
                Graph(title="Oldest open transaction, s", alarms=("long-transaction",)),
                Graph(title="Transaction ids used", alarms=("transaction-ids",)),
            ),
        ),
    )


def storage() -> Section:
    """Return what the disk is short of."""
    return Section(
        heading="Disk",
        records=STORAGE,
        rows=(
            (
                Graph(title="Free, GiB", alarms=("storage-low",)),
                Graph(title="Hours until it is full", alarms=("storage-filling",)),
                Graph(title="Latency, s", alarms=("disk-reads-slow", "disk-writes-slow")),
            ),
            (
                Graph(title="Operations a second", series=_averages("ReadIOPS", "WriteIOPS")),
                Graph(title="MiB a second", series=_averages("ReadThroughput", "WriteThroughput"), divisor=MIB),
                Graph(title="Operations that wait", series=_averages("DiskQueueDepth")),
                Graph(title="Burst balance, %", alarms=("disk-throughput-spent", "disk-operations-spent")),
            ),
        ),
    )


def cluster() -> Section:
    """Return what the volume, the readers and the capacity of a cluster are short of."""
    return Section(
        heading="Disk: the volume of the cluster, its readers and its capacity",
        records=STORAGE + CLUSTER,
        rows=(
            (
                Graph(title="Used, GiB", alarms=("volume-nearly-full",)),
                Graph(title="Hours until the volume is at its limit", alarms=("volume-filling",)),
                Graph(title="Latency of the volume, s", alarms=("disk-reads-slow", "disk-writes-slow")),
                Graph(title="Latency of a commit, s", alarms=("commits-slow",)),
            ),
            (
                Graph(title="Operations a second", series=_averages("ReadIOPS", "WriteIOPS")),
                Graph(
                    title="Operations that are paid for, in five minutes",
                    series=tuple(
                        series(volume_metric(name), "Average", period_s=FIVE_MINUTES_S)
                        for name in ("VolumeReadIOPs", "VolumeWriteIOPs")
                    ),
                ),
                Graph(title="Reads from the cache, %", alarms=("cache-misses",)),
                Graph(title="Load of the busiest instance: sessions at work", alarms=("cluster-load",)),
            ),
        ),
    )


def statements(settings: Settings) -> Section:
    """Return what the database's log says."""
    return Section(
        heading=f"Statements: slow from {settings.database.log_min_duration_ms} ms on, or refused",
        records=STATEMENTS,
        rows=(
            (
                Graph(title="Slow statements in five minutes", alarms=("slow-queries",)),
                Graph(
                    title="How slow, s",
                    alarms=("very-slow-queries",),
                    series=(series(SLOW_QUERIES, "p50", period_s=FIVE_MINUTES_S),),
                ),
                Graph(title="Statements refused in five minutes", alarms=("denied-statements",)),
            ),
            (LogTable(title="The slowest statements", query=slowest_statements(settings)),),
        ),
    )


def _averages(*names: str) -> tuple[Series, ...]:
    return tuple(series(database_metric(name), "Average") for name in names)
