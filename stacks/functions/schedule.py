"""EventBridge Scheduler invokes `refresh` every few minutes, and at night to retire jobs and to verify."""

import json
from collections.abc import Sequence

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.lambda_function_event_invoke_config import LambdaFunctionEventInvokeConfig
from cdktf_cdktf_provider_aws.scheduler_schedule import (
    SchedulerSchedule,
    SchedulerScheduleFlexibleTimeWindow,
    SchedulerScheduleTarget,
    SchedulerScheduleTargetRetryPolicy,
)
from cdktf_cdktf_provider_aws.scheduler_schedule_group import SchedulerScheduleGroup
from constructs import Construct

from handlers.contract.events import RefreshAction, RefreshEvent
from handlers.contract.timeouts import OLDEST_EVENT_S
from stacks.foundation import iam
from stacks.foundation.context import Context
from stacks.functions.function import Function

# In UTC, at night, and not on the hour, when most schedules run.
VERIFY_AT = "cron(17 3 * * ? *)"
# Each retires for some minutes, so that the rows of a large job take several of them; all before the verification.
RETIRE_AT = "cron(7/10 0-2 * * ? *)"


class Schedule(Construct):
    """The schedules and the role in which they invoke the function."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        context: Context,
        refresh: Function,
        depends_on: Sequence[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        minutes = context.settings.schedule.refresh_minutes
        group = SchedulerScheduleGroup(self, "group", name=context.settings.prefix)
        role, policy = iam.service_role(
            self,
            "role",
            name=context.name("schedule"),
            service="scheduler.amazonaws.com",
            source_account=context.account_id,
            statements={"Refresh": iam.statement("lambda:InvokeFunction", resources=[refresh.function_arn])},
        )
        events = LambdaFunctionEventInvokeConfig(
            self,
            "events",
            function_name=refresh.function.function_name,
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=OLDEST_EVENT_S,
        )

        def invoke(id_: str, *, description: str, expression: str, event: RefreshEvent) -> SchedulerSchedule:
            return SchedulerSchedule(
                self,
                id_,
                name=context.name(id_),
                description=description,
                group_name=group.name,
                schedule_expression=expression,
                flexible_time_window=SchedulerScheduleFlexibleTimeWindow(mode="OFF"),
                target=SchedulerScheduleTarget(
                    arn=refresh.function.arn,
                    role_arn=role.arn,
                    input=json.dumps(event),
                    retry_policy=SchedulerScheduleTargetRetryPolicy(
                        maximum_event_age_in_seconds=OLDEST_EVENT_S, maximum_retry_attempts=1
                    ),
                ),
                depends_on=[policy, events, *depends_on],
            )

        self.refresh = invoke(
            "refresh",
            description="Refreshes job_progress",
            expression=f"rate({minutes} minute{'s' if minutes > 1 else ''})",
            event=RefreshEvent(source="schedule"),
        )
        invoke(
            "verify",
            description="Compares the progress of every job with a full count",
            expression=VERIFY_AT,
            event=RefreshEvent(source="schedule", action=RefreshAction.VERIFY),
        )
        if (days := context.settings.schedule.retire_older_than_days) is not None:
            invoke(
                "retire",
                description=f"Deletes finished jobs whose last update is older than {days} days",
                expression=RETIRE_AT,
                event=RefreshEvent(source="schedule", action=RefreshAction.RETIRE, older_than_days=days),
            )
