"""What Lambda publishes of the functions. `doctor` has no alarm: its caller sees the error."""

from collections.abc import Callable

from handlers.contract import timeouts
from handlers.contract.alarms.answers import (
    CONCURRENCY_LOOK,
    READ_CHECKS,
    REFRESH_BLOCKS,
    REFRESH_CHECKS,
    WAYS_IN,
    function_log,
)
from handlers.contract.alarms.deployment import Deployment, every_refresh
from handlers.contract.alarms.metrics import function_metric
from handlers.contract.alarms.model import FIVE_MINUTES_S, MINUTE_S, AlarmRecord, Statistic
from handlers.contract.timeouts import FunctionLimits


def _failing(
    function: str,
    *,
    name: str,
    meaning: str,
    checks: tuple[str, ...],
    period_s: int | Callable[[Deployment], int],
    evaluation_periods: int,
) -> AlarmRecord:
    return AlarmRecord(
        name=name,
        watches=Statistic(metric=function_metric(function, "Errors"), statistic="Sum"),
        period_s=period_s,
        evaluation_periods=evaluation_periods,
        threshold=1,
        unit="errors",
        missing_data="notBreaching",  # not invoked, no error
        severity="ticket",
        meaning=meaning,
        checks=checks,
        look=function_log(function),
    )


def _throttled(function: str, *, meaning: str, checks: tuple[str, ...]) -> AlarmRecord:
    return AlarmRecord(
        name=f"{function}-throttled",
        watches=Statistic(metric=function_metric(function, "Throttles"), statistic="Sum"),
        period_s=FIVE_MINUTES_S,
        threshold=3,
        unit="invocations",
        missing_data="notBreaching",  # not invoked, not throttled
        severity="ticket",
        meaning=meaning,
        checks=checks,
        look=CONCURRENCY_LOOK,
    )


def _slow(function: str, *, limits: FunctionLimits, meaning: str, checks: tuple[str, ...]) -> AlarmRecord:
    return AlarmRecord(
        name=f"{function}-slow",
        watches=Statistic(metric=function_metric(function, "Duration"), statistic="Maximum"),
        period_s=FIVE_MINUTES_S,
        threshold=0.8 * 1000 * limits.function_s,
        unit="ms",
        missing_data="notBreaching",  # not invoked, not slow
        severity="ticket",
        meaning=meaning,
        checks=checks,
        look=function_log(function),
    )


FUNCTIONS = (
    _failing(
        "status",
        name="status-failing",
        meaning="The function status fails by itself, minute after minute.",
        checks=(*WAYS_IN, "grants", "migrations", "views"),
        period_s=MINUTE_S,
        evaluation_periods=3,
    ),
    _throttled(
        "status",
        meaning="More requests than the function status may serve at once; callers get 5xx.",
        checks=("connection", "proxy", "status-plan", "lock-waits"),
    ),
    _slow(
        "status",
        limits=timeouts.STATUS,
        meaning="A request came near the end of the time it may take.",
        checks=(*WAYS_IN, *READ_CHECKS, "progress-backlog", "lock-waits"),
    ),
    _failing(
        "refresh",
        name="refresh-failing",
        meaning="Three refreshes in a row raised an error; cached progress grows old.",
        checks=(*WAYS_IN, *REFRESH_CHECKS, *REFRESH_BLOCKS, "indexes", "lock-waits", "grants", "migrations"),
        period_s=every_refresh,
        evaluation_periods=3,
    ),
    _throttled(
        "refresh",
        meaning="Refreshes are refused for want of concurrency; cached progress grows old.",
        checks=("connection", "refresh-runs", "lock-waits"),
    ),
    _slow(
        "refresh",
        limits=timeouts.REFRESH,
        meaning="A refresh or verification came near its time limit.",
        checks=("connection", *REFRESH_CHECKS, "lock-waits", "long-transactions", "vacuum"),
    ),
    _failing(
        "migrate",
        name="migration-failed",
        meaning="A migration failed and its deployment stopped; the code in service is the old one.",
        checks=("connection", "migrations", "indexes", "lock-waits", "long-transactions"),
        period_s=FIVE_MINUTES_S,
        evaluation_periods=1,
    ),
    _throttled(
        "migrate",
        meaning="Deployments are refused because migrate is at work for another one.",
        checks=("connection", "migrations", "lock-waits", "long-transactions"),
    ),
    _slow(
        "migrate",
        limits=timeouts.MIGRATE,
        meaning="A migration takes nearly as long as its function may.",
        checks=("connection", "migrations", "lock-waits", "long-transactions", "idle-in-transaction"),
    ),
)
