"""The settings of an RDS instance that exists: by what it is found, what the plan cannot ask it, and how we get in."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from stacks.settings.base import MisfitError, Model, on_change

# Arguments of an instance that this stack makes. Of one that exists its owner decides them.
REQUIRED_OF_OURS = ("multi_az", "backup_retention_days")
OF_ITS_OWNER = (
    *REQUIRED_OF_OURS,
    *("engine_version", "ca_certificate", "final_snapshot", "restore_from", "generation", "backup_region"),
    # A cluster that exists is not deployed around.
    *("engine", "readers", "io_optimized", "capacity"),
)
# Of an instance that this stack makes the stack knows them.
OF_EXISTING = ("access_rules", "master_secret_arn", "max_connections", "performance_insights")
# In the group of the instance itself; or in none, and an output has them for the owner of the group.
OWN, PRINTED = "own", "printed"


def inapplicable(database: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a size does not set in `[database]`, because the instance exists and its owner decides it."""
    return () if database.get("existing_identifier") is None else OF_ITS_OWNER


class ExistingDatabaseSettings(Model):
    """Those of `[database]` that say which instance is used, and as whom."""

    existing_identifier: str | None = Field(
        None,
        max_length=63,
        pattern=r"^[a-z](-?[a-z0-9])*$",
        description=(
            "an RDS for PostgreSQL instance that exists, in network.vpc_id; with it "
            f"{', '.join(OF_ITS_OWNER)} are refused. None: the stack makes one"
        ),
        json_schema_extra=on_change(
            "**another database**: the instance that the stack made is destroyed with its rows, one that exists is "
            "left; see [adopt.md](adopt.md#deploy-around-it)"
        ),
    )
    access_rules: str = Field(
        OWN,
        pattern=rf"^({OWN}|{PRINTED}|sg-[0-9a-f]+)$",
        description=(
            f'where the rules for our clients are made, with existing_identifier: "{OWN}" (in the only group of the '
            f'instance), a group of the instance such as sg-0123456789abcdef0, or "{PRINTED}" (in none: the output '
            "access_rules has them for the group's owner)"
        ),
    )
    master_secret_arn: str | None = Field(
        None,
        pattern=r"^arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S+$",
        description=(
            "the secret with username and password of the login that owns the tables, with existing_identifier; none: "
            "the one that RDS manages"
        ),
    )
    max_connections: int | None = Field(
        None,
        ge=10,
        le=262_143,
        description=(
            "a whole number from 10 to 262143: what SHOW max_connections says, with existing_identifier; none: 100 for "
            "each GiB of memory, as the stack sets it"
        ),
    )
    performance_insights: bool = Field(
        True,
        description=(
            "true or false; whether the existing instance has Performance Insights. Without it the alarm database-load "
            "is left out"
        ),
    )
    name: str = Field(
        "scanner_db",
        pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$",
        description="the name of the database on the server",
        json_schema_extra=on_change(
            "**replaces** an instance that the stack made; of one that exists, another database"
        ),
    )
    master_username: str = Field(
        "scanner_admin",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$",
        description="the login that owns the tables; RDS takes no reserved word such as admin",
        json_schema_extra=on_change("**replaces** an instance that the stack made; of one that exists, another login"),
    )

    @model_validator(mode="before")
    @classmethod
    def _needs_nothing_of_its_owner(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("existing_identifier") is not None:
            if (engine := values.get("engine")) is not None:
                # At once: what else a cluster may not have is beside the point.
                raise MisfitError(
                    ("database", "engine"),
                    engine,
                    "existing_identifier names an instance of RDS for PostgreSQL: remove it",
                )
            return {**dict.fromkeys(REQUIRED_OF_OURS), **values}
        return values

    @model_validator(mode="after")
    def _applies(self) -> Self:
        exists = self.existing_identifier is not None
        for name in OF_ITS_OWNER if exists else OF_EXISTING:
            if name in self.model_fields_set and (value := getattr(self, name)) is not None:
                reason = "its owner decides it" if exists else "it describes an instance that exists"
                raise MisfitError(
                    ("database", name),
                    value,
                    f"{reason}, and existing_identifier is {self.existing_identifier or 'not set'}: remove the line",
                )
        return self
