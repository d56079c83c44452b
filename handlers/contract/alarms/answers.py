"""What several alarms have in common: checks of the doctor, and what to look at besides the database."""

from handlers.contract.alarms.model import Look
from handlers.contract.names import database_log_group, function_log_group

SESSION_CHECKS = ("connections", "lock-waits", "long-transactions", "idle-in-transaction")
# What makes a refresh fail although all runs.
REFRESH_BLOCKS = ("views", "row-security", "replication")
REFRESH_CHECKS = ("progress-age", "refresh-runs", "progress-backlog")
WAYS_IN = ("connection", "proxy", "connections")
READ_CHECKS = ("indexes", "status-plan", "slow-statements")


def log(what: str, group: str, *, pattern: str = "", function: str = "") -> Look:
    """Return a look at the last hour of a log group.

    Args:
        what: in words.
        group: the log group's name.
        pattern: a filter pattern of CloudWatch Logs.
        function: set where `scannerdb logs FUNCTION` shows the same.

    """
    filtered = f" --filter-pattern '{pattern}'" if pattern else ""
    return Look(what=what, command=f"aws logs tail {group} --since 1h{filtered}", function=function)


def function_log(function: str) -> Look:
    """Return a look at the last hour of a function's log."""
    return log(
        f"the log of {function}",
        function_log_group("{prefix}", function),
        pattern="?ERROR ?WARN ?Task",
        function=function,
    )


INSTANCE_LOOK = Look(
    what="the database: its state, class and storage",
    command=("aws rds {database.facts.describe} {database.identifier} --query '{database.facts.shown}' --output table"),
)
EVENTS_LOOK = Look(
    what="the latest events of the database",
    command=(
        "aws rds describe-events --source-type db-{database.kind} --source-identifier {database.identifier} "
        "--duration 1440 --query 'Events[].{{At:Date,Event:Message}}' --output table"
    ),
)
PROXY_TARGETS_LOOK = Look(
    what="the proxy's targets: whether each is reached, and why not",
    command=(
        "aws rds describe-db-proxy-targets --db-proxy-name {prefix} "
        "--query 'Targets[].{{Target:RdsResourceId,Role:Role,State:TargetHealth.State,Reason:TargetHealth.Reason,"
        "Why:TargetHealth.Description}}' --output table"
    ),
)
SLOW_STATEMENTS_LOOK = log(
    "the slow statements, each with its plan", database_log_group("{database}"), pattern="duration"
)
CONCURRENCY_LOOK = Look(
    what="the account's limit of concurrent executions",
    command=(
        "aws lambda get-account-settings --query 'AccountLimit.{{Limit:ConcurrentExecutions,"
        "NotSetAside:UnreservedConcurrentExecutions}}' --output table"
    ),
)


def schedule(name: str) -> Look:
    """Return a look at a schedule of EventBridge."""
    return Look(
        what="the schedule",
        command=(
            f"aws scheduler get-schedule --group-name {{prefix}} --name {{prefix}}-{name} "
            "--query '{{State:State,Expression:ScheduleExpression,Target:Target.Arn}}' --output table"
        ),
    )
