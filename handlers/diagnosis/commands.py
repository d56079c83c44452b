"""The commands that a finding names. Each works where it is printed: in a checkout, or in a shell with the AWS CLI."""

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handlers.contract.alarms.answers import PROXY_TARGETS_LOOK
from handlers.contract.alarms.model import Look
from handlers.contract.databases import RdsDatabase, RdsKind
from handlers.contract.events import MigrateAction, RefreshAction
from handlers.contract.names import environment_of

# More than the tenth that RDS asks for: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.ModifyingExisting.html
_LARGER = 1.2


@dataclass(frozen=True, kw_only=True)
class Commands:
    """The commands of one deployment: of `scannerdb` for an on-call with a checkout, else of the AWS CLI.

    Args:
        prefix: how the names of its resources begin, as `scanner-database-dev`.
        database: by what RDS names the database.
        release: the event that makes `migrate` apply the release in service, for a shell with the AWS CLI; `None`:
            there is a checkout, and its folder migrations/ is the release.
        dsn: names a database that is perhaps not the environment's, without its password; empty where SCANNERDB_DSN
            names it; `None`: it is the environment's.
        tunnel: a command that runs another one inside of the network, with a space at its end; empty where none is
            needed.

    """

    prefix: str
    database: RdsDatabase
    release: Mapping[str, object] | None = None
    dsn: str | None = None
    tunnel: str = ""

    @property
    def is_deployed(self) -> bool:
        """Whether there are functions, a proxy and an instance of ours; a DSN does what a function would do."""
        return self.dsn is None

    @property
    def environment(self) -> str:
        """The name of the environment."""
        return environment_of(self.prefix)

    def refresh(self) -> str:
        """Return the command that refreshes now."""
        return self._refresh(RefreshAction.REFRESH)

    def verify(self) -> str:
        """Return the command that compares every job with a full count."""
        return self._refresh(RefreshAction.VERIFY)

    def rebuild(self) -> str:
        """Return the command that corrects every job that drifted."""
        return self._refresh(RefreshAction.REBUILD)

    def migrate(self) -> str:
        """Return the command that applies what is pending and gives the roles their rights to log in."""
        if self.release is not None:
            return self._invoke("migrate", self.release)
        if self.tunnel:
            return f"{self.tunnel}scannerdb migrate"
        return self._scannerdb("migrate")

    def end(self, session: Mapping[str, Any], *, cancel: bool = False) -> str:
        """Return the command that ends a session, or cancels its statement.

        Args:
            session: a row with `pid` and `began`: a pid may be another session's by the time that the command runs.
            cancel: its statement only.

        """
        if self.release is None:
            return self._scannerdb("end", str(session["pid"]), *(["--cancel"] if cancel else []))
        event = {"action": MigrateAction.END, "pid": session["pid"], "began": session["began"].isoformat()}
        return self._invoke("migrate", {**event, "cancel": True} if cancel else event)

    def end_idle(self, who: Mapping[str, Any] | None = None) -> str:
        """Return the command that ends the idle sessions of a user and application.

        Args:
            who: a row with `usename` and `application_name`; `None`: those who have most idle sessions.

        """
        if self.release is None:
            named = ["--user", who["usename"], "--application", who["application_name"]] if who else []
            return self._scannerdb("end", "--idle", *named)
        event = {"action": MigrateAction.END, "idle": True}
        named_in_event = {"user": who["usename"], "application": who["application_name"]} if who else {}
        return self._invoke("migrate", event | named_in_event)

    def repair(self, check: str, sql: str) -> str:
        """Return the command that runs a statement of a finding as the owner of the tables.

        The statement itself is in it where no person is asked first: `migrate` runs it only while the check names it.
        """
        if self.release is None:
            # Besides a DSN, an environment lends its thresholds.
            return self._scannerdb("repair", check, *([] if self.is_deployed else ["-e", self.environment]))
        return self._invoke("migrate", {**self.release, "action": MigrateAction.REPAIR, "check": check, "sql": sql})

    def deploy(self) -> str:
        """Return the command that deploys the environment, from a checkout; empty without one or a deployment."""
        has_none = self.release is not None or not self.is_deployed
        return "" if has_none else f"node_modules/.bin/cdktf deploy {self.environment}"

    def mend_proxy(self) -> str:
        """Return the command that deploys the proxy as it should be; without a checkout, what RDS says of it."""
        return self.deploy() or self.look(PROXY_TARGETS_LOOK)

    def grow_disk(self, gib: float) -> str:
        """Return the command that lets the disk grow beyond `gib`; empty for an Aurora cluster, which has no such."""
        if self.release is None or self.database.kind is not RdsKind.INSTANCE:
            return self.deploy()
        more = math.ceil(_LARGER * gib)
        return (
            f"aws rds modify-db-instance --db-instance-identifier {self.database.identifier} "
            f"--allocated-storage {more} --max-allocated-storage {math.ceil(_LARGER * more)} --apply-immediately "
            "--query DBInstance.PendingModifiedValues --output table"
        )

    def look(self, look: Look) -> str:
        """Return the command that shows what the database cannot; empty without a deployment."""
        if not self.is_deployed:
            return ""
        if look.function and self.release is None:
            return f"scannerdb logs {look.function} -e {self.environment} --since 1h"
        return look.command.format(prefix=self.prefix, database=self.database)

    def _refresh(self, action: RefreshAction) -> str:
        if not self.is_deployed:
            return self._scannerdb(action)
        return self._invoke("refresh", {"action": action})

    def _scannerdb(self, *words: str) -> str:
        target = ["-e", self.environment] if self.dsn is None else ["--dsn", self.dsn] if self.dsn else []
        return shlex.join(["scannerdb", *words, *target])

    def _invoke(self, function: str, event: Mapping[str, object]) -> str:
        payload = f"--payload {shlex.quote(json.dumps(event))}"
        if self.release is None:
            return f"scannerdb invoke {function} -e {self.environment} {payload}"
        # By default the AWS CLI waits for a minute and then invokes a second time.
        return (
            f"aws lambda invoke --function-name {self.prefix}-{function} "
            f"--cli-binary-format raw-in-base64-out {payload} /dev/stdout --cli-read-timeout 0"
        )
