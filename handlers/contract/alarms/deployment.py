"""What differs from one deployment to the next, as far as alarms need it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from handlers.contract.databases import RdsDatabase, RdsKind
from handlers.contract.timeouts import STALE_AFTER_INTERVALS

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The facts that complete a record. `stacks/alarms/` takes them from the settings.

    Args:
        prefix: how the names of its resources begin, as `scanner-database-dev`.
        database: by what RDS names its database.
        environment: its name, as `dev`.
        api_id: of the status API.
        refresh_interval_s: from one refresh to the next.
        slow_statement_ms: the database logs statements that take this long.
        vcpus: of each instance; of Serverless v2 at its most capacity.
        memory_bytes: the same.
        max_connections: how many sessions the database accepts.
        proxy_connections: how many of them the proxy may open.
        storage_bytes: the size of the disk when it is created; of a cluster, the limit of its volume.
        is_burstable: whether the CPU runs on credits.
        readers: instances of a cluster beside its writer.
        is_serverless: whether the instances are Serverless v2.
        has_performance_insights: whether RDS publishes the database's load.
        chosen: the thresholds that the settings choose, by their key in `[alarms]`.

    """

    prefix: str
    database: RdsDatabase
    environment: str
    api_id: str
    refresh_interval_s: int
    slow_statement_ms: int
    vcpus: int
    memory_bytes: int
    max_connections: int
    proxy_connections: float
    storage_bytes: int
    is_burstable: bool
    readers: int
    is_serverless: bool
    has_performance_insights: bool
    chosen: Mapping[str, float]

    @property
    def stale_after_s(self) -> int:
        """Progress is stale when no refresh has succeeded for this long."""
        return STALE_AFTER_INTERVALS * self.refresh_interval_s

    @property
    def stale_after_minutes(self) -> int:
        """`stale_after_s` for people."""
        return self.stale_after_s // 60

    @property
    def is_member(self) -> str:
        """The condition of a Metrics Insights query that an instance belongs to the database."""
        return " OR ".join(f"DBInstanceIdentifier = '{each}'" for each in self.database.members(self.readers))

    def complete(self, value: T) -> T:
        """Return a value in which each text has the facts that it names, as `{deployment.prefix}-refresh`.

        In a mapping keys are completed too, and what this deployment has no value for is left out.

        Args:
            value: a text, or a tuple, mapping or dataclass that holds texts.

        """
        done: Any = value
        if isinstance(value, str):
            done = value.format(deployment=self)
        elif isinstance(value, Mapping):
            pairs = ((self.complete(key), self.complete(each)) for key, each in value.items())
            done = {key: each for key, each in pairs if each}
        elif isinstance(value, tuple):
            done = tuple(self.complete(each) for each in value)
        elif is_dataclass(value) and not isinstance(value, type):
            done = replace(value, **{each.name: self.complete(getattr(value, each.name)) for each in fields(value)})
        return cast("T", done)


def on_an_instance(deployment: Deployment) -> bool:
    """Return whether an alarm is for this deployment because its database is an instance."""
    return deployment.database.kind is RdsKind.INSTANCE


def on_a_cluster(deployment: Deployment) -> bool:
    """Return whether an alarm is for this deployment because its database is an Aurora cluster."""
    return deployment.database.kind is RdsKind.CLUSTER


def every_refresh(deployment: Deployment) -> int:
    """Return the period of an alarm on what each refresh measures."""
    return deployment.refresh_interval_s


def chosen(name: str) -> Callable[[Deployment], float]:
    """Return a threshold that the settings choose, such as `lock_wait_s` in `[alarms]`."""
    return lambda deployment: deployment.chosen[name]
