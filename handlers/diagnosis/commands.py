"""The commands that a finding names. Each can be pasted into a shell as it is."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from handlers.contract.alarms.model import Look
from handlers.contract.names import environment_of

# These have a meaning for the shell inside of double quotes.
_SHELL_SPECIAL = re.compile(r'[\\"$`]')


def psql(sql: str) -> str:
    """Return a command that runs one statement as the owner of the tables."""
    escaped = _SHELL_SPECIAL.sub(r"\\\g<0>", sql)
    return f'psql "$SCANNERDB_DSN" -c "{escaped}"'


@dataclass(frozen=True, kw_only=True)
class Commands(ABC):
    """The commands of one deployment.

    Args:
        prefix: how the names of its resources begin, as `scanner-database-dev`.

    """

    prefix: str

    @property
    def environment(self) -> str:
        """The name of the environment."""
        return environment_of(self.prefix)

    def deploy(self) -> str:
        """Return the command that deploys the environment, from the folder of a checkout."""
        return f"node_modules/.bin/cdktf deploy {self.environment}"

    def look(self, look: Look) -> str:
        """Return the command that shows what the database cannot."""
        return look.command.format(prefix=self.prefix)

    def refresh(self) -> str:
        """Return the command that refreshes now."""
        return self._invoke("refresh", {"action": "refresh"})

    def verify(self) -> str:
        """Return the command that compares every job with a full count."""
        return self._invoke("refresh", {"action": "verify"})

    def rebuild(self) -> str:
        """Return the command that corrects every job that drifted."""
        return self._invoke("refresh", {"action": "rebuild"})

    @abstractmethod
    def migrate(self) -> str:
        """Return the command that applies what is pending and gives the roles their rights to sign in."""

    @abstractmethod
    def _invoke(self, function: str, event: Mapping[str, str]) -> str:
        """Return the command that invokes a function and waits for its result."""


class CheckoutCommands(Commands):
    """Commands of `scannerdb` where it can do it, because the on-call has a checkout."""

    def look(self, look: Look) -> str:
        """Return the command that shows what the database cannot."""
        if look.function:
            return f"scannerdb logs {look.function} -e {self.environment} --since 1h"
        return super().look(look)

    def migrate(self) -> str:
        """Return the command that applies what is pending of the folder migrations/."""
        return "scannerdb migrate"

    def _invoke(self, function: str, event: Mapping[str, object]) -> str:
        return f"scannerdb invoke {function} -e {self.environment} --payload '{json.dumps(event)}'"


@dataclass(frozen=True, kw_only=True)
class AwsCommands(Commands):
    """Commands of the AWS CLI, for an on-call without a checkout.

    Args:
        release: the event that makes `migrate` apply the release in service.

    """

    release: Mapping[str, object]

    def migrate(self) -> str:
        """Return the command that applies the release in service."""
        return self._invoke("migrate", self.release)

    def _invoke(self, function: str, event: Mapping[str, object]) -> str:
        # By default the AWS CLI waits for a minute and then invokes a second time.
        return (
            f"aws lambda invoke --function-name {self.prefix}-{function} "
            f"--cli-binary-format raw-in-base64-out --payload '{json.dumps(event)}' /dev/stdout --cli-read-timeout 0"
        )
