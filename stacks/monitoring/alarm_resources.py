"""The alarms as resources: one CloudWatch alarm for each record, and a composite alarm over those that page."""

from collections.abc import Iterator
from typing import Any

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.cloudwatch_composite_alarm import CloudwatchCompositeAlarm
from cdktf_cdktf_provider_aws.cloudwatch_metric_alarm import (
    CloudwatchMetricAlarm,
    CloudwatchMetricAlarmMetricQuery,
    CloudwatchMetricAlarmMetricQueryMetric,
)
from constructs import Construct

from handlers.contract.alarms.messages import OUTAGE
from handlers.contract.alarms.model import Alarm, Expression, Statistic
from stacks.alarms import catalogue
from stacks.alarms.descriptions import description
from stacks.foundation.context import Context
from stacks.monitoring.topics import Topics

# CloudWatch takes any other statistic, such as a percentile, as an extended statistic.
STATISTICS = frozenset({"Average", "Maximum", "Minimum", "SampleCount", "Sum"})
RESULT = "result"


class AlarmResources(Construct):
    """The alarms. Those that page have no action; `outage` rings for them, so an outage pages once."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        context: Context,
        topics: Topics,
        api_id: str,
        depends_on: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        self._context, self._depends_on = context, depends_on
        pages, tickets = [], []
        for alarm in catalogue(context.settings, api_id=api_id):
            if alarm.severity == "page":
                pages.append(self._alarm(alarm, actions=[]))
            else:
                tickets.append(self._alarm(alarm, actions=[topics.ticket_arn]))
        outage = CloudwatchCompositeAlarm(
            self,
            OUTAGE.name,
            alarm_name=context.name(OUTAGE.name),
            alarm_description=description(context.settings, OUTAGE),
            alarm_rule=" OR ".join(f'ALARM("{page.alarm_name}")' for page in pages),
            alarm_actions=[topics.page_arn],
            ok_actions=[topics.page_arn],
            tags={"severity": "page"},
        )
        self.page_arns = [outage.arn, *(page.arn for page in pages)]
        self.ticket_arns = [ticket.arn for ticket in tickets]

    def _alarm(self, alarm: Alarm, *, actions: list[str]) -> CloudwatchMetricAlarm:
        return CloudwatchMetricAlarm(
            self,
            alarm.name.replace("-", "_"),
            alarm_name=self._context.name(alarm.name),
            alarm_description=description(self._context.settings, alarm),
            evaluation_periods=alarm.evaluation_periods,
            datapoints_to_alarm=alarm.datapoints_to_alarm,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            treat_missing_data=alarm.missing_data,
            alarm_actions=actions,
            ok_actions=actions,
            tags={"severity": alarm.severity},
            depends_on=self._depends_on,
            **_watched(alarm),
        )


def _watched(alarm: Alarm) -> dict[str, Any]:
    if isinstance(alarm.watches, Expression):
        return {"metric_query": list(_queries(alarm.watches, alarm.period_s))}
    metric, statistic = alarm.watches.metric, alarm.watches.statistic
    return {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "dimensions": dict(metric.dimensions),
        "period": alarm.period_s,
        "statistic" if statistic in STATISTICS else "extended_statistic": statistic,
    }


def _queries(expression: Expression, period_s: int) -> Iterator[CloudwatchMetricAlarmMetricQuery]:
    yield CloudwatchMetricAlarmMetricQuery(
        id=RESULT,
        expression=expression.formula,
        # Metrics Insights queries need an explicit period; metric math inherits it.
        period=None if expression.inputs else period_s,
        return_data=True,
    )
    for id_, watched in expression.inputs.items():
        yield CloudwatchMetricAlarmMetricQuery(id=id_, metric=_metric(watched, period_s), return_data=False)


def _metric(watched: Statistic, period_s: int) -> CloudwatchMetricAlarmMetricQueryMetric:
    return CloudwatchMetricAlarmMetricQueryMetric(
        namespace=watched.metric.namespace,
        metric_name=watched.metric.name,
        dimensions=dict(watched.metric.dimensions),
        period=period_s,
        stat=watched.statistic,
    )
