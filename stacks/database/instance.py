"""An RDS for PostgreSQL instance: encrypted, backed up, IAM logins, master password managed in Secrets Manager."""

from cdktf_cdktf_provider_aws.db_instance import DbInstance
from cdktf_cdktf_provider_aws.db_parameter_group import DbParameterGroup, DbParameterGroupParameter
from cdktf_cdktf_provider_aws.db_subnet_group import DbSubnetGroup
from constructs import Construct

from stacks.database import restore
from stacks.database.database import BACKUP_WINDOW, MAINTENANCE_WINDOW, Database
from stacks.database.monitoring import (
    ENHANCED_MONITORING_INTERVAL_S,
    INSIGHTS_RETENTION_DAYS,
    enhanced_monitoring,
    exported_logs,
)
from stacks.database.parameters import family, parameters
from stacks.database.replicated_backups import REPLICATION, replicate_backups
from stacks.foundation.context import Context
from stacks.network import security_groups
from stacks.network.network import Network


class Instance(Database):
    """An RDS instance of this stack, with its log groups, parameters and monitoring."""

    def __init__(self, scope: Construct, id_: str, *, context: Context, network: Network, key_arn: str) -> None:
        super().__init__(scope, id_, context=context)
        settings, rds = context.settings.database, context.settings.rds_database
        self.identifier = rds.identifier
        self.port = settings.port
        self.security_group = security_groups.security_group(
            self, name=context.name("database"), vpc_id=network.vpc_id, description="PostgreSQL instance"
        )
        scope = restore.scope_of(self, settings.generation)
        logs = exported_logs(scope, context=context, key_arn=key_arn)
        self.query_log_group = logs["postgresql"]
        subnets = DbSubnetGroup(self, "subnet_group", name=context.settings.prefix, subnet_ids=network.subnet_ids)
        parameter_family = family(rds, settings.engine_version)
        group = DbParameterGroup(
            self,
            "parameter_group",
            name=context.name(parameter_family),
            family=parameter_family,
            description=f"Parameters of {self.identifier}",
            parameter=[
                DbParameterGroupParameter(name=each.name, value=each.value, apply_method=each.apply_method)
                for each in parameters(settings)
            ],
        )
        monitoring_role, monitoring_policy = enhanced_monitoring(self, context=context)
        instance = DbInstance(
            scope,
            "instance",
            identifier=self.identifier,
            port=self.port,
            **restore.content(settings, key_arn=key_arn),
            lifecycle=restore.lifecycle(settings, rds),
            # Version
            engine="postgres",
            engine_version=settings.engine_version,
            parameter_group_name=group.name,
            # RDS installs security fixes in the maintenance window, without a deploy.
            auto_minor_version_upgrade=True,
            allow_major_version_upgrade=False,
            apply_immediately=False,
            # Otherwise RDS starts paid extended support by itself when the major version reaches its end of life.
            engine_lifecycle_support="open-source-rds-extended-support-disabled",
            maintenance_window=MAINTENANCE_WINDOW,
            # Size
            instance_class=settings.instance_class,
            storage_type="gp3",
            max_allocated_storage=settings.max_allocated_storage_gib,
            # Network
            multi_az=settings.multi_az,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[self.security_group.id],
            publicly_accessible=False,
            ca_cert_identifier=settings.ca_certificate,
            # Access
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key_arn,
            iam_database_authentication_enabled=True,
            # Durability
            storage_encrypted=True,
            backup_retention_period=settings.backup_retention_days,
            backup_window=BACKUP_WINDOW,
            copy_tags_to_snapshot=True,
            deletion_protection=settings.deletion_protection,
            # Independent of deletion_protection, which is switched off before every wanted deletion.
            delete_automated_backups=not settings.final_snapshot,
            skip_final_snapshot=not settings.final_snapshot,
            final_snapshot_identifier=f"{self.identifier}-final" if settings.final_snapshot else None,
            # Observation
            enabled_cloudwatch_logs_exports=list(logs),
            monitoring_interval=ENHANCED_MONITORING_INTERVAL_S,
            monitoring_role_arn=monitoring_role.arn,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=key_arn,
            performance_insights_retention_period=INSIGHTS_RETENTION_DAYS,
            depends_on=[*logs.values(), monitoring_policy],
        )
        replicate_backups(self, scope, context=context, instance=instance)
        addresses = {"instance": "aws_db_instance", REPLICATION: "aws_db_instance_automated_backups_replication"}
        addresses |= {f"{log}_log_group": "aws_cloudwatch_log_group" for log in logs}
        restore.leave_older(self, addresses, generation=settings.generation)
        self.address = instance.address
        self.resource_id = instance.resource_id
        self.master_secret_arn = instance.master_user_secret.get(0).secret_arn
        self.ready = [instance]
        self.proxy_target = {"db_instance_identifier": instance.identifier}
