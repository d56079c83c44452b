"""The alarms, as data: what is measured, when it is too much, what silence means, who is told, and what it means.

`alarm_resources.py` turns them into resources; the runbook has a section for each, and `scannerdb doctor` an answer.
Where AWS recommends an alarm, its statistic and periods are AWS's:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
"""

from stacks.alarms.functions import functions
from stacks.alarms.instance import instance
from stacks.alarms.metrics import topic_metric
from stacks.alarms.model import FIVE_MINUTES_S, Alarm, Expression, Notice, Statistic
from stacks.alarms.progress import progress, schedule
from stacks.alarms.proxy import proxy
from stacks.alarms.sessions import sessions, statements
from stacks.alarms.status_api import status_api
from stacks.alarms.storage import storage
from stacks.settings import Settings

# The one alarm that tells of an outage, once, whatever it breaks: it rings while any alarm that wakes somebody does.
OUTAGE = Notice(
    name="outage",
    meaning="Something is broken that cannot wait for the morning; which alarms say so is in the message.",
)
NOTICES = (
    Notice(
        name="database-events",
        meaning="RDS announces a failover, a restart, a failure, full storage or maintenance of the database.",
    ),
    Notice(
        name="lifecycle-events",
        meaning="AWS announces the end of a certificate or an engine version, or work on RDS that has a date.",
    ),
)


def catalogue(settings: Settings, *, api_id: str) -> tuple[Alarm, ...]:
    """Return the alarms of one deployment, in the order in which the on-call thinks: users first."""
    return (
        *status_api(settings, api_id),
        *progress(settings),
        *schedule(settings),
        *functions(settings),
        *sessions(settings),
        *statements(settings),
        *proxy(settings),
        *instance(settings),
        *storage(settings),
        notifications(settings),
    )


def notifications(settings: Settings) -> Alarm:
    """Return the alarm on the alarms' own messages."""
    return Alarm(
        name="notifications-failing",
        watches=Expression(
            label="messages that were not delivered",
            formula="FILL(pages, 0) + FILL(tickets, 0)",
            inputs={
                f"{topic}s": Statistic(
                    metric=topic_metric(settings, topic, "NumberOfNotificationsFailed"), statistic="Sum"
                )
                for topic in ("page", "ticket")
            },
        ),
        period_s=FIVE_MINUTES_S,
        threshold=1,
        unit="messages",
        missing_data="notBreaching",  # nothing failed, no datum
        severity="ticket",
        meaning="A message of an alarm did not reach one of its addresses; the next page may not either.",
    )
