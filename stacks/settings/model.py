"""The settings of one deployment: what a file of environments/ may say, with the bounds of each value."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from handlers.contract.names import deployment_name
from stacks import ROOT
from stacks.settings.base import Model, on_change
from stacks.settings.instance_classes import instance_class
from stacks.settings.network import NetworkSettings

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_KnownRetention = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288
]
# A variable's text becomes a number first, because a literal takes its exact type only.
RetentionDays = Annotated[_KnownRetention, BeforeValidator(lambda value: int(value) if str(value).isdigit() else value)]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]


class StateSettings(Model):
    """Where Terraform keeps the state: a file beside main.py, or an S3 bucket with a lock file."""

    path: str | None = Field(
        None,
        description="a file path, when there is no bucket",
        json_schema_extra=on_change("moves the state: `terraform init -migrate-state`; no resource changes"),
    )
    bucket: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="an S3 bucket's name",
        json_schema_extra=on_change("moves the state: `terraform init -migrate-state`; no resource changes"),
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.path is None) == (self.bucket is None):
            found = "both" if self.path else "neither"
            raise ValueError(f"must have exactly one of path and bucket, and has {found}")
        return self


class AwsSettings(Model):
    """How Terraform talks to AWS."""

    provider_version: str = Field(
        "~> 6.25",
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


class DatabaseSettings(Model):
    """The RDS instance."""

    # The major version alone: RDS installs minor versions itself in the maintenance window. It creates 17.1 to 17.4 no
    # longer: https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-versions.html
    engine_version: str = Field(
        "17",
        pattern=r"^(17(\.([5-9]|[1-9]\d))?|18(\.[1-9]\d?)?)$",
        description='"17", "18", or a minor version such as "17.6", from 17.5 on',
        json_schema_extra=on_change(
            "**restarts** the database in the maintenance window; a new major version is refused, see "
            "[operations/database.md](operations/database.md#to-another-version-of-postgresql)"
        ),
    )
    instance_class: str = Field(
        pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$",
        description="an instance class such as db.m7g.large",
        json_schema_extra=on_change(
            "**restarts** the database in the maintenance window; `max_connections` follows at that restart"
        ),
    )
    allocated_storage_gib: int = Field(
        ge=20,
        le=65536,
        description="a whole number from 20 to 65536",
        json_schema_extra=on_change("grows in the maintenance window without a restart; RDS refuses to shrink it"),
    )
    max_allocated_storage_gib: int = Field(
        ge=20, le=65536, description="a whole number up to 65536, at least a tenth above allocated_storage_gib"
    )
    multi_az: bool = Field(
        description="true or false",
        json_schema_extra=on_change("adds or removes the standby in the maintenance window, without a restart"),
    )
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
    ca_certificate: Literal["rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"] | None = Field(
        None,
        description="rds-ca-rsa2048-g1, rds-ca-rsa4096-g1 or rds-ca-ecc384-g1; none: the account's default",
        json_schema_extra=on_change("rotates the certificate in the maintenance window; **may restart** the database"),
    )
    backup_retention_days: int = Field(
        ge=1,
        le=35,
        description="a whole number from 1 to 35",
        json_schema_extra=on_change("in place; fewer days delete the older automated backups"),
    )
    deletion_protection: bool = Field(True, description="true or false")
    final_snapshot: bool = Field(
        True,
        description="true or false; whether a snapshot and the backups outlive it",
        json_schema_extra=on_change("in place; decides what a later destroy keeps"),
    )
    log_min_duration_ms: int = Field(1000, ge=1, le=600_000, description="a whole number from 1 to 600000")
    port: int = Field(
        5432,
        ge=1150,
        le=65535,
        description="a whole number from 1150 to 65535",
        json_schema_extra=on_change(
            "**restarts** the database during the deploy; clients that connect directly need the new port"
        ),
    )

    @field_validator("instance_class")
    @classmethod
    def _is_known(cls, value: str) -> str:
        instance_class(value)  # its ValueError says what is known
        return value

    @model_validator(mode="after")
    def _can_grow(self) -> Self:
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html
        if self.max_allocated_storage_gib < self.allocated_storage_gib * 1.1:
            raise ValueError(
                f"must have max_allocated_storage_gib at least a tenth above allocated_storage_gib "
                f"{self.allocated_storage_gib}; {self.max_allocated_storage_gib} is not"
            )
        return self


class ProxySettings(Model):
    """RDS Proxy."""

    auth_mode: Literal["iam", "secrets"] = Field(
        "iam",
        description='"iam" (IAM from caller to database) or "secrets" (the master secret; for emulators)',
        json_schema_extra=on_change("in place; the proxy takes another proof of new connections"),
    )


class ReservedConcurrency(Model):
    """Concurrent executions set aside for each function; they count against the account's quota."""

    migrate: int = Field(1, ge=1, le=1000, description="a whole number from 1 to 1000")
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
        pattern=r"^[A-Za-z0-9_-]+\*?$",
        description="the name of the Step Functions state machine that lists buckets; may end in *",
    )
    requests_per_second: int = Field(100, ge=1, le=10_000, description="a whole number from 1 to 10000")


class AlarmsSettings(Model):
    """Who is told, and when."""

    emails: tuple[Email, ...] = Field(
        (),
        description="a list of e-mail addresses; each must confirm its subscription",
        json_schema_extra=on_change("a new address must confirm its subscription; a removed one is unsubscribed"),
    )
    runbook_url: str = Field(
        "docs/runbook.md", min_length=1, description="the runbook's https address; alarms append #section"
    )
    api_errors: int = Field(5, ge=1, description="a whole number: answers with 5xx in five minutes")
    api_latency_ms: int = Field(1000, ge=1, description="a whole number: what nine answers in ten stay below")
    backlog_rows: int = Field(100_000, ge=1, description="a whole number: changes that wait to be folded")
    connections_percent: int = Field(85, ge=1, le=100, description="a whole number from 1 to 100")
    denied_statements: int = Field(5, ge=1, description="a whole number: refused statements in five minutes")
    lock_wait_s: int = Field(60, ge=1, description="a whole number: seconds that a session waits for a lock")
    slow_queries: int = Field(10, ge=1, description="a whole number: slow statements in five minutes")
    slow_query_p99_ms: int = Field(60_000, ge=1, description="a whole number: the slowest of a hundred slow statements")
    storage_hours: int = Field(48, ge=1, description="a whole number: hours until the disk is full")
    transaction_s: int = Field(900, ge=1, description="a whole number: seconds that a transaction is open")

    @model_validator(mode="after")
    def _links_lead_somewhere(self) -> Self:
        if self.emails and not self.runbook_url.startswith(("https://", "http://")):
            raise ValueError(
                "must have runbook_url as an address such as https://git.example.com/scanner/docs/runbook.md where "
                f"emails are given, because a mail links it; {self.runbook_url} leads nowhere"
            )
        return self


class Settings(Model):
    """One deployment."""

    environment: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,19}$",
        description="a file name of up to 20 lower case letters, digits and dashes",
        json_schema_extra=on_change("another deployment"),
    )
    region: str = Field(
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
        description="an AWS region such as eu-central-1",
        json_schema_extra=on_change(
            "**replaces** everything, the database with its rows too; add an environment instead"
        ),
    )
    size: Literal["small", "medium", "large"] | None = Field(
        None,
        description='"small", "medium" or "large"; sets what the file does not',
        json_schema_extra=on_change("what each value that it sets does"),
    )
    tags: dict[str, str] = Field(
        default_factory=dict,
        description="names and texts, put on every resource",
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

    @model_validator(mode="after")
    def _zones_belong_to_region(self) -> Self:
        for zone in self.network.availability_zones:
            if not zone.startswith(self.region):
                raise ValueError(f"must have network.availability_zones in region {self.region}; {zone} is not")
        return self

    @property
    def prefix(self) -> str:
        """How the names of all resources begin."""
        return deployment_name(self.environment)
