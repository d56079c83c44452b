"""The catalogue of alarms as resources: the topic, the metric from the log, one CloudWatch alarm for each entry."""

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.cloudwatch_log_group import CloudwatchLogGroup
from cdktf_cdktf_provider_aws.cloudwatch_log_metric_filter import (
    CloudwatchLogMetricFilter,
    CloudwatchLogMetricFilterMetricTransformation,
)
from cdktf_cdktf_provider_aws.cloudwatch_metric_alarm import CloudwatchMetricAlarm
from cdktf_cdktf_provider_aws.sns_topic import SnsTopic
from cdktf_cdktf_provider_aws.sns_topic_policy import SnsTopicPolicy
from cdktf_cdktf_provider_aws.sns_topic_subscription import SnsTopicSubscription
from constructs import Construct

from stacks import iam
from stacks.alarms import Alarm, catalogue, slow_query_metric
from stacks.context import Context

# RDS begins each line with `%t:%r:%u@%d:[%p]:`, so a slow statement reads
#   2026-04-01 20:17:33 UTC:10.0.1.5(51401):progress_reader@scanner_db:[20768]:LOG:  duration: 1454.486 ms  statement: S
# auto_explain writes the same statement once more, as `plan:`, which must not count twice. A statement may hold
# whatever its author likes, so only a line of the level LOG counts.
SLOW_STATEMENT = '[date, time, context="*:LOG:", label="duration:", milliseconds, unit="ms", kind!="plan:", ...]'
# Where log_statement has written the text already, the measurement is the end of its line.
SLOW_LOGGED_STATEMENT = '[..., context="*:LOG:", label="duration:", milliseconds, unit="ms"]'
SLOW_STATEMENTS = {"slow_statements": SLOW_STATEMENT, "slow_logged_statements": SLOW_LOGGED_STATEMENT}


class AlarmResources(Construct):
    """Everything that watches the deployment."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        context: Context,
        key_arn: str,
        query_log_group: CloudwatchLogGroup,
        api_id: str,
        depends_on: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        self._context, self._depends_on = context, depends_on
        self.topic_arn = self._topic(key_arn)
        self._measure_slow_statements(query_log_group)
        for alarm in catalogue(context.settings, api_id=api_id):
            self._alarm(alarm)

    def _topic(self, key_arn: str) -> str:
        topic = SnsTopic(self, "topic", name=self._context.name("alarms"), kms_master_key_id=key_arn)
        publish = iam.statement(
            "sns:Publish",
            sid="Alarms",
            principals={"Service": "cloudwatch.amazonaws.com"},
            resources=[topic.arn],
            conditions={"StringEquals": {"aws:SourceAccount": self._context.account_id}},
        )
        SnsTopicPolicy(self, "topic_policy", arn=topic.arn, policy=iam.document([publish]))
        for number, address in enumerate(self._context.settings.alarms.emails):
            SnsTopicSubscription(self, f"email_{number}", topic_arn=topic.arn, protocol="email", endpoint=address)
        return topic.arn

    def _measure_slow_statements(self, log_group: CloudwatchLogGroup) -> None:
        metric = slow_query_metric(self._context.settings)
        for id_, pattern in SLOW_STATEMENTS.items():
            CloudwatchLogMetricFilter(
                self,
                id_,
                name=self._context.name(id_.replace("_", "-")),
                log_group_name=log_group.name,
                pattern=pattern,
                metric_transformation=CloudwatchLogMetricFilterMetricTransformation(
                    namespace=metric.namespace, name=metric.name, value="$milliseconds", unit="Milliseconds"
                ),
            )

    def _alarm(self, alarm: Alarm) -> None:
        runbook = f"{self._context.settings.alarms.runbook_url}#{alarm.runbook_section}"
        CloudwatchMetricAlarm(
            self,
            alarm.name.replace("-", "_"),
            alarm_name=self._context.name(alarm.name),
            alarm_description=f"{alarm.meaning} ({alarm.severity}) Runbook: {runbook}",
            namespace=alarm.metric.namespace,
            metric_name=alarm.metric.name,
            dimensions=dict(alarm.metric.dimensions),
            statistic=alarm.statistic,
            period=alarm.period_s,
            evaluation_periods=alarm.evaluation_periods,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            treat_missing_data=alarm.missing_data,
            alarm_actions=[self.topic_arn],
            ok_actions=[self.topic_arn],
            tags={"severity": alarm.severity},
            depends_on=self._depends_on,
        )
