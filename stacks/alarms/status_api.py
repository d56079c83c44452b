"""What the callers of the status API notice."""

from stacks.alarms.metrics import api_metric
from stacks.alarms.model import FIVE_MINUTES_S, MINUTE_S, Alarm, Statistic
from stacks.settings import Settings


def status_api(settings: Settings, api_id: str) -> tuple[Alarm, ...]:
    """Return the alarms of the HTTP API."""
    return (
        Alarm(
            name="api-errors",
            watches=Statistic(metric=api_metric(api_id, "5xx"), statistic="Sum"),
            period_s=FIVE_MINUTES_S,
            threshold=settings.alarms.api_errors,
            unit="answers",
            missing_data="notBreaching",  # no request, no error
            severity="page",
            meaning="The status API answers with 5xx; callers do not get their progress.",
        ),
        Alarm(
            name="api-slow",
            watches=Statistic(metric=api_metric(api_id, "Latency"), statistic="p90"),
            period_s=MINUTE_S,
            evaluation_periods=5,
            threshold=settings.alarms.api_latency_ms,
            unit="ms",
            missing_data="notBreaching",  # no request, nobody waits
            severity="ticket",
            meaning="One caller in ten waits long for an answer of the status API.",
        ),
    )
