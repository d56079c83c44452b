"""What the database's sessions do to each other, and what its log says of their statements."""

from handlers.contract import metrics
from handlers.contract.alarms.answers import READ_CHECKS, SESSION_CHECKS, log
from handlers.contract.alarms.deployment import chosen, every_refresh
from handlers.contract.alarms.metrics import DENIED_STATEMENTS, SLOW_QUERIES, database_metric, refresh_metric
from handlers.contract.alarms.model import FIVE_MINUTES_S, MINUTE_S, AlarmRecord, Expression, Statistic
from handlers.contract.names import database_log_group

SESSIONS = (
    AlarmRecord(
        name="database-connections",
        watches=Expression(
            label="connections of {deployment.max_connections}",
            formula="100 * connections / {deployment.max_connections}",
            inputs={"connections": Statistic(metric=database_metric("DatabaseConnections"), statistic="Maximum")},
        ),
        period_s=MINUTE_S,
        evaluation_periods=5,
        threshold=chosen("connections_percent"),
        unit="%",
        missing_data="ignore",  # RDS publishes every minute; a gap says nothing new
        severity="page",
        meaning="Nearly every connection that the database takes is in use; soon no session gets in.",
        checks=("connection", *SESSION_CHECKS, "slow-statements", "parameters"),
        sets="connections_percent",
    ),
    AlarmRecord(
        name="lock-waits",
        watches=Statistic(metric=refresh_metric(metrics.LONGEST_LOCK_WAIT), statistic="Maximum"),
        period_s=every_refresh,
        evaluation_periods=2,
        threshold=chosen("lock_wait_s"),
        unit="s",
        missing_data="notBreaching",  # no refresh measured it: progress-stale rings
        severity="page",
        meaning="A session has waited long for a lock; the scanner or a deployment stands still behind it.",
        checks=("connection", "lock-waits", "long-transactions", "idle-in-transaction"),
        sets="lock_wait_s",
    ),
    AlarmRecord(
        name="long-transaction",
        watches=Statistic(metric=refresh_metric(metrics.OLDEST_TRANSACTION_AGE), statistic="Maximum"),
        period_s=every_refresh,
        evaluation_periods=2,
        threshold=chosen("transaction_s"),
        unit="s",
        missing_data="notBreaching",  # no refresh measured it: progress-stale rings
        severity="ticket",
        meaning="A transaction stays open; vacuum cannot clean up behind it, and reads get slower by the hour.",
        checks=("connection", "long-transactions", "idle-in-transaction", "lock-waits", "vacuum"),
        sets="transaction_s",
    ),
)

STATEMENTS = (
    AlarmRecord(
        name="slow-queries",
        watches=Statistic(metric=SLOW_QUERIES, statistic="SampleCount"),
        period_s=FIVE_MINUTES_S,
        threshold=chosen("slow_queries"),
        unit="statements",
        missing_data="notBreaching",  # no slow statement, no line, no datum
        severity="ticket",
        meaning="Statements take longer than {deployment.slow_statement_ms} ms; status reads may wait.",
        checks=("connection", *READ_CHECKS, "lock-waits", "vacuum", "parameters"),
    ),
    AlarmRecord(
        name="very-slow-queries",
        watches=Statistic(metric=SLOW_QUERIES, statistic="p99"),
        period_s=FIVE_MINUTES_S,
        evaluation_periods=3,
        datapoints_to_alarm=2,
        threshold=chosen("slow_query_p99_ms"),
        unit="ms",
        missing_data="notBreaching",  # no slow statement, no line, no datum
        severity="ticket",
        meaning="Single statements take very long, more than once; each holds a connection and old row versions.",
        checks=("connection", *READ_CHECKS, "lock-waits", "long-transactions"),
    ),
    AlarmRecord(
        name="denied-statements",
        watches=Statistic(metric=DENIED_STATEMENTS, statistic="Sum"),
        period_s=FIVE_MINUTES_S,
        threshold=chosen("denied_statements"),
        unit="statements",
        missing_data="notBreaching",  # nothing logged, no datum
        severity="ticket",
        meaning="A role is refused what it asks for: it lost a right, or a client uses the wrong role.",
        checks=("connection", "grants", "migrations"),
        look=log(
            "the refused statements",
            database_log_group("{database}"),
            pattern='?"permission denied" ?"read-only transaction"',
        ),
    ),
)
