"""What callers notice: answers, progress, and the functions behind them."""

from stacks.alarms.metrics import api_metric, function_metric, refresh_metric, schedule_metric, topic_metric
from stacks.alarms.model import FIVE_MINUTES_S, MINUTE_S
from stacks.functions.timeouts import DOCTOR_TIMEOUT_S, MIGRATE_TIMEOUT_S, REFRESH_TIMEOUT_S, STATUS_TIMEOUT_S
from stacks.monitoring.log_queries import FUNCTIONS
from stacks.monitoring.widgets.model import Graph, Line, Mark, Section, line
from stacks.settings import Settings


def users(api_id: str) -> Section:
    """Return what the callers of the status API notice."""

    def requests(name: str) -> Line:
        return line(api_metric(api_id, name), "Sum", period_s=FIVE_MINUTES_S, on_the_right=name == "Count")

    def latency(name: str, statistic: str) -> Line:
        return line(api_metric(api_id, name), statistic)

    return Section(
        heading="Users: do callers of the status API get their answers?",
        rows=(
            (
                Graph(
                    title="Answers in five minutes", alarms=("api-errors",), lines=(requests("4xx"), requests("Count"))
                ),
                Graph(
                    title="Latency, ms",
                    alarms=("api-slow",),
                    lines=(latency("Latency", "p50"), latency("Latency", "p99"), latency("IntegrationLatency", "p90")),
                ),
            ),
        ),
    )


def progress(settings: Settings) -> Section:
    """Return whether progress is fresh and exact."""
    interval_s = MINUTE_S * settings.schedule.refresh_minutes

    def refreshes(name: str, statistic: str = "Maximum", *, on_the_right: bool = False) -> Line:
        return line(refresh_metric(settings, name), statistic, period_s=interval_s, on_the_right=on_the_right)

    def schedule(name: str) -> Line:
        return line(schedule_metric(settings, name), "Sum", period_s=FIVE_MINUTES_S)

    return Section(
        heading="Progress: is it fresh, and is it exact?",
        rows=(
            (
                Graph(
                    title="Refreshes that succeeded",
                    alarms=("progress-stale",),
                    lines=(refreshes("RefreshSkipped", "Sum"),),
                ),
                Graph(title="Age of progress at a refresh, s", alarms=("progress-lag",)),
                Graph(
                    title="Changes that wait to be folded",
                    alarms=("progress-backlog",),
                    lines=(refreshes("FoldedRows"),),
                ),
                Graph(title="Duration of a refresh, ms", alarms=("refresh-overrun",)),
            ),
            (
                Graph(
                    title="Jobs that differ from a full count",
                    alarms=("progress-drift",),
                    lines=(refreshes("MendedJobs"),),
                ),
                Graph(title="Verifications in a day", alarms=("verification-missing",)),
                Graph(title="Jobs and objects", lines=(refreshes("Jobs"), refreshes("Objects", on_the_right=True))),
                Graph(
                    title="Scheduler: invocations of refresh",
                    alarms=("schedule-failing", "schedule-dropping"),
                    lines=(schedule("InvocationAttemptCount"), schedule("TargetErrorThrottledCount")),
                ),
            ),
        ),
    )


def functions(settings: Settings) -> Section:
    """Return what Lambda says of the functions."""

    def all_functions(name: str, statistic: str, *, but: tuple[str, ...] = ()) -> tuple[Line, ...]:
        return tuple(
            line(function_metric(settings, function, name), statistic) for function in FUNCTIONS if function not in but
        )

    def duration(function: str, timeout_s: int) -> Graph:
        return Graph(
            title=f"Duration of {function}, ms",
            alarms=(f"{function}-slow",),
            lines=(line(function_metric(settings, function, "Duration"), "p50"),),
            marks=(Mark(label="timeout", value=1000 * timeout_s),),
        )

    watched = ("migrate", "refresh", "status")
    return Section(
        heading="Functions",
        rows=(
            (
                Graph(
                    title="Errors",
                    alarms=("status-failing", "refresh-failing", "migration-failed"),
                    lines=all_functions("Errors", "Sum", but=watched),
                ),
                Graph(
                    title="Throttles",
                    alarms=tuple(f"{function}-throttled" for function in reversed(watched)),
                    lines=all_functions("Throttles", "Sum", but=watched),
                ),
                Graph(title="Concurrent executions", lines=all_functions("ConcurrentExecutions", "Maximum")),
            ),
            (
                duration("status", STATUS_TIMEOUT_S),
                duration("refresh", REFRESH_TIMEOUT_S),
                duration("migrate", MIGRATE_TIMEOUT_S),
                Graph(
                    title="Duration of doctor, ms",
                    lines=(line(function_metric(settings, "doctor", "Duration"), "Maximum"),),
                    marks=(Mark(label="timeout", value=1000 * DOCTOR_TIMEOUT_S),),
                ),
            ),
        ),
    )


def messages(settings: Settings) -> Section:
    """Return whether alarms reach anybody."""

    def sent(topic: str) -> Line:
        metric = topic_metric(settings, topic, "NumberOfMessagesPublished")
        return line(metric, "Sum", period_s=FIVE_MINUTES_S, on_the_right=True)

    return Section(
        heading="Messages: do pages and tickets arrive?",
        rows=(
            (
                Graph(title="Messages that did not arrive", alarms=("notifications-failing",)),
                Graph(title="Messages sent", lines=(sent("page"), sent("ticket"))),
            ),
        ),
    )
