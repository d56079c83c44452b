"""The saved queries, in the language of CloudWatch Logs Insights."""

from dataclasses import dataclass

from handlers.contract.names import (
    FUNCTIONS,
    MIGRATE,
    REFRESH,
    STATUS,
    access_log_group,
    function_log_group,
)
from stacks.settings import Settings

# RDS begins each line with `%t:%r:%u@%d:[%p]:`.
LINE_PREFIX = r"UTC:(?<client>[^(]*)\(\d+\):(?<user>[^@]*)@(?<database>[^:]*):\[(?<pid>\d+)\]"


@dataclass(frozen=True, kw_only=True)
class LogQuery:
    """One query.

    Args:
        name: what it finds.
        log_groups: where it looks.
        text: the query.

    """

    name: str
    log_groups: tuple[str, ...]
    text: str


def log_queries(settings: Settings) -> tuple[LogQuery, ...]:
    """Return the queries, in the order in which an on-call needs them."""
    return (
        slowest_statements(settings),
        LogQuery(
            name="denied statements",
            log_groups=(settings.rds_database.log_group(),),
            text=rf"""
parse @message /{LINE_PREFIX}:ERROR:  (?<refusal>(?:permission denied|must be owner|cannot execute).*)/
| filter ispresent(refusal)
| stats count(*) as statements, latest(@timestamp) as last by user, refusal
| sort statements desc
| limit 50
""".strip(),
        ),
        LogQuery(
            name="one request",
            # The API's line has two ids: its own, which `status` logs as correlation_id, and the function's, which is
            # in Lambda's lines and errors.
            log_groups=(access_log_group(settings.prefix), function_log_group(settings.prefix, STATUS)),
            text="""
fields @timestamp, @log, route, path, caller, status, latency_ms, error, integration_error, level, message, reason,
       errorType, errorMessage, record.status, record.metrics.durationMs
| filter @message like "PUT-THE-ID-HERE"
| sort @timestamp asc
| limit 100
""".strip(),
        ),
        LogQuery(
            name="refresh history",
            log_groups=(function_log_group(settings.prefix, REFRESH),),
            text="""
fields @timestamp, level, message, lag_s, backlog_rows, folded_rows, duration_ms, jobs, objects, drifted_jobs,
       mended_jobs
| filter ispresent(message) and ispresent(function_request_id)
| sort @timestamp desc
| limit 200
""".strip(),
        ),
        LogQuery(
            name="migration history",
            log_groups=(function_log_group(settings.prefix, MIGRATE),),
            text="""
fields @timestamp, level, message, already_applied, errorType, errorMessage
| filter (ispresent(message) and ispresent(function_request_id)) or ispresent(errorType)
| sort @timestamp desc
| limit 200
""".strip(),
        ),
        LogQuery(
            name="errors of all functions",
            log_groups=tuple(function_log_group(settings.prefix, function) for function in FUNCTIONS),
            text="""
fields @timestamp, @log, level, message, reason, errorType, errorMessage, record.status, function_request_id, requestId
| filter level in ["WARNING", "ERROR", "CRITICAL"] or ispresent(errorType)
      or (type = "platform.report" and record.status != "success")
| sort @timestamp desc
| limit 200
""".strip(),
        ),
    )


def slowest_statements(settings: Settings) -> LogQuery:
    """Return the query for the slowest statements, which the dashboard shows too.

    PostgreSQL logs the duration of a statement without its text where log_statement has logged the text already: in
    the line before, with the same pid.
    """
    return LogQuery(
        name="slowest statements",
        log_groups=(settings.rds_database.log_group(),),
        # Without auto_explain's plans, which repeat the statement.
        text=rf"""
parse @message /{LINE_PREFIX}:LOG:  duration: (?<duration_ms>[0-9.]+) ms(?:  (?<kind>[^:]+):\s*(?<statement>.*))?/
| filter ispresent(duration_ms) and (not ispresent(kind) or kind != "plan")
| sort duration_ms desc
| limit 50
| display @timestamp, duration_ms, user, database, pid, statement
""".strip(),
    )
