"""The settings of an Aurora cluster, and what a cluster has not.

Aurora PostgreSQL: a writer and up to 15 readers share one volume, which grows by itself up to its limit.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Overview.html
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from stacks.settings.base import MisfitError, Model, on_change
from stacks.settings.instance_classes import MOST_CONNECTIONS, InstanceClass
from stacks.settings.rds_offers import AURORA

Engine = Literal["postgres", "aurora-postgresql"]

GIB_PER_ACU = 2
# Memory of the memory-optimised classes; AWS gives an ACU "corresponding CPU" without a number.
ACUS_PER_VCPU = 4
# With a minimum of 0.5 ACUs, max_connections is limited:
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
LEAST_ACUS = 0.5
MOST_CONNECTIONS_AT_LEAST_ACUS = 2000
# The limit of a volume. Newer minor versions take 256 TiB; the alarms watch the limit that each version has:
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/CHAP_Limits.html
VOLUME_GIB = 128 * 1024

# The default of a setting that only an instance has. A cluster's value is the empty one of its type.
ONLY_OF_AN_INSTANCE: Any = None


class CapacitySettings(Model):
    """The capacity of Aurora Serverless v2 in Aurora capacity units (ACU), each 2 GiB of memory."""

    # 0 pauses the cluster, and a proxy's open connections never let it pause:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
    min_acus: float = Field(
        LEAST_ACUS, ge=LEAST_ACUS, le=256, multiple_of=0.5, description="a number from 0.5 to 256 in steps of 0.5"
    )
    max_acus: float = Field(
        ge=1,
        le=256,
        multiple_of=0.5,
        description="a number from 1 to 256 in steps of 0.5",
        json_schema_extra=on_change("in place; `max_connections` follows at the next restart, and none is scheduled"),
    )

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.max_acus < self.min_acus:
            raise ValueError(f"must have max_acus of at least min_acus {self.min_acus:g}; {self.max_acus:g} is not")
        return self

    @property
    def mean_acus(self) -> float:
        """Half way between its least and its most."""
        return (self.min_acus + self.max_acus) / 2

    @property
    def size(self) -> InstanceClass:
        """An instance at its most capacity, which CloudWatch's percentages refer to as well."""
        limited = self.min_acus <= LEAST_ACUS
        return InstanceClass(
            vcpus=max(2, int(self.max_acus // ACUS_PER_VCPU)),
            memory_gib=int(GIB_PER_ACU * self.max_acus),
            is_burstable=False,
            most_connections=MOST_CONNECTIONS_AT_LEAST_ACUS if limited else MOST_CONNECTIONS,
        )


# What only an instance is given, and so no size of one sets for a cluster.
OF_AN_INSTANCE = ("allocated_storage_gib", "max_allocated_storage_gib", "multi_az")
# What restores an instance, whose default a cluster keeps.
_RESTORES = ("generation", "restore_from", "backup_region")


def not_of_a_cluster(database: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a size does not set in `[database]`, because the database is a cluster."""
    return OF_AN_INSTANCE if database.get("engine") == AURORA else ()


def check_restores(given: Mapping[str, Any]) -> None:
    """Refuse what restores an instance, and a cluster cannot be restored by.

    Args:
        given: the settings of the database that the file has.

    Raises:
        MisfitError: with the first.

    """
    for name in _RESTORES:
        if name in given:
            raise MisfitError(
                ("database", name), given[name], "of an instance only; docs/operations/cluster.md restores a cluster"
            )


def of_an_instance(name: str, value: Any, validate: Callable[[Any], Any], engine: str) -> Any:
    """Return the value of a setting that a cluster has not.

    Raises:
        ValueError: it is set for a cluster.
        PydanticCustomError: it is missing for an instance.

    """
    is_standby = name == "multi_az"
    if engine == AURORA:
        if value is not ONLY_OF_AN_INSTANCE:
            has_not = "no standby, its readers take over" if is_standby else "no disk of a size, its volume grows"
            raise ValueError(f"a cluster has {has_not}: remove it")
        return False if is_standby else 0
    if value is ONLY_OF_AN_INSTANCE:
        raise PydanticCustomError("missing", "Field required")
    return validate(value)


def of_a_cluster(name: str, value: Any, engine: str) -> Any:
    """Return the value of a setting that an instance has not.

    Raises:
        ValueError: it is set for an instance.

    """
    if engine != AURORA and value:
        raise ValueError(f'{name} is of a cluster; set database.engine = "{AURORA}" or remove it')
    return value
