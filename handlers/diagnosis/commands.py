"""The commands that a finding names: each can be pasted into a shell as it is."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# These have a meaning for the shell inside of double quotes.
_SHELL_SPECIAL = re.compile(r'[\\"$`]')
PREFIX = "scanner-database-"


def psql(sql: str) -> str:
    """Return a command that runs one statement as the owner of the tables."""
    escaped = _SHELL_SPECIAL.sub(r"\\\g<0>", sql)
    return f'psql "$SCANNERDB_DSN" -c "{escaped}"'


@dataclass(frozen=True, kw_only=True)
class Commands:
    """The commands of one deployment.

    Args:
        deployment: how the names of its resources begin, as `scanner-database-dev`.
        release: the event that makes `migrate` run the release in service; none: the release is the folder migrations/.

    """

    deployment: str
    release: Mapping[str, object] = field(default_factory=dict)

    def refresh(self) -> str:
        """Return the command that refreshes now."""
        return self._invoke("refresh", {"action": "refresh"})

    def verify(self) -> str:
        """Return the command that compares every job with a full count."""
        return self._invoke("refresh", {"action": "verify"})

    def rebuild(self) -> str:
        """Return the command that mends every job which drifted."""
        return self._invoke("refresh", {"action": "rebuild"})

    def migrate(self) -> str:
        """Return the command that applies what is pending and gives the roles their rights to sign in."""
        return self._invoke("migrate", self.release) if self.release else "scannerdb migrate"

    def deploy(self) -> str:
        """Return the command that deploys the environment, from the folder of a checkout."""
        return f"node_modules/.bin/cdktf deploy {self.environment}"

    @property
    def environment(self) -> str:
        """The name of the environment."""
        return self.deployment.removeprefix(PREFIX)

    def _invoke(self, function: str, event: Mapping[str, object]) -> str:
        # The command line waits for a minute and then invokes once more, unless it is told to wait.
        return (
            f"aws lambda invoke --function-name {self.deployment}-{function} "
            f"--cli-binary-format raw-in-base64-out --payload '{json.dumps(event)}' /dev/stdout --cli-read-timeout 0"
        )
