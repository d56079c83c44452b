"""By what RDS names a database: in its metrics, its logs, its events and its commands."""

from dataclasses import dataclass
from enum import StrEnum


class RdsKind(StrEnum):
    """What RDS calls a server: in names of log groups and in options of its commands."""

    INSTANCE = "instance"
    CLUSTER = "cluster"


@dataclass(frozen=True, kw_only=True)
class RdsDatabase:
    """One database server.

    Args:
        kind: an instance, or an Aurora cluster.
        identifier: within the account and region.

    """

    kind: RdsKind
    identifier: str

    @classmethod
    def parse(cls, text: str) -> "RdsDatabase":
        """Return the database of a text that `str` made, such as `instance/scanner-database-dev`.

        Raises:
            ValueError: it is no such text.

        """
        kind, _, identifier = text.partition("/")
        return cls(kind=RdsKind(kind), identifier=identifier)

    def __str__(self) -> str:
        return f"{self.kind}/{self.identifier}"

    def log_group(self, log: str = "postgresql") -> str:
        """Return the log group that RDS writes one of its logs to."""
        return f"/aws/rds/{self.kind}/{self.identifier}/{log}"
