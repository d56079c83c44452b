"""Log groups that exist before anything writes to them.

AWS makes a missing log group itself: unencrypted, never expiring, and in the way of the next deployment
(https://github.com/hashicorp/terraform-provider-aws/issues/5348).
"""

from cdktf_cdktf_provider_aws.cloudwatch_log_group import CloudwatchLogGroup
from constructs import Construct

from stacks.foundation.context import Context


def log_group(scope: Construct, id_: str, *, context: Context, name: str, key_arn: str) -> CloudwatchLogGroup:
    """Create an encrypted log group with the retention of the settings."""
    return CloudwatchLogGroup(
        scope, id_, name=name, retention_in_days=context.settings.functions.log_retention_days, kms_key_id=key_arn
    )
