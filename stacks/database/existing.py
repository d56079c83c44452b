"""An RDS instance that exists: looked at by data sources, never changed, but for rules that let our clients in."""

from cdktf_cdktf_provider_aws.data_aws_cloudwatch_log_group import DataAwsCloudwatchLogGroup
from cdktf_cdktf_provider_aws.data_aws_db_instance import DataAwsDbInstance
from constructs import Construct

from stacks.database.database import Database
from stacks.database.existing_conditions import postconditions
from stacks.foundation import iam
from stacks.foundation.context import Context
from stacks.foundation.iam import PolicyStatement
from stacks.network.security_groups import ExistingGroup
from stacks.settings.existing_database import OWN, PRINTED


class Existing(Database):
    """The instance, and what must hold of it, which Terraform checks while it plans."""

    def __init__(self, scope: Construct, id_: str, *, context: Context) -> None:
        super().__init__(scope, id_, context=context)
        settings = context.settings.database
        self.identifier = context.settings.rds_database.identifier
        self.port = settings.port
        instance = DataAwsDbInstance(self, "instance", db_instance_identifier=self.identifier)
        reference = f"data.aws_db_instance.{instance.friendly_unique_id}"
        instance.add_override("lifecycle.postcondition", postconditions(context.settings))
        self.query_log_group = DataAwsCloudwatchLogGroup(
            self, "log_group", name=context.settings.rds_database.log_group()
        )
        # After the postconditions: they say how to export a log that is missing.
        self.query_log_group.add_override("depends_on", [reference])
        rules = settings.access_rules
        self.access_rules = [] if rules == PRINTED else None
        self.security_group = ExistingGroup(
            id=rules if rules not in {OWN, PRINTED} else f"${{tolist({reference}.vpc_security_groups)[0]}}",
            name_input=self.identifier,
            printed=self.access_rules,
        )
        self.address = instance.address
        self.resource_id = instance.resource_id
        self.master_secret_arn = settings.master_secret_arn or f"${{{reference}.master_user_secret[0].secret_arn}}"
        self.ready = []
        self.proxy_target = {"db_instance_identifier": self.identifier}

    def master_secret_key(self) -> PolicyStatement:
        """Return the permission to decrypt the master secret with its key, which may be any of the account.

        The condition names the secret, so no other use of a key is allowed:
        https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html#security-encryption-encryption-context
        """
        return iam.statement(
            "kms:Decrypt",
            resources=[self._context.arn("kms", "key/*")],
            conditions={
                "StringEquals": {
                    "kms:ViaService": f"secretsmanager.{self._context.settings.region}.amazonaws.com",
                    "kms:EncryptionContext:SecretARN": self.master_secret_arn,
                }
            },
        )
