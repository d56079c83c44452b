"""What RDS Proxy says."""

from stacks.alarms.metrics import proxy_metric
from stacks.alarms.model import FIVE_MINUTES_S, MINUTE_S, Alarm, Expression, Metric, Statistic
from stacks.functions.timeouts import PROXY_CONNECTIONS_PERCENT
from stacks.settings import Settings
from stacks.settings.instance_classes import describe


def proxy(settings: Settings) -> tuple[Alarm, ...]:
    """Return the alarms of RDS Proxy."""

    def query(label: str, metric: str) -> Expression:
        # The proxy publishes these once a minute for each of its hosts, by target; a query needs not know how it names
        # the target. An alarm takes one query only.
        schema = 'SCHEMA("AWS/RDS", ProxyName, Target, TargetGroup)'
        formula = f"SELECT SUM({metric}) FROM {schema} WHERE ProxyName = '{settings.prefix}'"  # noqa: S608 - not SQL
        return Expression(label=label, formula=formula)

    allowed = describe(settings.database.instance_class).max_connections * PROXY_CONNECTIONS_PERCENT / 100

    return (
        Alarm(
            name="proxy-unavailable",
            watches=Statistic(
                metric=Metric(
                    namespace="AWS/RDS",
                    name="AvailabilityPercentage",
                    dimensions={
                        "ProxyName": settings.prefix,
                        "TargetGroup": "default",
                        "TargetRole": "READ_WRITE",
                    },
                ),
                statistic="Average",
            ),
            period_s=MINUTE_S,
            evaluation_periods=3,
            comparison="LessThanThreshold",
            threshold=90,
            unit="%",
            missing_data="notBreaching",  # there is none before the first connection
            severity="page",
            meaning="The proxy does not reach the database; neither the scanner nor the functions do.",
        ),
        Alarm(
            name="proxy-borrow-slow",
            watches=Statistic(metric=proxy_metric(settings, "DatabaseConnectionsBorrowLatency"), statistic="Average"),
            period_s=MINUTE_S,
            evaluation_periods=5,
            threshold=100_000,
            unit="µs",
            missing_data="notBreaching",  # nobody asked for a connection
            severity="ticket",
            meaning="Clients wait for a connection to the database; every request is slower by that.",
        ),
        Alarm(
            name="proxy-pinned",
            watches=query("sessions that pin a connection", "DatabaseConnectionsCurrentlySessionPinned"),
            period_s=MINUTE_S,
            evaluation_periods=15,
            threshold=5,
            unit="sessions",
            missing_data="notBreaching",  # nothing pinned
            severity="ticket",
            meaning="Clients pin connections by setting or preparing something; the proxy cannot share them.",
        ),
        Alarm(
            name="proxy-saturated",
            watches=query("connections borrowed", "DatabaseConnectionsCurrentlyBorrowed"),
            period_s=MINUTE_S,
            evaluation_periods=5,
            threshold=0.9 * allowed,
            unit="connections",
            missing_data="notBreaching",  # nothing borrowed
            severity="ticket",
            meaning="Nearly every connection that the proxy may open is borrowed; clients begin to wait.",
        ),
        Alarm(
            name="proxy-logins-failing",
            watches=Statistic(metric=proxy_metric(settings, "ClientConnectionsSetupFailedAuth"), statistic="Sum"),
            period_s=FIVE_MINUTES_S,
            threshold=5,
            unit="logins",
            missing_data="notBreaching",  # nobody was refused
            severity="ticket",
            meaning="The proxy refuses logins: IAM permissions, tokens or TLS of a client are wrong.",
        ),
    )
