"""What callers notice: answers, progress, and the functions behind them."""

from handlers.contract import metrics, timeouts
from handlers.contract.alarms.deployment import Deployment
from handlers.contract.alarms.functions import FUNCTIONS as FUNCTION_ALARMS
from handlers.contract.alarms.messages import MESSAGES
from handlers.contract.alarms.metrics import api_metric, function_metric, refresh_metric, schedule_metric, topic_metric
from handlers.contract.alarms.model import FIVE_MINUTES_S
from handlers.contract.alarms.refreshes import REFRESHES, SCHEDULE
from handlers.contract.alarms.status_api import STATUS_API
from handlers.contract.names import FUNCTIONS
from stacks.monitoring.widgets.model import Graph, Mark, Section, Series, series


def users(deployment: Deployment) -> Section:
    """Return what the callers of the status API notice."""

    def known(name: str, *, on_the_right: bool = False) -> Series:
        metric = refresh_metric(name)
        return series(metric, "Maximum", period_s=deployment.refresh_interval_s, on_the_right=on_the_right)

    def requests(name: str) -> Series:
        return series(api_metric(name), "Sum", period_s=FIVE_MINUTES_S, on_the_right=name == "Count")

    return Section(
        heading="Users: do callers of the status API get their answers?",
        records=STATUS_API,
        rows=(
            (
                Graph(
                    title="Answers in five minutes",
                    alarms=("api-errors",),
                    series=(requests("4xx"), requests("Count")),
                ),
                Graph(
                    title="Latency, s",
                    alarms=("api-slow",),
                    series=(
                        series(api_metric("Latency"), "p50"),
                        series(api_metric("Latency"), "p99"),
                        series(api_metric("IntegrationLatency"), "p90"),
                    ),
                ),
                Graph(
                    title="Jobs and objects", series=(known(metrics.JOBS), known(metrics.OBJECTS, on_the_right=True))
                ),
            ),
        ),
    )


def progress(deployment: Deployment) -> Section:
    """Return whether progress is fresh and exact."""

    def refreshes(name: str, statistic: str = "Maximum") -> Series:
        return series(refresh_metric(name), statistic, period_s=deployment.refresh_interval_s)

    def schedule(name: str) -> Series:
        return series(schedule_metric(name), "Sum", period_s=FIVE_MINUTES_S)

    return Section(
        heading="Progress: is it fresh, and is it exact?",
        records=REFRESHES + SCHEDULE,
        rows=(
            (
                Graph(
                    title="Refreshes that succeeded",
                    alarms=("progress-stale",),
                    series=(refreshes(metrics.REFRESH_SKIPPED, "Sum"),),
                ),
                Graph(title="Age of progress at a refresh, s", alarms=("progress-lag",)),
                Graph(
                    title="Scheduler: invocations of refresh",
                    alarms=("schedule-failing", "schedule-dropping"),
                    series=(schedule("InvocationAttemptCount"), schedule("TargetErrorThrottledCount")),
                ),
            ),
            (
                Graph(
                    title="Changes that wait to be folded",
                    alarms=("progress-backlog",),
                    series=(refreshes(metrics.FOLDED_ROWS),),
                ),
                Graph(title="Duration of a refresh, s", alarms=("refresh-overrun",)),
                Graph(
                    title="Jobs that differ from a full count",
                    alarms=("progress-drift",),
                    series=(refreshes(metrics.MENDED_JOBS),),
                ),
                Graph(title="Verifications in a day", alarms=("verification-missing",)),
            ),
        ),
    )


def functions() -> Section:
    """Return what Lambda publishes of the functions."""

    def duration(function: str, timeout_s: int) -> Graph:
        return Graph(
            title=f"Duration of {function}, s",
            alarms=(f"{function}-slow",),
            series=(series(function_metric(function, "Duration"), "p50"),),
            marks=(Mark(label="timeout", value=1000 * timeout_s),),
        )

    return Section(
        heading="Functions",
        records=FUNCTION_ALARMS,
        rows=(
            (
                Graph(
                    title="Errors",
                    alarms=("status-failing", "refresh-failing", "migration-failed"),
                    series=(series(function_metric("doctor", "Errors"), "Sum"),),
                ),
                Graph(
                    title="Throttles",
                    alarms=("status-throttled", "refresh-throttled", "migrate-throttled"),
                    series=(series(function_metric("doctor", "Throttles"), "Sum"),),
                ),
                Graph(
                    title="Concurrent executions",
                    series=tuple(
                        series(function_metric(function, "ConcurrentExecutions"), "Maximum") for function in FUNCTIONS
                    ),
                ),
            ),
            (
                duration("status", timeouts.STATUS.function_s),
                duration("refresh", timeouts.REFRESH.function_s),
                duration("migrate", timeouts.MIGRATE.function_s),
                Graph(
                    title="Duration of doctor, s",
                    divisor=1e3,
                    series=(series(function_metric("doctor", "Duration"), "Maximum"),),
                    marks=(Mark(label="timeout", value=1000 * timeouts.DOCTOR.function_s),),
                ),
            ),
        ),
    )


def messages() -> Section:
    """Return whether the alarms' messages arrive."""

    def sent(topic: str) -> Series:
        metric = topic_metric(topic, "NumberOfMessagesPublished")
        return series(metric, "Sum", period_s=FIVE_MINUTES_S, on_the_right=True)

    return Section(
        heading="Messages: do pages and tickets arrive?",
        records=MESSAGES,
        rows=(
            (
                Graph(title="Messages that did not arrive", alarms=("notifications-failing",)),
                Graph(title="Messages sent", series=(sent("page"), sent("ticket"))),
            ),
        ),
    )
