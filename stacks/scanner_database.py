"""The stack of one environment: connects the constructs; each construct's own file says what it is made of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import jsii
from cdktf import ITerraformDependable, TerraformElement, TerraformOutput, TerraformStack
from cdktf_cdktf_provider_aws.data_aws_caller_identity import DataAwsCallerIdentity
from cdktf_cdktf_provider_aws.data_aws_partition import DataAwsPartition
from constructs import Construct, Node

from handlers.contract import names, roles, timeouts, variables
from handlers.contract.events import ReleaseEvent
from stacks import outputs
from stacks.access.bastion import Bastion
from stacks.access.proxy import Proxy
from stacks.alarms.thresholds import doctor_thresholds
from stacks.assets.package import Package
from stacks.database.choice import database
from stacks.database.parameters import expected_parameters
from stacks.foundation import iam
from stacks.foundation.artifacts import Artifacts
from stacks.foundation.context import Context
from stacks.foundation.encryption import Encryption
from stacks.foundation.iam import PolicyStatement
from stacks.foundation.provider import aws_provider
from stacks.foundation.state import terraform_state
from stacks.functions.first_refresh import FirstRefresh
from stacks.functions.function import Function
from stacks.functions.migration_invocation import MigrationInvocation
from stacks.functions.schedule import Schedule
from stacks.functions.status_api import StatusApi
from stacks.monitoring.alarm_resources import AlarmResources
from stacks.monitoring.dashboard import Dashboard
from stacks.monitoring.log_metrics import LogMetrics
from stacks.monitoring.notices import Notices
from stacks.monitoring.saved_queries import SavedQueries
from stacks.monitoring.topics import Topics
from stacks.network import security_groups
from stacks.network.endpoints import Endpoints
from stacks.network.network import Network
from stacks.settings import Settings


class ScannerDatabase(TerraformStack):
    """Network, database, functions, API and alarms of one environment."""

    def __init__(self, scope: Construct, id_: str, *, settings: Settings, package: Package, release: Package) -> None:
        self._addresses: dict[str, str] = {}
        super().__init__(scope, id_)
        terraform_state(self, settings)
        aws_provider(self, settings)
        context = Context(
            settings=settings,
            account_id=DataAwsCallerIdentity(self, "account").account_id,
            partition=DataAwsPartition(self, "partition").partition,
        )

        key_arn = Encryption(self, "encryption", context=context).key_arn
        artifacts = Artifacts(self, "artifacts", context=context, key_arn=key_arn)
        network = Network(self, "network", context=context, key_arn=key_arn)
        endpoints = Endpoints(self, "endpoints", context=context, network=network, release_bucket=artifacts.bucket_name)
        db = database(self, "database", context=context, network=network, key_arn=key_arn)
        proxy = Proxy(self, "proxy", context=context, network=network, database=db, key_arn=key_arn)
        bastion = Bastion(
            self,
            "bastion",
            context=context,
            network=network,
            endpoints=endpoints,
            database=db,
            proxy=proxy,
            key_arn=key_arn,
        )

        stored_package = artifacts.upload("functions", package)
        stored_release = artifacts.upload("migrations", release)

        def function(
            name: str,
            *,
            timeout_s: int,
            environment: Mapping[str, str],
            statements: Mapping[str, PolicyStatement],
            depends_on: Sequence[ITerraformDependable] = (),
        ) -> Function:
            return Function(
                self,
                name,
                context=context,
                network=network,
                key_arn=key_arn,
                package=package,
                stored_package=stored_package,
                timeout_s=timeout_s,
                variables={variables.RDS_DBNAME: settings.database.name, **environment},
                statements=statements,
                depends_on=depends_on,
            )

        # For `doctor`, and for `migrate`, which runs the statements that its checks name.
        diagnosis = {
            variables.DOCTOR_LIMITS: json.dumps(asdict(doctor_thresholds(settings))),
            variables.DEPLOYMENT: settings.prefix,
            variables.DATABASE: str(settings.rds_database),
        }
        if expected := expected_parameters(settings):
            diagnosis[variables.EXPECTED_PARAMETERS] = str(expected)
        migrate = function(
            names.MIGRATE,
            timeout_s=timeouts.MIGRATE.function_s,
            environment={
                variables.RDS_ENDPOINT: db.address,
                variables.RDS_PORT: str(db.port),
                variables.MASTER_SECRET_ARN: db.master_secret_arn,
                **diagnosis,
            },
            statements={
                "ReadReleases": iam.statement("s3:GetObject", resources=[f"{artifacts.bucket_arn}/*"]),
                "ReadMasterSecret": iam.statement("secretsmanager:GetSecretValue", resources=[db.master_secret_arn]),
                **({"DecryptMasterSecret": decrypt} if (decrypt := db.master_secret_key()) else {}),
            },
        )
        migrate_rules = [
            *security_groups.allow(
                migrate, "to_database", source=migrate.security_group, target=db.security_group, port=db.port
            ),
            *endpoints.allow_from(migrate, migrate.security_group),
            *endpoints.allow_s3_from(migrate, migrate.security_group),
        ]
        release_event = ReleaseEvent(
            release_bucket=stored_release.bucket, release_key=stored_release.key, release_sha256=release.sha256
        )
        migrated = MigrationInvocation(
            self,
            "release",
            migrate=migrate,
            release=release_event,
            database=settings.rds_database,
            depends_on=[*db.ready, *endpoints.ready, *migrate_rules],
        )

        through_proxy = {variables.RDS_PROXY_ENDPOINT: proxy.endpoint, variables.RDS_PORT: str(proxy.port)}
        refresh = function(
            names.REFRESH,
            timeout_s=timeouts.REFRESH.function_s,
            environment={**through_proxy, variables.RDS_USERNAME: roles.REFRESHER},
            statements={"LogIn": proxy.login(roles.REFRESHER)},
            depends_on=[migrated.invocation],
        )
        status = function(
            names.STATUS,
            timeout_s=timeouts.STATUS.function_s,
            environment={
                **through_proxy,
                variables.RDS_USERNAME: roles.READER,
                variables.REFRESH_MINUTES: str(settings.schedule.refresh_minutes),
            },
            statements={
                "LogIn": proxy.login(roles.READER),
                "ReadExecutions": iam.statement(
                    "states:DescribeExecution",
                    resources=[context.arn("states", f"execution:{settings.status_api.state_machine}:*")],
                ),
            },
            depends_on=[migrated.invocation],
        )
        doctor = function(
            names.DOCTOR,
            timeout_s=timeouts.DOCTOR.function_s,
            environment={
                # Past the proxy: the doctor must work, and examine the proxy, while the proxy does not answer.
                variables.RDS_ENDPOINT: db.address,
                variables.RDS_PORT: str(db.port),
                variables.RDS_PROXY_ENDPOINT: f"{proxy.endpoint}:{proxy.port}",
                variables.RDS_USERNAME: roles.DOCTOR,
                **diagnosis,
                **variables.release_variables(release_event),
            },
            statements={
                "LogIn": db.login(roles.DOCTOR),
                "LogInThroughProxy": proxy.login(roles.DOCTOR),
                "ReadRelease": iam.statement(
                    "s3:GetObject", resources=[f"{artifacts.bucket_arn}/{stored_release.key}"]
                ),
            },
            depends_on=[migrated.invocation],
        )
        endpoints.allow_from(status, status.security_group)
        endpoints.allow_s3_from(doctor, doctor.security_group)
        security_groups.allow(
            doctor, "to_database", source=doctor.security_group, target=db.security_group, port=db.port
        )
        to_proxy = {
            caller: security_groups.allow(
                caller, "to_proxy", source=caller.security_group, target=proxy.security_group, port=proxy.port
            )
            for caller in (refresh, status, doctor)
        }

        first = FirstRefresh(
            self, "first_refresh", refresh=refresh, release=release, target=proxy.target, depends_on=to_proxy[refresh]
        )
        schedule = Schedule(self, "schedule", context=context, refresh=refresh, depends_on=[first.waited])
        api = StatusApi(self, "status_api", context=context, status=status, key_arn=key_arn)

        topics = Topics(self, "topics", context=context, key_arn=key_arn)
        LogMetrics(self, "log_metrics", context=context, log_group=db.query_log_group)
        SavedQueries(self, "saved_queries", context=context)
        Notices(self, "notices", context=context, topic_arn=topics.ticket_arn)
        alarms = AlarmResources(
            self,
            "alarms",
            context=context,
            topics=topics,
            api_id=api.api_id,
            # After the first refresh: nothing is stale before it has run.
            depends_on=[schedule.refresh],
        )
        dashboard = Dashboard(
            self,
            "dashboard",
            context=context,
            api_id=api.api_id,
            page_arns=alarms.page_arns,
            ticket_arns=alarms.ticket_arns,
        )

        tunnel = {"host": [proxy.endpoint], "portNumber": [str(proxy.port)], "localPortNumber": ["5432"]}
        self._outputs(
            api_url=api.url,
            database_endpoint=db.address,
            database_port=str(db.port),
            proxy_endpoint=proxy.endpoint,
            proxy_port=str(proxy.port),
            **({"reader_endpoint": proxy.reader_endpoint} if proxy.reader_endpoint else {}),
            proxy_security_group_id=proxy.security_group.id,
            vpc_id=network.vpc_id,
            route_table_ids=", ".join(network.route_table_ids),
            application_user_arn=proxy.user_arn(roles.APPLICATION),
            bastion_instance_id=bastion.instance.id,
            tunnel_command=(
                f"aws ssm start-session --region {settings.region} --target {bastion.instance.id} "
                f"--document-name AWS-StartPortForwardingSessionToRemoteHost --parameters '{json.dumps(tunnel)}'"
            ),
            migrate_function_name=migrate.function_name,
            refresh_function_name=refresh.function_name,
            status_function_name=status.function_name,
            doctor_function_name=doctor.function_name,
            page_topic_arn=topics.page_arn,
            ticket_topic_arn=topics.ticket_arn,
            dashboard_url=dashboard.url,
            release_sha256=release.sha256,
            **({"access_rules": "\n".join(db.access_rules)} if db.access_rules else {}),
        )

    # Overrides cdktf's own method: an address is the construct's path without a hash, so that people can type
    # `aws_db_instance.database_instance`.
    @jsii.member(jsii_name="allocateLogicalId")
    def _allocate_logical_id(self, tf_element: TerraformElement | Node) -> str:
        # Each attribute is a call to the Node process behind jsii, so each is read once.
        path = (tf_element if isinstance(tf_element, Node) else tf_element.node).path
        address = "_".join(path.split("/")[1:])
        if self._addresses.setdefault(address, path) != path:
            raise ValueError(f"{path} and {self._addresses[address]} would have the same address {address}")
        return address

    def _outputs(self, **values: str) -> None:
        for name, value in values.items():
            TerraformOutput(self, name, value=value, description=outputs.DESCRIPTIONS[name])
