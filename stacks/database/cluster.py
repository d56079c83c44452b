"""An Aurora PostgreSQL cluster: a writer and readers on one volume, which follows a failover to the next writer."""

from cdktf import TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.db_subnet_group import DbSubnetGroup
from cdktf_cdktf_provider_aws.rds_cluster import RdsCluster, RdsClusterServerlessv2ScalingConfiguration
from cdktf_cdktf_provider_aws.rds_cluster_instance import RdsClusterInstance
from cdktf_cdktf_provider_aws.rds_cluster_parameter_group import (
    RdsClusterParameterGroup,
    RdsClusterParameterGroupParameter,
)
from constructs import Construct

from stacks.database.database import BACKUP_WINDOW, MAINTENANCE_WINDOW, Database
from stacks.database.monitoring import (
    ENHANCED_MONITORING_INTERVAL_S,
    INSIGHTS_RETENTION_DAYS,
    enhanced_monitoring,
    exported_logs,
)
from stacks.database.parameters import family, parameters
from stacks.foundation.context import Context
from stacks.network import security_groups
from stacks.network.network import Network
from stacks.settings.cluster import CapacitySettings


class Cluster(Database):
    """A cluster of this stack, with its instances, log groups, parameters and monitoring."""

    def __init__(self, scope: Construct, id_: str, *, context: Context, network: Network, key_arn: str) -> None:
        super().__init__(scope, id_, context=context)
        settings, rds = context.settings.database, context.settings.rds_database
        self.identifier = rds.identifier
        self.port = settings.port
        self.security_group = security_groups.security_group(
            self, name=context.name("database"), vpc_id=network.vpc_id, description="PostgreSQL cluster"
        )
        logs = exported_logs(self, context=context, key_arn=key_arn)
        self.query_log_group = logs["postgresql"]
        subnets = DbSubnetGroup(self, "subnet_group", name=context.settings.prefix, subnet_ids=network.subnet_ids)
        parameter_family = family(rds, settings.engine_version)
        # The instances have RDS's own group of the family: what it leaves open, the cluster's group decides.
        group = RdsClusterParameterGroup(
            self,
            "parameter_group",
            name=context.name(parameter_family),
            family=parameter_family,
            description=f"Parameters of {self.identifier}",
            parameter=[
                RdsClusterParameterGroupParameter(name=each.name, value=each.value, apply_method=each.apply_method)
                for each in parameters(settings)
            ],
        )
        monitoring_role, monitoring_policy = enhanced_monitoring(self, context=context)
        cluster = RdsCluster(
            self,
            "cluster",
            cluster_identifier=self.identifier,
            database_name=settings.name,
            port=self.port,
            # Version
            engine=settings.engine,
            engine_version=settings.engine_version,
            db_cluster_parameter_group_name=group.name,
            allow_major_version_upgrade=False,
            apply_immediately=False,
            # Otherwise RDS starts paid extended support by itself when the major version reaches its end of life.
            engine_lifecycle_support="open-source-rds-extended-support-disabled",
            preferred_maintenance_window=MAINTENANCE_WINDOW,
            # Size. Without a storage type, RDS takes Aurora Standard and the provider leaves it alone.
            storage_type="aurora-iopt1" if settings.io_optimized else None,
            serverlessv2_scaling_configuration=_capacity(settings.capacity) if settings.capacity else None,
            # Network. RDS keeps three zones, more than the subnets may have: named here, every plan would differ.
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[self.security_group.id],
            # Access
            master_username=settings.master_username,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key_arn,
            iam_database_authentication_enabled=True,
            # Durability
            storage_encrypted=True,
            kms_key_id=key_arn,
            backup_retention_period=settings.backup_retention_days,
            preferred_backup_window=BACKUP_WINDOW,
            copy_tags_to_snapshot=True,
            deletion_protection=settings.deletion_protection,
            # Independent of deletion_protection, which is switched off before every wanted deletion.
            delete_automated_backups=not settings.final_snapshot,
            skip_final_snapshot=not settings.final_snapshot,
            final_snapshot_identifier=context.name("final") if settings.final_snapshot else None,
            # Observation
            enabled_cloudwatch_logs_exports=list(logs),
            depends_on=list(logs.values()),
            # RDS reads it when it makes a cluster. One that was promoted from a replica has none, and is kept.
            lifecycle=TerraformResourceLifecycle(ignore_changes=["database_name"]),
        )
        self.ready = [
            RdsClusterInstance(
                self,
                f"instance_{number}",
                identifier=identifier,
                cluster_identifier=cluster.cluster_identifier,
                # Its version is the cluster's.
                engine=settings.engine,
                # RDS installs security fixes in the maintenance window, without a deploy.
                auto_minor_version_upgrade=True,
                apply_immediately=False,
                preferred_maintenance_window=MAINTENANCE_WINDOW,
                instance_class=settings.instance_class,
                # All alike, so that any reader may take over; readers of Serverless v2 keep the writer's capacity.
                promotion_tier=1,
                db_subnet_group_name=subnets.name,
                publicly_accessible=False,
                ca_cert_identifier=settings.ca_certificate,
                copy_tags_to_snapshot=True,
                monitoring_interval=ENHANCED_MONITORING_INTERVAL_S,
                monitoring_role_arn=monitoring_role.arn,
                performance_insights_enabled=True,
                performance_insights_kms_key_id=key_arn,
                performance_insights_retention_period=INSIGHTS_RETENTION_DAYS,
                depends_on=[monitoring_policy],
            )
            for number, identifier in enumerate(rds.members(settings.readers), start=1)
        ]
        self.address = cluster.endpoint
        self.resource_id = cluster.cluster_resource_id
        self.master_secret_arn = cluster.master_user_secret.get(0).secret_arn
        self.proxy_target = {"db_cluster_identifier": cluster.cluster_identifier}


def _capacity(settings: CapacitySettings) -> RdsClusterServerlessv2ScalingConfiguration:
    return RdsClusterServerlessv2ScalingConfiguration(min_capacity=settings.min_acus, max_capacity=settings.max_acus)
