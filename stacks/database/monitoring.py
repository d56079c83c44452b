"""Logs, Enhanced Monitoring and Performance Insights: what a database of ours is watched with."""

from cdktf_cdktf_provider_aws.cloudwatch_log_group import CloudwatchLogGroup
from cdktf_cdktf_provider_aws.iam_role import IamRole
from cdktf_cdktf_provider_aws.iam_role_policy import IamRolePolicy
from constructs import Construct

from stacks.foundation import iam
from stacks.foundation.context import Context
from stacks.foundation.log_groups import log_group

ENHANCED_MONITORING_INTERVAL_S = 60
INSIGHTS_RETENTION_DAYS = 7


def exported_logs(scope: Construct, *, context: Context, key_arn: str) -> dict[str, CloudwatchLogGroup]:
    """Create the log group of each log that RDS exports; return them by the name of the log."""
    rds = context.settings.rds_database
    return {
        log: log_group(scope, f"{log}_log_group", context=context, name=rds.log_group(log), key_arn=key_arn)
        for log in rds.facts.logs
    }


def enhanced_monitoring(scope: Construct, *, context: Context) -> tuple[IamRole, IamRolePolicy]:
    """Return the role with which RDS writes the metrics of the operating system, and its policy."""
    return iam.service_role(
        scope,
        "monitoring_role",
        name=context.name("monitoring"),
        service="monitoring.rds.amazonaws.com",
        source_account=context.account_id,
        statements={
            # Enhanced Monitoring writes to this one group, which is shared by all databases of the account.
            "WriteMetrics": iam.statement(
                *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:PutRetentionPolicy"),
                *("logs:DescribeLogStreams", "logs:GetLogEvents"),
                resources=[
                    context.arn("logs", "log-group:RDSOSMetrics"),
                    context.arn("logs", "log-group:RDSOSMetrics:log-stream:*"),
                ],
            )
        },
    )
