"""Faults that sessions make, and the failure that ends all sessions."""

import contextlib
import time
from typing import ClassVar

import psycopg2

from lab.gameday.clock import TICK_S
from lab.gameday.fault import Fault, Reasons, Scene
from lab.gameday.faults.clients import Client, MadeByClients
from lab.gameday.on_call import Diagnosis


class LongTransaction(MadeByClients):
    """A tool leaves a transaction open, with the server's idle timeout switched off."""

    name = "long-transaction"
    title = "a transaction stays open and idles"
    alarm = "long-transaction"
    checks = ("long-transactions",)
    held = "SELECT count(*) FROM jobs"


class BlockingLock(MadeByClients):
    """An index is built without CONCURRENTLY in a transaction that stays open."""

    name = "blocking-lock"
    title = "an open CREATE INDEX keeps every writer waiting"
    alarm = "lock-waits"
    checks = ("lock-waits",)
    asks_function = True
    held = "CREATE INDEX idx_gameday ON job_objects (updated_at)"


class ConnectionFlood(MadeByClients):
    """A client opens connections and never closes them."""

    name = "connection-flood"
    title = "a client leaves its connections open"
    alarm = "database-connections"
    checks = ("connections",)
    asks_function = True
    share = 0.9

    def inject(self, scene: Scene) -> None:
        """Open connections up to nine tenths of max_connections."""
        ((limit, used),) = scene.system.query(
            "SELECT current_setting('max_connections')::int, count(*) FROM pg_stat_activity WHERE datname IS NOT NULL"
        )
        self._clients = [
            Client(scene.system, user="scanner_app", application="leaky", pause_s=3600)
            for _ in range(int(self.share * limit) - used)
        ]


class DatabaseStopped(Fault):
    """The database stops under load, as in a failover, and starts again."""

    name = "database-stopped"
    title = "the database is down, as in a failover"
    alarm = "api-errors"
    checks = ("connection",)
    follows: ClassVar[Reasons] = {"progress-stale": "no refresh succeeds without a database"}
    away_minutes = 8

    def inject(self, scene: Scene) -> None:
        """Stop the server, which ends every connection."""
        scene.system.postgres.stop(immediate=True)

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:  # noqa: ARG002 - the on-call does nothing
        """Start the server after some minutes, as RDS does by itself."""
        time.sleep(self.away_minutes * TICK_S)
        scene.system.postgres.start()
        return ["(RDS starts it again by itself)"]

    def clean_up(self, scene: Scene) -> None:
        """Start the server if it is still down."""
        with contextlib.suppress(psycopg2.OperationalError):
            scene.system.query("SELECT 1")
            return
        scene.system.postgres.start()


class ReaderWrites(MadeByClients):
    """A script uses the reader's role to write."""

    name = "reader-writes"
    title = "the read-only role tries to write"
    alarm = "denied-statements"
    # No right is missing, so every check is ok; the doctor can only say where refused statements are logged.
    checks = ("elsewhere",)
    states = ("look",)

    def inject(self, scene: Scene) -> None:
        """Run the refused statement in a loop."""
        sql = "UPDATE jobs SET prefix = 'x'"
        self._clients = [
            Client(scene.system, user="progress_reader", application="wrong-role", repeated=sql, pause_s=0.5)
        ]

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:  # noqa: ARG002 - the log names the client
        """Stop the script, as its owner does; the log names the role and the address."""
        self.clean_up(scene)
        return ["(the owner of the script stops it)"]
