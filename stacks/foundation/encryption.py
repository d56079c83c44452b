"""One customer managed key for everything at rest: database, secret, logs, packages, notifications."""

from cdktf_cdktf_provider_aws.kms_alias import KmsAlias
from cdktf_cdktf_provider_aws.kms_key import KmsKey
from constructs import Construct

from stacks.foundation import iam
from stacks.foundation.context import Context

# In a key's policy, "*" is the key itself.
THIS_KEY = "*"


def account_access(context: Context) -> iam.PolicyStatement:
    """Let IAM policies grant access to a key; without this statement it could never be managed again."""
    return iam.statement(
        "kms:*",
        sid="Account",
        principals={"AWS": f"arn:{context.partition}:iam::{context.account_id}:root"},
        resources=[THIS_KEY],
    )


class Encryption(Construct):
    """The key, and who but the account itself may use it."""

    def __init__(self, scope: Construct, id_: str, *, context: Context) -> None:
        super().__init__(scope, id_)
        region = context.settings.region
        policy = [
            account_access(context),
            iam.statement(
                *("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"),
                sid="LogGroups",
                principals={"Service": f"logs.{region}.amazonaws.com"},
                resources=[THIS_KEY],
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": context.arn("logs", "log-group:*")}},
            ),
            # An alarm publishes to the encrypted topics in its own name.
            iam.statement(
                *("kms:Decrypt", "kms:GenerateDataKey*"),
                sid="Alarms",
                principals={"Service": "cloudwatch.amazonaws.com"},
                resources=[THIS_KEY],
                conditions={"StringEquals": {"aws:SourceAccount": context.account_id}},
            ),
            # EventBridge too, but with a condition on its account it could not:
            # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
            iam.statement(
                *("kms:Decrypt", "kms:GenerateDataKey*"),
                sid="Notices",
                principals={"Service": "events.amazonaws.com"},
                resources=[THIS_KEY],
                conditions={
                    "ArnEquals": {"kms:EncryptionContext:aws:sns:topicArn": context.arn("sns", context.name("ticket"))}
                },
            ),
        ]
        key = KmsKey(
            self,
            "key",
            description=f"Data of {context.settings.prefix}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            policy=iam.document(policy),
        )
        KmsAlias(self, "alias", name=f"alias/{context.settings.prefix}", target_key_id=key.key_id)
        self.key_arn = key.arn
