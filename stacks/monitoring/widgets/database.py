"""What lies behind the functions: proxy, instance, disk, and what the database's log says."""

from stacks.alarms.metrics import database_metric, proxy_metric, slow_query_metric
from stacks.alarms.model import FIVE_MINUTES_S
from stacks.functions.timeouts import PROXY_CONNECTIONS_PERCENT
from stacks.monitoring.log_queries import slowest_statements
from stacks.monitoring.widgets.model import Graph, Line, LogTable, Mark, Section, line
from stacks.settings import Settings
from stacks.settings.instance_classes import describe


def proxy(settings: Settings) -> Section:
    """Return what RDS Proxy says."""

    def proxy(name: str, statistic: str, *, on_the_right: bool = False) -> Line:
        return line(proxy_metric(settings, name), statistic, on_the_right=on_the_right)

    allowed = describe(settings.database.instance_class).max_connections * PROXY_CONNECTIONS_PERCENT / 100
    return Section(
        heading="Proxy",
        rows=(
            (
                Graph(title="Reaches the database, %", alarms=("proxy-unavailable",)),
                Graph(
                    title="Wait for a connection, µs",
                    alarms=("proxy-borrow-slow",),
                    lines=(proxy("QueryDatabaseResponseLatency", "Average"),),
                ),
                Graph(
                    title="Connections borrowed",
                    alarms=("proxy-saturated",),
                    marks=(Mark(label="allowed", value=allowed),),
                ),
            ),
            (
                Graph(title="Sessions pinned", alarms=("proxy-pinned",)),
                Graph(
                    title="Clients",
                    lines=(
                        proxy("ClientConnections", "Sum"),
                        proxy("ClientConnectionsReceived", "Sum", on_the_right=True),
                    ),
                ),
                Graph(title="Logins refused in five minutes", alarms=("proxy-logins-failing",)),
            ),
        ),
    )


def database(settings: Settings) -> Section:
    """Return what the instance and its sessions are short of."""

    def database(name: str, statistic: str, *, on_the_right: bool = False) -> Line:
        return line(database_metric(settings, name), statistic, on_the_right=on_the_right)

    is_burstable = describe(settings.database.instance_class).is_burstable
    cpu_credits = Graph(
        title="CPU credits",
        alarms=("database-cpu-credits",),
        lines=(database("CPUSurplusCreditsCharged", "Maximum", on_the_right=True),),
    )
    return Section(
        heading="Database",
        rows=(
            (
                Graph(title="CPU, %", alarms=("database-cpu",)),
                Graph(
                    title="Load: sessions at work",
                    alarms=("database-load",),
                    lines=(database("DBLoadCPU", "Average"), database("DBLoadNonCPU", "Average")),
                ),
                Graph(
                    title="Connections, % of max_connections",
                    alarms=("database-connections",),
                    lines=(database("DatabaseConnections", "Maximum", on_the_right=True),),
                ),
                Graph(title="Memory, bytes", alarms=("database-memory",), lines=(database("SwapUsage", "Maximum"),)),
            ),
            (
                Graph(title="Longest wait for a lock, s", alarms=("lock-waits",)),
                Graph(title="Oldest open transaction, s", alarms=("long-transaction",)),
                Graph(title="Transaction ids used", alarms=("transaction-ids",)),
                *((cpu_credits,) if is_burstable else ()),
            ),
        ),
    )


def storage(settings: Settings) -> Section:
    """Return what the disk is short of."""

    def database(name: str) -> Line:
        return line(database_metric(settings, name), "Average")

    return Section(
        heading="Disk",
        rows=(
            (
                Graph(title="Free, bytes", alarms=("storage-low",)),
                Graph(title="Hours until it is full", alarms=("storage-filling",)),
                Graph(title="Latency, s", alarms=("disk-reads-slow", "disk-writes-slow")),
            ),
            (
                Graph(title="Operations a second", lines=(database("ReadIOPS"), database("WriteIOPS"))),
                Graph(title="Bytes a second", lines=(database("ReadThroughput"), database("WriteThroughput"))),
                Graph(title="Operations that wait", lines=(database("DiskQueueDepth"),)),
                Graph(title="Burst balance, %", alarms=("disk-throughput-spent", "disk-operations-spent")),
            ),
        ),
    )


def statements(settings: Settings) -> Section:
    """Return what the database's log says."""
    slow = slow_query_metric(settings)
    return Section(
        heading=f"Statements: slow from {settings.database.log_min_duration_ms} ms on, or refused",
        rows=(
            (
                Graph(title="Slow statements in five minutes", alarms=("slow-queries",)),
                Graph(
                    title="How slow, ms",
                    alarms=("very-slow-queries",),
                    lines=(line(slow, "p50", period_s=FIVE_MINUTES_S),),
                ),
                Graph(title="Statements refused in five minutes", alarms=("denied-statements",)),
            ),
            (LogTable(title="The slowest statements", query=slowest_statements(settings)),),
        ),
    )
