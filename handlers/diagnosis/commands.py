"""The commands that a finding names. Each can be pasted into a shell as it is."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from handlers.contract.alarms.model import Look
from handlers.contract.databases import RdsDatabase
from handlers.contract.names import environment_of
from handlers.contract.release import SqlStatement

# These have a meaning for the shell inside of double quotes.
_SHELL_SPECIAL = re.compile(r'[\\"$`]')


def psql(sql: str) -> str:
    """Return a command that runs one statement as the owner of the tables."""
    escaped = _SHELL_SPECIAL.sub(r"\\\g<0>", sql)
    return f'psql "$SCANNERDB_DSN" -c "{escaped}"'


@dataclass(frozen=True, kw_only=True)
class Commands:
    """The commands of one deployment: of `scannerdb` for an on-call with a checkout, else of the AWS CLI.

    Args:
        prefix: how the names of its resources begin, as `scanner-database-dev`.
        database: by what RDS names the database.
        release: the event that makes `migrate` apply the release in service; `None`: there is a checkout, and its
            folder migrations/ is the release.
        is_deployed: whether there are functions, a proxy and an instance of ours. Where not, a checkout with a DSN does
            what a function would do.

    """

    prefix: str
    database: RdsDatabase
    release: Mapping[str, object] | None = None
    is_deployed: bool = True

    @property
    def environment(self) -> str:
        """The name of the environment."""
        return environment_of(self.prefix)

    def refresh(self) -> str:
        """Return the command that refreshes now."""
        return self._invoke("refresh", {"action": "refresh"})

    def verify(self) -> str:
        """Return the command that compares every job with a full count."""
        return self._invoke("refresh", {"action": "verify"})

    def rebuild(self) -> str:
        """Return the command that corrects every job that drifted."""
        return self._invoke("refresh", {"action": "rebuild"})

    def migrate(self) -> str:
        """Return the command that applies what is pending and gives the roles their rights to log in."""
        return "scannerdb migrate" if self.release is None else self._invoke("migrate", self.release)

    def run_again(self, file: str, statement: SqlStatement) -> str:
        """Return the command that runs one statement of a migration again; empty without a checkout."""
        if self.release is not None:
            return ""
        last = statement.line + statement.sql.count("\n")
        return f"sed -n '{statement.line},{last}p' migrations/{file} | psql \"$SCANNERDB_DSN\""

    def deploy(self) -> str:
        """Return the command that deploys the environment, from a checkout; empty without a deployment."""
        return f"node_modules/.bin/cdktf deploy {self.environment}" if self.is_deployed else ""

    def look(self, look: Look) -> str:
        """Return the command that shows what the database cannot; empty without a deployment."""
        if not self.is_deployed:
            return ""
        if look.function and self.release is None:
            return f"scannerdb logs {look.function} -e {self.environment} --since 1h"
        return look.command.format(prefix=self.prefix, database=self.database)

    def _invoke(self, function: str, event: Mapping[str, object]) -> str:
        if not self.is_deployed:
            return f"scannerdb {event['action']}"
        payload = f"--payload '{json.dumps(event)}'"
        if self.release is None:
            return f"scannerdb invoke {function} -e {self.environment} {payload}"
        # By default the AWS CLI waits for a minute and then invokes a second time.
        return (
            f"aws lambda invoke --function-name {self.prefix}-{function} "
            f"--cli-binary-format raw-in-base64-out {payload} /dev/stdout --cli-read-timeout 0"
        )
