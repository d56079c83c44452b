"""What the database's sessions do to each other."""

from stacks.alarms.metrics import database_metric, denied_statement_metric, refresh_metric, slow_query_metric
from stacks.alarms.model import FIVE_MINUTES_S, MINUTE_S, Alarm, Expression, Statistic
from stacks.settings import Settings
from stacks.settings.instance_classes import describe


def sessions(settings: Settings) -> tuple[Alarm, ...]:
    """Return the alarms of connections, locks and transactions."""
    interval_s = MINUTE_S * settings.schedule.refresh_minutes
    connections = describe(settings.database.instance_class).max_connections
    return (
        Alarm(
            name="database-connections",
            watches=Expression(
                label=f"connections of {connections}",
                formula=f"100 * connections / {connections}",
                inputs={
                    "connections": Statistic(
                        metric=database_metric(settings, "DatabaseConnections"), statistic="Maximum"
                    )
                },
            ),
            period_s=MINUTE_S,
            evaluation_periods=5,
            threshold=settings.alarms.connections_percent,
            unit="%",
            missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
            severity="page",
            meaning="Nearly every connection that the database takes is in use; soon nobody gets in.",
        ),
        Alarm(
            name="lock-waits",
            watches=Statistic(metric=refresh_metric(settings, "LongestLockWait"), statistic="Maximum"),
            period_s=interval_s,
            evaluation_periods=2,
            threshold=settings.alarms.lock_wait_s,
            unit="s",
            missing_data="notBreaching",  # no refresh looked: progress-stale tells
            severity="page",
            meaning="A session has waited long for a lock; the scanner or a deployment stands still behind it.",
        ),
        Alarm(
            name="long-transaction",
            watches=Statistic(metric=refresh_metric(settings, "OldestTransactionAge"), statistic="Maximum"),
            period_s=interval_s,
            evaluation_periods=2,
            threshold=settings.alarms.transaction_s,
            unit="s",
            missing_data="notBreaching",  # no refresh looked: progress-stale tells
            severity="ticket",
            meaning="A transaction stays open; vacuum cannot clean up behind it, and reads get slower by the hour.",
        ),
    )


def statements(settings: Settings) -> tuple[Alarm, ...]:
    """Return the alarms made of the database's log."""
    return (
        Alarm(
            name="slow-queries",
            watches=Statistic(metric=slow_query_metric(settings), statistic="SampleCount"),
            period_s=FIVE_MINUTES_S,
            threshold=settings.alarms.slow_queries,
            unit="statements",
            missing_data="notBreaching",  # no slow statement, no line, no datum
            severity="ticket",
            meaning=f"Statements take longer than {settings.database.log_min_duration_ms} ms; status reads may wait.",
        ),
        Alarm(
            name="very-slow-queries",
            watches=Statistic(metric=slow_query_metric(settings), statistic="p99"),
            period_s=FIVE_MINUTES_S,
            evaluation_periods=3,
            datapoints_to_alarm=2,
            threshold=settings.alarms.slow_query_p99_ms,
            unit="ms",
            missing_data="notBreaching",  # no slow statement, no line, no datum
            severity="ticket",
            meaning="Single statements take very long, more than once; each holds a connection and old row versions.",
        ),
        Alarm(
            name="denied-statements",
            watches=Statistic(metric=denied_statement_metric(settings), statistic="Sum"),
            period_s=FIVE_MINUTES_S,
            threshold=settings.alarms.denied_statements,
            unit="statements",
            missing_data="notBreaching",  # nothing logged, no datum
            severity="ticket",
            meaning="A role is refused what it asks for: it lost a right, or somebody uses the wrong role.",
        ),
    )
