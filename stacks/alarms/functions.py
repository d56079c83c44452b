"""What Lambda says of the functions."""

from stacks.alarms.metrics import function_metric
from stacks.alarms.model import FIVE_MINUTES_S, MINUTE_S, Alarm, Statistic
from stacks.functions.timeouts import MIGRATE_TIMEOUT_S, REFRESH_TIMEOUT_S, STATUS_TIMEOUT_S
from stacks.settings import Settings


def functions(settings: Settings) -> tuple[Alarm, ...]:
    """Return the alarms of `status`, `refresh` and `migrate`. `doctor` has none: whoever invokes it reads its error."""
    interval_s = MINUTE_S * settings.schedule.refresh_minutes

    def failing(
        function: str, *, name: str, meaning: str, period_s: int = MINUTE_S, evaluation_periods: int = 3
    ) -> Alarm:
        return Alarm(
            name=name,
            watches=Statistic(metric=function_metric(settings, function, "Errors"), statistic="Sum"),
            period_s=period_s,
            evaluation_periods=evaluation_periods,
            threshold=1,
            unit="errors",
            missing_data="notBreaching",  # not invoked, no error
            severity="ticket",
            meaning=meaning,
        )

    def throttled(function: str, *, meaning: str) -> Alarm:
        return Alarm(
            name=f"{function}-throttled",
            watches=Statistic(metric=function_metric(settings, function, "Throttles"), statistic="Sum"),
            period_s=FIVE_MINUTES_S,
            threshold=3,
            unit="invocations",
            missing_data="notBreaching",  # not invoked, not throttled
            severity="ticket",
            meaning=meaning,
        )

    def slow(function: str, *, timeout_s: int, meaning: str) -> Alarm:
        return Alarm(
            name=f"{function}-slow",
            watches=Statistic(metric=function_metric(settings, function, "Duration"), statistic="Maximum"),
            period_s=FIVE_MINUTES_S,
            threshold=0.8 * 1000 * timeout_s,
            unit="ms",
            missing_data="notBreaching",  # not invoked, not slow
            severity="ticket",
            meaning=meaning,
        )

    return (
        failing("status", name="status-failing", meaning="The function status fails by itself, minute after minute."),
        throttled("status", meaning="More requests than the function status may serve at once; callers get 5xx."),
        slow("status", timeout_s=STATUS_TIMEOUT_S, meaning="A request came near the end of the time it may take."),
        failing(
            "refresh",
            name="refresh-failing",
            meaning="Three refreshes in a row raised an error; cached progress grows old.",
            period_s=interval_s,
        ),
        throttled("refresh", meaning="Refreshes are refused for want of concurrency; cached progress grows old."),
        slow("refresh", timeout_s=REFRESH_TIMEOUT_S, meaning="A refresh or verification came near its time limit."),
        failing(
            "migrate",
            name="migration-failed",
            meaning="A migration failed and its deployment stopped; the code in service is the old one.",
            period_s=FIVE_MINUTES_S,
            evaluation_periods=1,
        ),
        throttled("migrate", meaning="Deployments are refused because migrate is at work for another one."),
        slow("migrate", timeout_s=MIGRATE_TIMEOUT_S, meaning="A migration takes nearly as long as its function may."),
    )
