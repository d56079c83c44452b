"""The settings of the database: an RDS instance, or an Aurora cluster (`cluster.py`)."""

from collections.abc import Callable
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from stacks.settings.base import MisfitError, on_change
from stacks.settings.cluster import (
    ONLY_OF_AN_INSTANCE,
    CapacitySettings,
    Engine,
    check_restores,
    of_a_cluster,
    of_an_instance,
)
from stacks.settings.existing_database import ExistingDatabaseSettings
from stacks.settings.instance_classes import SERVERLESS, InstanceClass, instance_class
from stacks.settings.rds_offers import AURORA, POSTGRES, rds_offers
from stacks.settings.restore import RestoreFrom


class DatabaseSettings(ExistingDatabaseSettings):
    """An RDS instance of ours; one that exists, which class, storage and port describe; or an Aurora cluster."""

    # Before the others, which are checked against it.
    engine: Engine = Field(
        POSTGRES,
        description='"postgres" (an instance) or "aurora-postgresql" (a cluster)',
        json_schema_extra=on_change(
            "**replaces** the database by an empty one; see "
            "[operations/cluster.md](operations/cluster.md#from-an-instance-to-a-cluster)"
        ),
    )
    readers: int = Field(
        0,
        ge=0,
        le=15,
        description="a whole number from 0 to 15: the instances of a cluster beside its writer",
        json_schema_extra=on_change("adds or removes instances; the writer goes on"),
    )
    io_optimized: bool = Field(
        False,
        description="true or false; whether a cluster pays for its size alone, and not for its reads and writes",
        json_schema_extra=on_change(
            "in place, without a restart, to true once in 30 days; back to false as in "
            "[operations/cluster.md](operations/cluster.md#io-optimized)"
        ),
    )
    # The major version alone: RDS installs minor versions itself in the maintenance window.
    engine_version: str = Field(
        "17",
        pattern=r"^1[78](\.\d+)?$",
        description='"17", "18", or a minor version of these that RDS still creates, such as "17.6"',
        json_schema_extra=on_change(
            "**restarts** the database in the maintenance window; a new major version is refused, see "
            "[operations/database.md](operations/database.md#to-another-version-of-postgresql)"
        ),
    )
    instance_class: str = Field(
        pattern=r"^db\.([a-z0-9]+\.[a-z0-9]+|serverless)$",
        description="an instance class that RDS offers in the region, such as db.r7g.large; of a cluster db.serverless",
        json_schema_extra=on_change(
            "**restarts** the database in the maintenance window; `max_connections` follows at that restart"
        ),
    )
    allocated_storage_gib: int = Field(
        ONLY_OF_AN_INSTANCE,
        validate_default=True,
        ge=20,
        le=65536,
        description="a whole number from 20 to 65536",
        json_schema_extra=on_change("grows in the maintenance window without a restart; RDS refuses to shrink it"),
    )
    max_allocated_storage_gib: int = Field(
        ONLY_OF_AN_INSTANCE,
        validate_default=True,
        ge=20,
        le=65536,
        description="a whole number from 20 to 65536, at least a tenth above allocated_storage_gib",
    )
    multi_az: bool | None = Field(
        ONLY_OF_AN_INSTANCE,
        validate_default=True,
        description="true or false",
        json_schema_extra=on_change("adds or removes the standby in the maintenance window, without a restart"),
    )
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
    ca_certificate: Literal["rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"] | None = Field(
        None,
        description="rds-ca-rsa2048-g1, rds-ca-rsa4096-g1 or rds-ca-ecc384-g1; none: the account's default",
        json_schema_extra=on_change("rotates the certificate in the maintenance window; **may restart** the database"),
    )
    backup_retention_days: int | None = Field(
        ge=1,
        le=35,
        description="a whole number from 1 to 35",
        json_schema_extra=on_change("in place; fewer days delete the older automated backups"),
    )
    backup_region: str | None = Field(
        None,
        description="another AWS region to which RDS copies the automated backups; none: they are lost with the region",
        json_schema_extra=on_change("starts or stops the copies; those of before are kept for backup_retention_days"),
    )
    deletion_protection: bool = Field(
        True, description="true or false; with existing_identifier it keeps the bucket of releases only"
    )
    final_snapshot: bool = Field(
        True,
        description="true or false; whether a snapshot and the backups outlive it",
        json_schema_extra=on_change("in place; decides what a later destroy keeps"),
    )
    generation: int = Field(
        1,
        ge=1,
        le=99,
        description=(
            "a whole number from 1 to 99; from 2 on it is part of the identifier. It is raised by one with each "
            "restore_from, and never lowered"
        ),
        json_schema_extra=on_change(
            "makes **another database**, restored by restore_from and empty without it; the older one stays as it is, "
            "outside of the deployment"
        ),
    )
    restore_from: RestoreFrom | None = Field(None, description="a table; none: the database begins empty")
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
    capacity: CapacitySettings | None = Field(None, description="a table, with db.serverless; none: no Serverless v2")

    @property
    def is_cluster(self) -> bool:
        """Whether it is an Aurora cluster."""
        return self.engine == AURORA

    @property
    def size(self) -> InstanceClass:
        """What each of its instances is; of Serverless v2 at its most capacity."""
        return self.capacity.size if self.capacity else instance_class(self.instance_class, self.engine)

    @property
    def session_limit(self) -> int:
        """How many sessions it takes: what `max_connections` says of an instance that exists, else by its size."""
        return self.max_connections or self.size.max_connections

    @field_validator("allocated_storage_gib", "max_allocated_storage_gib", "multi_az", mode="wrap")
    @classmethod
    def _is_of_an_instance(cls, value: Any, validate: Callable[[Any], Any], info: ValidationInfo) -> Any:
        if info.field_name == "multi_az" and info.data.get("existing_identifier") is not None:
            return validate(value)  # which is its owner's
        return of_an_instance(str(info.field_name), value, validate, _engine(info))

    @field_validator("readers", "io_optimized", "capacity")
    @classmethod
    def _is_of_a_cluster(cls, value: Any, info: ValidationInfo) -> Any:
        return of_a_cluster(str(info.field_name), value, _engine(info))

    @field_validator("engine_version")
    @classmethod
    def _can_be_created(cls, value: str, info: ValidationInfo) -> str:
        offers = rds_offers(_engine(info))
        if "." in value and value not in offers.versions:
            major = value.partition(".")[0]
            known = ", ".join(each for each in offers.versions if each.startswith(f"{major}."))
            raise ValueError(
                f'RDS creates {known}; "{major}" is the newest, and RDS keeps it up to date; {offers.as_of}'
            )
        return value

    @field_validator("instance_class")
    @classmethod
    def _is_known(cls, value: str, info: ValidationInfo) -> str:
        engine = _engine(info)
        if value != SERVERLESS:
            instance_class(value, engine)  # its ValueError says what is known
        elif engine != AURORA:
            raise ValueError(f'only a cluster has it; set database.engine = "{AURORA}"')
        return value

    @model_validator(mode="after")
    def _is_restored_as_an_instance_is(self) -> Self:
        if self.is_cluster:
            check_restores({name: getattr(self, name) for name in self.model_fields_set})
        return self

    @model_validator(mode="after")
    def _has_a_capacity_where_it_is_serverless(self) -> Self:
        if (self.capacity is None) is (self.instance_class == SERVERLESS):
            raise MisfitError(
                ("database", "instance_class"),
                self.instance_class,
                f"[database.capacity] and {SERVERLESS} go together: set both or none",
            )
        return self

    @model_validator(mode="after")
    def _can_be_named(self) -> Self:
        # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
        if self.existing_identifier is None and (self.name.startswith("_") or "-" in self.name):
            raise MisfitError(
                ("database", "name"),
                self.name,
                "RDS creates a database of letters, digits and underscores, a letter first",
            )
        return self

    @model_validator(mode="after")
    def _can_grow(self) -> Self:
        if self.existing_identifier is not None:
            if self.max_allocated_storage_gib < self.allocated_storage_gib:
                raise ValueError(
                    "must have max_allocated_storage_gib at or above allocated_storage_gib "
                    f"{self.allocated_storage_gib}, equal where the instance has no storage autoscaling; "
                    f"{self.max_allocated_storage_gib} is not"
                )
            return self
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html
        if self.max_allocated_storage_gib < self.allocated_storage_gib * 1.1:
            raise ValueError(
                f"must have max_allocated_storage_gib at least a tenth above allocated_storage_gib "
                f"{self.allocated_storage_gib}; {self.max_allocated_storage_gib} is not"
            )
        return self


def _engine(info: ValidationInfo) -> str:
    """Return the engine; where it is refused itself, the default."""
    return str(info.data.get("engine", POSTGRES))
