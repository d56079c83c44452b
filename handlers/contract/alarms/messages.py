"""Whether messages arrive, and the messages that no metric makes."""

from handlers.contract.alarms.answers import EVENTS_LOOK, REFRESH_CHECKS, WAYS_IN
from handlers.contract.alarms.metrics import topic_metric
from handlers.contract.alarms.model import FIVE_MINUTES_S, AlarmRecord, Expression, Look, Notice, Statistic

MESSAGES = (
    AlarmRecord(
        name="notifications-failing",
        watches=Expression(
            label="messages that were not delivered",
            formula="FILL(pages, 0) + FILL(tickets, 0)",
            inputs={
                f"{topic}s": Statistic(metric=topic_metric(topic, "NumberOfNotificationsFailed"), statistic="Sum")
                for topic in ("page", "ticket")
            },
        ),
        period_s=FIVE_MINUTES_S,
        threshold=1,
        unit="messages",
        missing_data="notBreaching",  # nothing failed, no datum
        severity="ticket",
        meaning="A message of an alarm did not reach one of its addresses; the next page may not either.",
        checks=("connection",),
        look=Look(
            what="who is to be told, and who has confirmed",
            command=(
                "aws sns list-subscriptions --query \"Subscriptions[?contains(TopicArn, '{prefix}-')]"
                '.{{Topic:TopicArn,Protocol:Protocol,To:Endpoint,Confirmed:SubscriptionArn}}" --output table'
            ),
        ),
    ),
)

# It rings while any alarm that pages rings, so an outage pages once.
OUTAGE = Notice(
    name="outage",
    meaning="Something is broken that cannot wait for the morning; the top of the dashboard lists what rings.",
    checks=(),
    look=Look(
        what="which alarms ring",
        command=(
            "aws cloudwatch describe-alarms --state-value ALARM --alarm-name-prefix {prefix}- --query "
            "'MetricAlarms[].{{Alarm:AlarmName,Since:StateUpdatedTimestamp,Why:StateReason}}' --output table"
        ),
    ),
)
NOTICES = (
    Notice(
        name="database-events",
        meaning="RDS announces a failover, a restart, a failure, full storage or maintenance of the database.",
        checks=(*WAYS_IN, *REFRESH_CHECKS, "storage"),
        look=EVENTS_LOOK,
    ),
    Notice(
        name="lifecycle-events",
        meaning="AWS announces the end of a certificate or an engine version, or work on RDS that has a date.",
        checks=("connection",),
        look=Look(
            what="what waits to be done to the instance",
            command=(
                "aws rds describe-pending-maintenance-actions --query 'PendingMaintenanceActions[]."
                "PendingMaintenanceActionDetails[].{{Action:Action,What:Description,From:AutoAppliedAfterDate,"
                "NotLaterThan:ForcedApplyDate}}' --output table"
            ),
        ),
    ),
)
