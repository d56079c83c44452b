"""Which checks answer which alarm, and where to look for what the database cannot see."""

from handlers.diagnosis.checks import CHECKS
from handlers.diagnosis.model import Finding
from handlers.errors import InvalidRequestError

_SESSIONS = ("connections", "lock-waits", "long-transactions", "idle-in-transaction")
_REFRESH = ("progress-age", "refresh-runs", "progress-backlog")
_WAYS_IN = ("connection", "proxy", "connections")
_READS = ("indexes", "status-plan", "slow-statements")

ALARMS: dict[str, tuple[str, ...]] = {
    "outage": tuple(CHECKS),
    "api-errors": (*_WAYS_IN, "grants", "migrations", "progress-age", "lock-waits", "status-plan"),
    "api-slow": (*_WAYS_IN, *_READS, "progress-backlog", "lock-waits", "vacuum"),
    # Progress
    "progress-stale": ("connection", "proxy", *_REFRESH, "lock-waits", "grants", "migrations", "indexes"),
    "progress-lag": ("connection", *_REFRESH, "progress-coverage", "lock-waits"),
    "progress-backlog": ("connection", *_REFRESH, "long-transactions", "idle-in-transaction", "vacuum"),
    "refresh-overrun": ("connection", *_REFRESH, "lock-waits", "long-transactions", "vacuum", "migrations"),
    "progress-drift": ("connection", "progress-drift", "triggers"),
    "verification-missing": ("connection", "progress-drift", "refresh-runs", "triggers", "slow-statements"),
    # Schedule and functions
    "schedule-dropping": ("connection", "progress-age", "refresh-runs"),
    "schedule-failing": ("connection", "progress-age", "refresh-runs"),
    "status-failing": (*_WAYS_IN, "grants", "migrations"),
    "status-throttled": ("connection", "proxy", "status-plan", "lock-waits"),
    "status-slow": (*_WAYS_IN, *_READS, "progress-backlog", "lock-waits"),
    "refresh-failing": (*_WAYS_IN, *_REFRESH, "indexes", "lock-waits", "grants", "migrations"),
    "refresh-throttled": ("connection", "refresh-runs", "lock-waits"),
    "refresh-slow": ("connection", *_REFRESH, "lock-waits", "long-transactions", "vacuum"),
    "migration-failed": ("connection", "migrations", "indexes", "lock-waits", "long-transactions"),
    "migrate-throttled": ("connection", "migrations", "lock-waits", "long-transactions"),
    "migrate-slow": ("connection", "migrations", "lock-waits", "long-transactions", "idle-in-transaction"),
    # Sessions
    "database-connections": ("connection", *_SESSIONS, "slow-statements"),
    "lock-waits": ("connection", "lock-waits", "long-transactions", "idle-in-transaction"),
    "long-transaction": ("connection", "long-transactions", "idle-in-transaction", "lock-waits", "vacuum"),
    "slow-queries": ("connection", *_READS, "lock-waits", "vacuum"),
    "very-slow-queries": ("connection", *_READS, "lock-waits", "long-transactions"),
    "denied-statements": ("connection", "grants", "migrations"),
    # RDS Proxy
    "proxy-unavailable": _WAYS_IN,
    "proxy-borrow-slow": (*_WAYS_IN, "lock-waits", "long-transactions", "idle-in-transaction", "slow-statements"),
    "proxy-pinned": (*_WAYS_IN, "idle-in-transaction"),
    "proxy-saturated": (*_WAYS_IN, "lock-waits", "long-transactions", "idle-in-transaction", "slow-statements"),
    "proxy-logins-failing": (*_WAYS_IN, "grants"),
    # Instance
    "database-cpu": ("connection", "connections", *_READS, "refresh-runs", "vacuum"),
    "database-load": ("connection", *_SESSIONS, *_READS),
    "database-memory": ("connection", "connections", "slow-statements"),
    "database-cpu-credits": ("connection", "connections", *_READS),
    "transaction-ids": ("connection", "transaction-ids", "vacuum", "long-transactions", "idle-in-transaction"),
    # Disk
    "storage-low": ("connection", "storage", "vacuum", "long-transactions"),
    "storage-filling": ("connection", "storage", "vacuum", "long-transactions"),
    "disk-reads-slow": ("connection", *_READS, "vacuum"),
    "disk-writes-slow": ("connection", "migrations", "progress-backlog", "slow-statements", "vacuum"),
    "disk-throughput-spent": ("connection", *_READS, "migrations", "vacuum"),
    "disk-operations-spent": ("connection", *_READS, "migrations", "vacuum"),
    # Messages
    "notifications-failing": ("connection",),
    "database-events": (*_WAYS_IN, *_REFRESH, "storage"),
    "lifecycle-events": ("connection",),
}


def _log(what: str, group: str, *, pattern: str = "") -> tuple[str, str]:
    filtered = f" --filter-pattern '{pattern}'" if pattern else ""
    return what, f"aws logs tail {group} --since 1h{filtered}"


def _function_log(function: str) -> tuple[str, str]:
    return _log(f"the log of {function}", f"/aws/lambda/{{deployment}}-{function}", pattern="?ERROR ?WARN ?Task")


_EVENTS = (
    "the latest events of the instance",
    "aws rds describe-events --source-type db-instance --source-identifier {deployment} --duration 1440",
)
_PROXY = ("the proxy's targets", "aws rds describe-db-proxy-targets --db-proxy-name {deployment}")
_PROXY_LOG = _log("the log of the proxy", "/aws/rds/proxy/{deployment}")
_SCHEDULE = ("the schedule", "aws scheduler get-schedule --group-name {deployment} --name {deployment}-refresh")
_VERIFY = ("the schedule", "aws scheduler get-schedule --group-name {deployment} --name {deployment}-verify")
_ACCOUNT = ("the account's limit of concurrent executions", "aws lambda get-account-settings")
_INSTANCE = (
    "the instance: its state, class and storage",
    "aws rds describe-db-instances --db-instance-identifier {deployment}",
)

# Alarm -> what to look at, and the command that shows it.
HINTS: dict[str, tuple[str, str]] = {
    "outage": (
        "which alarms ring",
        "aws cloudwatch describe-alarms --state-value ALARM --alarm-name-prefix {deployment}-",
    ),
    "api-errors": _function_log("status"),
    "api-slow": _log("the access log of the API", "/aws/apigateway/{deployment}-api"),
    "progress-stale": _function_log("refresh"),
    "progress-drift": _function_log("refresh"),
    "verification-missing": _VERIFY,
    "schedule-dropping": _SCHEDULE,
    "schedule-failing": _SCHEDULE,
    "status-failing": _function_log("status"),
    "status-throttled": _ACCOUNT,
    "status-slow": _function_log("status"),
    "refresh-failing": _function_log("refresh"),
    "refresh-throttled": _ACCOUNT,
    "refresh-slow": _function_log("refresh"),
    "migration-failed": _function_log("migrate"),
    "migrate-throttled": _ACCOUNT,
    "migrate-slow": _function_log("migrate"),
    "denied-statements": _log(
        "the refused statements",
        "/aws/rds/instance/{deployment}/postgresql",
        pattern='?"permission denied" ?"read-only transaction"',
    ),
    "proxy-unavailable": _PROXY,
    "proxy-borrow-slow": _PROXY_LOG,
    "proxy-pinned": _PROXY_LOG,
    "proxy-saturated": _PROXY,
    "proxy-logins-failing": _PROXY_LOG,
    "database-cpu": _INSTANCE,
    "database-load": _INSTANCE,
    "database-memory": _INSTANCE,
    "database-cpu-credits": _INSTANCE,
    "storage-low": _INSTANCE,
    "storage-filling": _INSTANCE,
    "disk-reads-slow": _INSTANCE,
    "disk-writes-slow": _INSTANCE,
    "disk-throughput-spent": _INSTANCE,
    "disk-operations-spent": _INSTANCE,
    "notifications-failing": (
        "who is to be told, and who has confirmed",
        "aws sns list-subscriptions --query \"Subscriptions[?contains(TopicArn, '{deployment}-')]\"",
    ),
    "database-events": _EVENTS,
    "lifecycle-events": (
        "what waits to be done to the instance",
        "aws rds describe-pending-maintenance-actions",
    ),
}


def checks_of(alarm: str | None) -> tuple[str, ...]:
    """Return the names of the checks that answer an alarm; all of them without one.

    Raises:
        InvalidRequestError: there is no such alarm.

    """
    if alarm is None:
        return tuple(CHECKS)
    try:
        return ALARMS[alarm]
    except KeyError:
        message = f"alarm {alarm!r} is none of {', '.join(ALARMS)}"
        raise InvalidRequestError("unknown_alarm", message) from None


def hint(alarm: str | None, deployment: str) -> list[Finding]:
    """Return where to look for what the database cannot see of an alarm; nothing where it sees all."""
    if alarm not in HINTS:
        return []
    return [_finding(HINTS[alarm], deployment)]


def instance_hint(deployment: str) -> Finding:
    """Return where to look when the database does not answer."""
    return _finding(_INSTANCE, deployment)


def _finding(place: tuple[str, str], deployment: str) -> Finding:
    what, command = place
    return Finding(check="elsewhere", state="look", value=what, next=command.format(deployment=deployment))
