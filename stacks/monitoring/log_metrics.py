"""Metric filters of the database's log: how long each slow statement took, how many statements were refused."""

from collections.abc import Mapping

from cdktf_cdktf_provider_aws.cloudwatch_log_group import CloudwatchLogGroup
from cdktf_cdktf_provider_aws.cloudwatch_log_metric_filter import (
    CloudwatchLogMetricFilter,
    CloudwatchLogMetricFilterMetricTransformation,
)
from cdktf_cdktf_provider_aws.data_aws_cloudwatch_log_group import DataAwsCloudwatchLogGroup
from constructs import Construct

from handlers.contract.alarms import metrics
from handlers.contract.alarms.model import Metric
from stacks.alarms import facts
from stacks.alarms.log_patterns import DENIED_STATEMENTS, NOTHING_DENIED, SLOW_STATEMENTS
from stacks.foundation.context import Context


class LogMetrics(Construct):
    """One filter for each pattern."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        context: Context,
        log_group: CloudwatchLogGroup | DataAwsCloudwatchLogGroup,
    ) -> None:
        super().__init__(scope, id_)
        deployment = facts(context.settings)

        def measure(
            patterns: Mapping[str, str], metric: Metric, *, value: str, unit: str, default: str | None = None
        ) -> None:
            for name, pattern in patterns.items():
                CloudwatchLogMetricFilter(
                    self,
                    name,
                    name=context.name(name.replace("_", "-")),
                    log_group_name=log_group.name,
                    pattern=pattern,
                    metric_transformation=CloudwatchLogMetricFilterMetricTransformation(
                        namespace=metric.namespace, name=metric.name, value=value, unit=unit, default_value=default
                    ),
                )

        slow = deployment.complete(metrics.SLOW_QUERIES)
        denied = deployment.complete(metrics.DENIED_STATEMENTS)
        measure(SLOW_STATEMENTS, slow, value="$milliseconds", unit="Milliseconds")
        measure(DENIED_STATEMENTS, denied, value="1", unit="Count", default=NOTHING_DENIED)
