"""Copies of the backups in another region: what is left when a region is lost."""

from cdktf_cdktf_provider_aws.db_instance import DbInstance
from cdktf_cdktf_provider_aws.db_instance_automated_backups_replication import DbInstanceAutomatedBackupsReplication
from cdktf_cdktf_provider_aws.kms_key import KmsKey
from constructs import Construct

from stacks.foundation import iam
from stacks.foundation.context import Context
from stacks.foundation.encryption import account_access

REPLICATION = "backups_replication"


def replicate_backups(database: Construct, scope: Construct, *, context: Context, instance: DbInstance) -> None:
    """Let RDS copy each automated snapshot and the log of an instance to the region of the settings, if there is one.

    Args:
        database: bears the key, which all generations share.
        scope: bears what is of this generation.
        context: of the deployment.
        instance: whose backups are copied.

    """
    settings = context.settings.database
    if settings.backup_region is None:
        return
    key = KmsKey(
        database,
        "backups_key",
        region=settings.backup_region,
        description=f"Backups of {context.settings.prefix} from {context.settings.region}",
        enable_key_rotation=True,
        deletion_window_in_days=30,
        policy=iam.document([account_access(context)]),
    )
    DbInstanceAutomatedBackupsReplication(
        scope,
        REPLICATION,
        region=settings.backup_region,
        source_db_instance_arn=instance.arn,
        kms_key_id=key.arn,
        retention_period=settings.backup_retention_days,
    )
