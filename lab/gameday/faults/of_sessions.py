"""Faults that sessions make, and the end of all of them."""

import contextlib
import time
from typing import ClassVar

import psycopg2

from lab.gameday.clock import TICK_S
from lab.gameday.fault import Fault, Reasons, Scene
from lab.gameday.faults.clients import Client, HeldOpen, MadeByClients
from lab.gameday.on_call import Diagnosis


class LongTransaction(MadeByClients):
    """A tool leaves a transaction open, and has told the server not to end it."""

    name = "long-transaction"
    title = "a transaction stays open and idles"
    alarm = "long-transaction"
    checks = ("long-transactions",)

    def inject(self, scene: Scene) -> None:
        """Read something and stay."""
        opening = "SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT count(*) FROM jobs"
        self._clients = [HeldOpen(scene.system, opening)]


class BlockingLock(MadeByClients):
    """Somebody builds an index the plain way, inside a transaction, and goes for a coffee."""

    name = "blocking-lock"
    title = "an open CREATE INDEX keeps every writer waiting"
    alarm = "lock-waits"
    checks = ("lock-waits",)
    asks_function = True

    def inject(self, scene: Scene) -> None:
        """Take the lock and keep it."""
        opening = (
            "SET idle_in_transaction_session_timeout = 0; BEGIN; CREATE INDEX idx_gameday ON job_objects (updated_at)"
        )
        self._clients = [HeldOpen(scene.system, opening)]


class ConnectionFlood(MadeByClients):
    """A release of the scanner forgets to close its connections."""

    name = "connection-flood"
    title = "a client leaves its connections open"
    alarm = "database-connections"
    checks = ("connections",)
    asks_function = True
    share = 0.9

    def inject(self, scene: Scene) -> None:
        """Open nine tenths of what the server takes."""
        ((limit, used),) = scene.system.query(
            "SELECT current_setting('max_connections')::int, count(*) FROM pg_stat_activity WHERE datname IS NOT NULL"
        )
        self._clients = [
            Client(scene.system, user="scanner_app", application="leaky", pause_s=3600)
            for _ in range(int(self.share * limit) - used)
        ]


class DatabaseStopped(Fault):
    """The database stops under load, as in a failover, and comes back."""

    name = "database-stopped"
    title = "the database is away, as in a failover"
    alarm = "api-errors"
    checks = ("connection",)
    follows: ClassVar[Reasons] = {"progress-stale": "no refresh succeeds without a database"}
    away_minutes = 8

    def inject(self, scene: Scene) -> None:
        """Stop it, ending every connection."""
        scene.system.postgres.stop(immediate=True)

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:  # noqa: ARG002 - nothing is to be done
        """Wait for RDS, which starts it again by itself."""
        time.sleep(self.away_minutes * TICK_S)
        scene.system.postgres.start()
        return ["(RDS starts it again by itself)"]

    def clean_up(self, scene: Scene) -> None:
        """Start it if nobody has."""
        with contextlib.suppress(psycopg2.OperationalError):
            scene.system.query("SELECT 1")
            return
        scene.system.postgres.start()


class ReaderWrites(MadeByClients):
    """A script uses the reader's role to write."""

    name = "reader-writes"
    title = "the read-only role tries to write"
    alarm = "denied-statements"
    # No right is missing, so the database is well; the doctor can only say where the refused statements are.
    checks = ("elsewhere",)
    states = ("look",)

    def inject(self, scene: Scene) -> None:
        """Try, again and again."""
        sql = "UPDATE jobs SET prefix = 'x'"
        self._clients = [
            Client(scene.system, user="progress_reader", application="wrong-role", repeated=sql, pause_s=0.5)
        ]

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:  # noqa: ARG002 - the log names the client
        """Stop the script, as its owner does once the log has named the role and the address."""
        self.clean_up(scene)
        return ["(the owner of the script stops it)"]
