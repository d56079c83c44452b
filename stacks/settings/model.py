"""The settings of one deployment: what a file of environments/ may say, with the bounds of each value."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from handlers.contract.databases import RdsDatabase, RdsKind
from handlers.contract.names import deployment_name
from stacks import ROOT
from stacks.settings import regions
from stacks.settings.alarms import AlarmsSettings
from stacks.settings.base import WHOLE_NUMBER, MisfitError, Model, on_change
from stacks.settings.database import DatabaseSettings
from stacks.settings.environment_name import LONGEST_ENVIRONMENT_NAME
from stacks.settings.network import NetworkSettings
from stacks.settings.restore import check_backup_region, check_restore
from stacks.settings.state import StateSettings
from stacks.settings.subnet_addresses import check_subnet_sizes
from stacks.settings.tags import MOST_CHOSEN, Tags

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_KnownRetention = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
# A variable's text becomes a number first, because a literal takes its exact type only.
RetentionDays = Annotated[
    _KnownRetention, BeforeValidator(lambda value: int(value) if WHOLE_NUMBER.fullmatch(str(value)) else value)
]


class AwsSettings(Model):
    """How Terraform talks to AWS."""

    provider_version: str = Field(
        # 6.22 to 6.39 plan a change of each bucket's encryption for ever:
        # https://github.com/hashicorp/terraform-provider-aws/issues/47320
        "~> 6.40",
        pattern=r"^[\d.<>=~!, ]+$",
        description="a Terraform version constraint",
        json_schema_extra=on_change(
            "Terraform installs another version of its provider; no resource changes by itself"
        ),
    )
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/\s]+$",
        description="an emulator's address such as http://127.0.0.1:5000",
        json_schema_extra=on_change("points Terraform at an emulator instead of AWS; not for a deployed environment"),
    )


class ProxySettings(Model):
    """RDS Proxy."""

    auth_mode: Literal["iam", "secrets"] = Field(
        "iam",
        description='"iam" (IAM from caller to database) or "secrets" (the master secret; for emulators)',
        json_schema_extra=on_change("in place; the proxy takes another proof of new connections"),
    )


class ReservedConcurrency(Model):
    """Concurrent executions set aside for each function; they count against the account's quota."""

    # While a deploy migrates, an on-call ends the session that it waits for. Two deploys take turns in the database.
    migrate: int = Field(2, ge=1, le=1000, description="a whole number from 1 to 1000")
    # One refreshes, and the nightly verification runs beside it.
    refresh: int = Field(2, ge=1, le=1000, description="a whole number from 1 to 1000")
    status: int = Field(ge=1, le=1000, description="a whole number from 1 to 1000")


class FunctionsSettings(Model):
    """The Lambda functions."""

    platform: Literal["lambda", "host"] = Field(
        "lambda",
        description='"lambda" (arm64, python3.13) or "host" (this machine; for emulators)',
        json_schema_extra=on_change("gives the functions another runtime; for emulators only"),
    )
    memory_mib: int = Field(512, ge=128, le=10240, description="a whole number from 128 to 10240")
    log_retention_days: RetentionDays = Field(
        365,
        description="a number of days that CloudWatch Logs knows, such as 30",
        json_schema_extra=on_change("in place; fewer days delete the older log events"),
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    reserved_concurrency: ReservedConcurrency | None = Field(None, description="a table; none: shared with the account")
    ca_bundle: Path | None = Field(
        None,
        description="a PEM file that replaces the certificate authorities of AWS",
        json_schema_extra=on_change("updates the code of the functions"),
    )

    @field_validator("ca_bundle")
    @classmethod
    def _exists(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("no such file")
        return value


class ReleaseSettings(Model):
    """The migrations of the deployment."""

    migrations: Path = Field(
        ROOT / "migrations",
        description="a folder of migrations",
        json_schema_extra=on_change("another release: the deploy runs its migrations"),
    )

    @field_validator("migrations")
    @classmethod
    def _exists(cls, value: Path) -> Path:
        if not value.is_dir():
            raise ValueError("no such folder")
        return value


class ScheduleSettings(Model):
    """When progress is refreshed, and which jobs are retired at night."""

    refresh_minutes: int = Field(5, ge=1, le=60, description="a whole number from 1 to 60")
    retire_older_than_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="a whole number from 1 to 3650: the age at which finished jobs are deleted; none: never",
        json_schema_extra=on_change("in place; the next night **deletes** the jobs that are older"),
    )

    @property
    def refresh_interval_s(self) -> int:
        """Seconds from one refresh to the next."""
        return 60 * self.refresh_minutes


class StatusApiSettings(Model):
    """The HTTP API."""

    state_machine: str = Field(
        # https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
        pattern=r"^([A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,79}\*)$",
        description="the name of the Step Functions state machine that lists buckets; may end in *",
    )
    requests_per_second: int = Field(100, ge=1, le=10_000, description="a whole number from 1 to 10000")


class Settings(Model):
    """One deployment."""

    environment: str = Field(
        # RDS refuses an identifier with two dashes in a row or one at its end.
        pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        max_length=LONGEST_ENVIRONMENT_NAME,
        description=(
            f"a file name of up to {LONGEST_ENVIRONMENT_NAME} lower case letters, digits and single dashes between them"
        ),
        json_schema_extra=on_change("another deployment"),
    )
    region: str = Field(
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
        description="an AWS region such as eu-central-1; none of GovCloud or China",
        json_schema_extra=on_change(
            "**replaces** everything, the database with its rows too; add an environment instead"
        ),
    )
    size: Literal["small", "medium", "large", "huge"] | None = Field(
        None,
        description='"small", "medium", "large" (an instance) or "huge" (a cluster); sets what the file does not',
        json_schema_extra=on_change("what each value that it sets does"),
    )
    tags: Tags = Field(
        default_factory=dict,
        description=(
            f"up to {MOST_CHOSEN} names of 1 to 128 and texts of up to 256 letters, digits, spaces and _.:/=+-@, put "
            "on every resource; none begins with aws:, and no two names differ in case only"
        ),
        json_schema_extra=on_change("in place, on every resource"),
    )
    state: StateSettings
    aws: AwsSettings = AwsSettings()
    network: NetworkSettings
    database: DatabaseSettings
    proxy: ProxySettings = ProxySettings()
    functions: FunctionsSettings = FunctionsSettings()
    release: ReleaseSettings = ReleaseSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    status_api: StatusApiSettings
    alarms: AlarmsSettings = AlarmsSettings()

    @field_validator("region")
    @classmethod
    def _is_supported(cls, value: str) -> str:
        regions.check_region(value)
        return value

    @model_validator(mode="after")
    def _fits_the_region(self) -> Self:
        regions.check_zones(self.region, self.network.availability_zones)
        regions.check_instance_class(self.region, self.database.engine, self.database.instance_class)
        regions.check_certificates(self.region, has_own=self.functions.ca_bundle is not None)
        check_subnet_sizes(self.network, self.database)
        check_backup_region(self.database.backup_region, self.region)
        check_restore(self.database.restore_from, self.rds_database.identifier)
        if self.database.existing_identifier is not None and not self.network.exists:
            raise MisfitError(
                ("network", "vpc_cidr"),
                self.network.vpc_cidr,
                f"{self.database.existing_identifier} lies in a network that exists: name it in network.vpc_id, with "
                "subnet_ids",
            )
        return self

    @property
    def prefix(self) -> str:
        """How the names of all resources begin."""
        return deployment_name(self.environment)

    @property
    def rds_database(self) -> RdsDatabase:
        """By what RDS names the database. It never depends on `restore_from`, which is removed after the restore."""
        kind = RdsKind.CLUSTER if self.database.is_cluster else RdsKind.INSTANCE
        generation = self.database.generation
        own = self.prefix if generation == 1 else f"{self.prefix}-{generation}"
        return RdsDatabase(kind=kind, identifier=self.database.existing_identifier or own)
