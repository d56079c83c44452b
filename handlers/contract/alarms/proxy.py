"""What RDS Proxy publishes."""

from handlers.contract.alarms.answers import PROXY_TARGETS_LOOK, WAYS_IN, log
from handlers.contract.alarms.metrics import proxy_metric
from handlers.contract.alarms.model import (
    FIVE_MINUTES_S,
    MINUTE_S,
    AlarmRecord,
    Expression,
    Metric,
    Statistic,
)

_LOG = log("the log of the proxy", "/aws/rds/proxy/{prefix}")
_BUSY = (*WAYS_IN, "lock-waits", "long-transactions", "idle-in-transaction", "slow-statements")


def _total(label: str, metric: str) -> Expression:
    # The proxy publishes these once a minute for each of its hosts, by target. A query needs not know the target's
    # name. An alarm may have one query only.
    schema = 'SCHEMA("AWS/RDS", ProxyName, Target, TargetGroup)'
    formula = f"SELECT SUM({metric}) FROM {schema} WHERE ProxyName = '{{deployment.prefix}}'"  # noqa: S608 - not SQL
    return Expression(label=label, formula=formula)


PROXY = (
    AlarmRecord(
        name="proxy-unavailable",
        watches=Statistic(
            metric=Metric(
                namespace="AWS/RDS",
                name="AvailabilityPercentage",
                dimensions={
                    "ProxyName": "{deployment.prefix}",
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
        checks=WAYS_IN,
        look=PROXY_TARGETS_LOOK,
    ),
    AlarmRecord(
        name="proxy-borrow-slow",
        watches=Statistic(metric=proxy_metric("DatabaseConnectionsBorrowLatency"), statistic="Average"),
        period_s=MINUTE_S,
        evaluation_periods=5,
        threshold=100_000,
        unit="µs",
        missing_data="notBreaching",  # no client asked for a connection
        severity="ticket",
        meaning="Clients wait for a connection to the database; every request is slower by that.",
        checks=_BUSY,
        look=_LOG,
    ),
    AlarmRecord(
        name="proxy-pinned",
        watches=_total("sessions that pin a connection", "DatabaseConnectionsCurrentlySessionPinned"),
        period_s=MINUTE_S,
        evaluation_periods=15,
        threshold=5,
        unit="sessions",
        missing_data="notBreaching",  # nothing pinned
        severity="ticket",
        meaning="Clients pin connections by setting or preparing something; the proxy cannot share them.",
        checks=(*WAYS_IN, "idle-in-transaction"),
        look=_LOG,
    ),
    AlarmRecord(
        name="proxy-saturated",
        watches=_total("connections borrowed", "DatabaseConnectionsCurrentlyBorrowed"),
        period_s=MINUTE_S,
        evaluation_periods=5,
        threshold=lambda deployment: 0.9 * deployment.proxy_connections,
        unit="connections",
        missing_data="notBreaching",  # nothing borrowed
        severity="ticket",
        meaning="Nearly every connection that the proxy may open is borrowed; clients begin to wait.",
        checks=_BUSY,
        look=PROXY_TARGETS_LOOK,
    ),
    AlarmRecord(
        name="proxy-logins-failing",
        watches=Statistic(metric=proxy_metric("ClientConnectionsSetupFailedAuth"), statistic="Sum"),
        period_s=FIVE_MINUTES_S,
        threshold=5,
        unit="logins",
        missing_data="notBreaching",  # no login refused, no datum
        severity="ticket",
        meaning="The proxy refuses logins: IAM permissions, tokens or TLS of a client are wrong.",
        checks=(*WAYS_IN, "grants"),
        look=_LOG,
    ),
)
