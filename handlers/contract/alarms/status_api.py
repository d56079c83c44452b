"""What the callers of the status API notice."""

from handlers.contract.alarms.answers import READ_CHECKS, WAYS_IN, function_log, log
from handlers.contract.alarms.deployment import chosen
from handlers.contract.alarms.metrics import api_metric
from handlers.contract.alarms.model import FIVE_MINUTES_S, MINUTE_S, AlarmRecord, Statistic
from handlers.contract.names import access_log_group

STATUS_API = (
    AlarmRecord(
        name="api-errors",
        watches=Statistic(metric=api_metric("5xx"), statistic="Sum"),
        period_s=FIVE_MINUTES_S,
        threshold=chosen("api_errors"),
        unit="answers",
        missing_data="notBreaching",  # no request, no error
        severity="page",
        meaning="The status API answers with 5xx; callers do not get their progress.",
        checks=(*WAYS_IN, "grants", "migrations", "views", "progress-age", "lock-waits", "status-plan"),
        look=function_log("status"),
    ),
    AlarmRecord(
        name="api-slow",
        watches=Statistic(metric=api_metric("Latency"), statistic="p90"),
        period_s=MINUTE_S,
        evaluation_periods=5,
        threshold=chosen("api_latency_ms"),
        unit="ms",
        missing_data="notBreaching",  # no request, no latency
        severity="ticket",
        meaning="One caller in ten waits long for an answer of the status API.",
        checks=(*WAYS_IN, *READ_CHECKS, "progress-backlog", "lock-waits", "vacuum"),
        look=log("the access log of the API", access_log_group("{prefix}")),
    ),
)
