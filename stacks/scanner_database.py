"""The stack of one environment. It only wires: each construct says in its own file what it is made of."""

import json
from collections.abc import Mapping, Sequence

import jsii
from cdktf import (
    ITerraformDependable,
    LocalBackend,
    S3Backend,
    TerraformElement,
    TerraformOutput,
    TerraformStack,
)
from cdktf_cdktf_provider_aws.data_aws_caller_identity import DataAwsCallerIdentity
from cdktf_cdktf_provider_aws.data_aws_partition import DataAwsPartition
from constructs import Construct, Node

from stacks import database, firewall, iam
from stacks.alarm_resources import AlarmResources
from stacks.artifacts import Artifacts
from stacks.bastion import Bastion
from stacks.context import Context
from stacks.database import Database
from stacks.encryption import Encryption
from stacks.endpoints import Endpoints
from stacks.functions import Function
from stacks.iam import Statement
from stacks.network import Network
from stacks.package import ROOT, Package
from stacks.provider import aws_provider
from stacks.proxy import Proxy
from stacks.release import Release
from stacks.schedule import Schedule
from stacks.settings import Settings
from stacks.status_api import StatusApi

# The first version whose S3 backend locks the state without a DynamoDB table.
TERRAFORM_VERSION = ">= 1.10"

MIGRATE_TIMEOUT_S = 900  # the most that Lambda allows
REFRESH_TIMEOUT_S = 300
STATUS_TIMEOUT_S = 10


class ScannerDatabase(TerraformStack):
    """Network, database, functions, API and alarms of one environment."""

    def __init__(self, scope: Construct, id_: str, *, settings: Settings, package: Package, release: Package) -> None:
        self._addresses: dict[str, str] = {}
        super().__init__(scope, id_)
        self._configure_terraform(settings)
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
        db = Database(self, "database", context=context, network=network, key_arn=key_arn)
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
            variables: Mapping[str, str],
            statements: Mapping[str, Statement],
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
                variables={"RDS_PORT": str(db.port), "RDS_DBNAME": database.NAME, **variables},
                statements=statements,
                depends_on=depends_on,
            )

        migrate = function(
            "migrate",
            timeout_s=MIGRATE_TIMEOUT_S,
            variables={"RDS_ENDPOINT": db.address, "MASTER_SECRET_ARN": db.master_secret_arn},
            statements={
                "ReadReleases": iam.statement("s3:GetObject", resources=[f"{artifacts.bucket_arn}/*"]),
                "ReadMasterSecret": iam.statement("secretsmanager:GetSecretValue", resources=[db.master_secret_arn]),
            },
        )
        migrate_rules = [
            *firewall.allow(
                migrate, "to_database", source=migrate.security_group, target=db.security_group, port=db.port
            ),
            *endpoints.allow_from(migrate, migrate.security_group),
            *endpoints.allow_s3_from(migrate, migrate.security_group),
        ]
        migrated = Release(
            self,
            "release",
            migrate=migrate,
            package=release,
            stored_release=stored_release,
            depends_on=[db.instance, *endpoints.ready, *migrate_rules],
        )

        refresh = function(
            "refresh",
            timeout_s=REFRESH_TIMEOUT_S,
            variables={"RDS_PROXY_ENDPOINT": proxy.endpoint, "RDS_USERNAME": database.REFRESH_USER},
            statements={"LogIn": proxy.login(database.REFRESH_USER)},
            depends_on=[migrated.invocation],
        )
        status = function(
            "status",
            timeout_s=STATUS_TIMEOUT_S,
            variables={"RDS_PROXY_ENDPOINT": proxy.endpoint, "RDS_USERNAME": database.STATUS_USER},
            statements={
                "LogIn": proxy.login(database.STATUS_USER),
                "ReadExecutions": iam.statement(
                    "states:DescribeExecution",
                    resources=[context.arn("states", f"execution:{settings.status_api.state_machine}:*")],
                ),
            },
            depends_on=[migrated.invocation],
        )
        endpoints.allow_from(status, status.security_group)
        for caller in (refresh, status):
            firewall.allow(
                caller, "to_proxy", source=caller.security_group, target=proxy.security_group, port=proxy.port
            )

        schedule = Schedule(self, "schedule", context=context, refresh=refresh)
        api = StatusApi(self, "status_api", context=context, status=status, key_arn=key_arn)
        alarms = AlarmResources(
            self,
            "alarms",
            context=context,
            key_arn=key_arn,
            query_log_group=db.query_log_group,
            api_id=api.api_id,
            # Nothing is stale before the first refresh can have run.
            depends_on=[schedule.refresh],
        )

        tunnel = {"host": [proxy.endpoint], "portNumber": [str(proxy.port)], "localPortNumber": ["5432"]}
        self._outputs(
            api_url=api.url,
            database_endpoint=db.address,
            proxy_endpoint=proxy.endpoint,
            database_port=str(db.port),
            application_user_arn=proxy.user_arn(database.APPLICATION_USER),
            bastion_instance_id=bastion.instance.id,
            tunnel_command=(
                f"aws ssm start-session --region {settings.region} --target {bastion.instance.id} "
                f"--document-name AWS-StartPortForwardingSessionToRemoteHost --parameters '{json.dumps(tunnel)}'"
            ),
            migrate_function_name=migrate.function_name,
            refresh_function_name=refresh.function_name,
            status_function_name=status.function_name,
            alarm_topic_arn=alarms.topic_arn,
            release_sha256=release.sha256,
        )

    # cdktf finds a method of its own by this name: each address is the construct's path, without a hash, so that people
    # can type `aws_db_instance.database_instance`.
    @jsii.member(jsii_name="allocateLogicalId")
    def _allocate_logical_id(self, tf_element: TerraformElement | Node) -> str:
        # Each attribute is a question to the Node process, so none is asked twice.
        path = (tf_element if isinstance(tf_element, Node) else tf_element.node).path
        address = "_".join(path.split("/")[1:])
        if self._addresses.setdefault(address, path) != path:
            raise ValueError(f"{path} and {self._addresses[address]} would have the same address {address}")
        return address

    def _configure_terraform(self, settings: Settings) -> None:
        self.add_override("terraform.required_version", TERRAFORM_VERSION)
        if settings.state.bucket is None:
            # Beside main.py, wherever it is started from.
            LocalBackend(self, path=str(ROOT / (settings.state.path or "terraform.tfstate")))
            return
        backend = S3Backend(
            self,
            bucket=settings.state.bucket,
            key=f"{settings.prefix}.tfstate",
            region=settings.region,
            encrypt=True,
        )
        backend.add_override("use_lockfile", True)  # younger than cdktf's own arguments

    def _outputs(self, **values: str) -> None:
        for name, value in values.items():
            TerraformOutput(self, name, value=value)
