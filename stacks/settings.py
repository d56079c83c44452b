"""Everything that differs between deployments, read from `environments/<name>.toml` and checked once.

Any value can be set by a variable too: `SCANNER__DATABASE__PORT=5433` wins over `port` of `[database]`.
"""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from stacks.instance_classes import describe
from stacks.profiles import PROFILES
from stacks.settings_problems import explain
from stacks.settings_source import Profiles, SettingsError, Source

__all__ = ["Settings", "SettingsError", "environment_files", "load_settings", "resolve_settings"]

ROOT = Path(__file__).resolve().parent.parent

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_KnownRetention = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288
]
# A variable's text becomes a number first, because a literal takes its exact type only.
RetentionDays = Annotated[_KnownRetention, BeforeValidator(lambda value: int(value) if str(value).isdigit() else value)]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Cidr = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+\.\d+/\d+$")]


class Model(BaseModel):
    """A table of the file: no unknown key, no change after loading. A description says what is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class State(Model):
    """Where Terraform keeps the state: a file beside main.py, or an S3 bucket with a lock file."""

    path: str | None = Field(None, description="a file path, when there is no bucket")
    bucket: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="an S3 bucket's name")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.path is None) == (self.bucket is None):
            found = "both" if self.path else "neither"
            raise ValueError(f"must have exactly one of path and bucket, and has {found}")
        return self


class Aws(Model):
    """How Terraform talks to AWS."""

    provider_version: str = Field("~> 6.25", pattern=r"^[\d.<>=~!, ]+$", description="a Terraform version constraint")
    endpoint: str | None = Field(
        None, pattern=r"^https?://[^/\s]+$", description="an emulator's address such as http://127.0.0.1:5000"
    )


class Network(Model):
    """An isolated network of our own, one private subnet in each zone; or subnets of a network that exists."""

    vpc_cidr: Cidr | None = Field(None, description="an IPv4 range such as 10.42.0.0/22")
    subnet_cidrs: tuple[Cidr, ...] = Field((), description="two or more IPv4 ranges inside vpc_cidr, none overlapping")
    availability_zones: tuple[str, ...] = Field((), description="as many zones as subnet_cidrs, all different")
    vpc_id: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]+$")] | None = Field(
        None, description="an existing VPC such as vpc-0123456789abcdef0, with DNS host names"
    )
    subnet_ids: tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")], ...] = Field(
        (), description="two or more of its subnets, in different zones"
    )
    route_table_ids: tuple[Annotated[str, Field(pattern=r"^rtb-[0-9a-f]+$")], ...] = Field(
        (),
        description="the route tables of these subnets, for endpoints of ours; none: the network leads to AWS services",
    )
    client_security_group_ids: tuple[Annotated[str, Field(pattern=r"^sg-[0-9a-f]+$")], ...] = Field(
        (), description="security groups such as sg-0123456789abcdef0, whose members may connect to the proxy"
    )

    @field_validator("vpc_cidr", "subnet_cidrs")
    @classmethod
    def _is_a_network(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for cidr in [value] if isinstance(value, str) else value or ():
            ipaddress.IPv4Network(cidr)  # its ValueError says what is wrong
        return value

    @field_validator("subnet_ids", "route_table_ids", "client_security_group_ids")
    @classmethod
    def _is_named_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({name for name in value if value.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is there more than once")
        return value

    @property
    def exists(self) -> bool:
        """Whether the network is somebody else's."""
        return self.vpc_id is not None

    @property
    def has_endpoints(self) -> bool:
        """Whether AWS services are reached by endpoints of ours, rather than by the ways of a network that exists."""
        return not self.exists or bool(self.route_table_ids)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        own = ("vpc_cidr", "subnet_cidrs", "availability_zones")
        existing = ("vpc_id", "subnet_ids")
        given = tuple(name for name in (*own, *existing, "route_table_ids") if getattr(self, name))
        if given not in {own, existing, (*existing, "route_table_ids")}:
            raise ValueError(
                f"must have either {', '.join(own)} for a network of its own, or {' and '.join(existing)} of one that "
                f"exists, with or without route_table_ids; it has {', '.join(given) or 'none of them'}"
            )
        subnets = self.subnet_ids if self.exists else self.subnet_cidrs
        if len(set(subnets)) < 2:  # noqa: PLR2004 - a database and a proxy each span two zones
            raise ValueError(f"must have two different subnets or more; {', '.join(subnets)} is not enough")
        return self if self.exists else self._ranges_fit_together()

    def _ranges_fit_together(self) -> Self:
        vpc = ipaddress.IPv4Network(str(self.vpc_cidr))
        subnets = [ipaddress.IPv4Network(cidr) for cidr in self.subnet_cidrs]
        for number, subnet in enumerate(subnets):
            if not subnet.subnet_of(vpc):
                raise ValueError(f"must have subnet_cidrs inside vpc_cidr {vpc}; {subnet} is not")
            if overlapping := [other for other in subnets[:number] if other.overlaps(subnet)]:
                raise ValueError(f"must have subnet_cidrs that do not overlap; {subnet} overlaps {overlapping[0]}")
        if len(set(self.availability_zones)) != len(subnets):
            zones = ", ".join(self.availability_zones)
            raise ValueError(f"must have as many different availability_zones as subnet_cidrs; {zones} are not")
        return self


class Database(Model):
    """The RDS instance."""

    # The major version alone: RDS installs minor versions itself in the maintenance window.
    engine_version: str = Field("17", pattern=r"^17(\.\d{1,2})?$", description='"17" or a minor version such as "17.6"')
    instance_class: str = Field(
        pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$", description="an instance class such as db.m7g.large"
    )
    allocated_storage_gib: int = Field(ge=20, le=65536, description="a whole number from 20 to 65536")
    max_allocated_storage_gib: int = Field(
        ge=20, le=65536, description="a whole number up to 65536, at least a tenth above allocated_storage_gib"
    )
    multi_az: bool = Field(description="true or false")
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
    ca_certificate: Literal["rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"] | None = Field(
        None, description="rds-ca-rsa2048-g1, rds-ca-rsa4096-g1 or rds-ca-ecc384-g1; none: the account's default"
    )
    backup_retention_days: int = Field(ge=1, le=35, description="a whole number from 1 to 35")
    deletion_protection: bool = Field(True, description="true or false")
    final_snapshot: bool = Field(True, description="true or false; whether a snapshot and the backups outlive it")
    log_min_duration_ms: int = Field(1000, ge=1, le=600_000, description="a whole number from 1 to 600000")
    port: int = Field(5432, ge=1150, le=65535, description="a whole number from 1150 to 65535")

    @field_validator("instance_class")
    @classmethod
    def _is_known(cls, value: str) -> str:
        describe(value)  # its ValueError says what is known
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


class Proxy(Model):
    """RDS Proxy."""

    auth_mode: Literal["iam", "secrets"] = Field(
        "iam", description='"iam" (IAM from caller to database) or "secrets" (the master secret; for emulators)'
    )


class ReservedConcurrency(Model):
    """Concurrent executions set aside for each function; they count against the account's quota."""

    migrate: int = Field(1, ge=1, le=1000, description="a whole number from 1 to 1000")
    # One refreshes, and the nightly verification runs beside it.
    refresh: int = Field(2, ge=1, le=1000, description="a whole number from 1 to 1000")
    status: int = Field(ge=1, le=1000, description="a whole number from 1 to 1000")


class Functions(Model):
    """The Lambda functions."""

    platform: Literal["lambda", "host"] = Field(
        "lambda", description='"lambda" (arm64, python3.13) or "host" (this machine; for emulators)'
    )
    memory_mib: int = Field(512, ge=128, le=10240, description="a whole number from 128 to 10240")
    log_retention_days: RetentionDays = Field(
        365, description="a number of days that CloudWatch Logs knows, such as 30"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    reserved_concurrency: ReservedConcurrency | None = Field(None, description="a table; none: shared with the account")
    ca_bundle: Path | None = Field(None, description="a PEM file that replaces the certificate authorities of AWS")

    @field_validator("ca_bundle")
    @classmethod
    def _exists(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("no such file")
        return value


class Release(Model):
    """The migrations of the deployment."""

    migrations: Path = Field(ROOT / "migrations", description="a folder of migrations")

    @field_validator("migrations")
    @classmethod
    def _exists(cls, value: Path) -> Path:
        if not value.is_dir():
            raise ValueError("no such folder")
        return value


class Schedule(Model):
    """When progress is refreshed."""

    refresh_minutes: int = Field(5, ge=1, le=60, description="a whole number from 1 to 60")


class StatusApi(Model):
    """The HTTP API."""

    state_machine: str = Field(
        pattern=r"^[A-Za-z0-9_-]+\*?$",
        description="the name of the Step Functions state machine that lists buckets; may end in *",
    )
    requests_per_second: int = Field(100, ge=1, le=10_000, description="a whole number from 1 to 10000")


class Alarms(Model):
    """Who is told, and when."""

    emails: tuple[Email, ...] = Field((), description="a list of e-mail addresses; each must confirm its subscription")
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
        pattern=r"^[a-z][a-z0-9-]{0,19}$", description="a file name of up to 20 lower case letters, digits and dashes"
    )
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="an AWS region such as eu-central-1")
    size: Literal["small", "medium", "large"] | None = Field(
        None, description='"small", "medium" or "large"; sets what the file does not'
    )
    tags: dict[str, str] = Field(default_factory=dict, description="names and texts, put on every resource")
    state: State
    aws: Aws = Aws()
    network: Network
    database: Database
    proxy: Proxy = Proxy()
    functions: Functions = Functions()
    release: Release = Release()
    schedule: Schedule = Schedule()
    status_api: StatusApi
    alarms: Alarms = Alarms()

    @model_validator(mode="after")
    def _zones_belong_to_region(self) -> Self:
        for zone in self.network.availability_zones:
            if not zone.startswith(self.region):
                raise ValueError(f"must have network.availability_zones in region {self.region}; {zone} is not")
        return self

    @property
    def prefix(self) -> str:
        """How the names of all resources begin."""
        return f"scanner-database-{self.environment}"


def load_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read one environment's file and the variables that override it; its `size` completes both.

    Raises:
        SettingsError: a value is missing, unknown or not allowed; one line for each, naming its file or variable.

    """
    return _load(_read(path, environ))


def resolve_settings(path: Path, environ: Mapping[str, str] = os.environ) -> list[tuple[str, Any, str]]:
    """Return each setting as key, value and where the value came from.

    Raises:
        SettingsError: as of `load_settings`.

    """
    source = _read(path, environ)
    settings = _load(source)
    return [
        (".".join(key), value, source.origin(key) if source.is_set(key) else "default")
        for key, value in _leaves(settings)
        if key not in {(name,) for name in _fixed(path)}
    ]


def environment_files(folder: Path) -> dict[str, Path]:
    """Return the settings file of each environment by its name."""
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _read(path: Path, environ: Mapping[str, str]) -> Source:
    source = Source.read(path, environ, profiles=Profiles(key="size", values=PROFILES))
    for name in _fixed(path).keys() & source.values.keys():
        raise SettingsError(f"{source.origin((name,))}: {name} follows from the file's name; remove it")
    return source


def _load(source: Source) -> Settings:
    fixed = _fixed(source.path)
    try:
        return Settings.model_validate({**source.values, **fixed})
    except ValidationError as invalid:
        problems = [explain(Settings, source, fixed.keys(), dict(error)) for error in invalid.errors()]
        raise SettingsError("\n".join(problems)) from invalid


def _fixed(path: Path) -> dict[str, str]:
    return {"environment": path.stem}


def _leaves(model: BaseModel, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in type(model).model_fields:
        value, key = getattr(model, name), (*above, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, key)
        else:
            yield key, value
