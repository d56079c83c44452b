"""The faults of a game day."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import psycopg2

from local.emulator import EmulatorError
from local.gameday.clock import TICK_S
from local.gameday.fault import Fault, Reasons, Scene
from local.gameday.on_call import Diagnosis, run_command
from local.gameday.system import System
from stacks.package import build_release

if TYPE_CHECKING:
    from pathlib import Path

REFRESH_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('refresh_job_progress', 0))"


class Client:
    """A client that does something again and again, or holds on to something, until its session is ended.

    Args:
        opening: statements that it begins with.
        repeated: what it runs each time; nothing: it idles.
        pause_s: how long it rests between two runs.

    """

    def __init__(
        self,
        system: System,
        *,
        user: str,
        application: str,
        opening: str = "",
        repeated: str = "",
        pause_s: float = 0.1,
    ) -> None:
        self._connection = system.connect(user=user, application=application)
        self._ended = threading.Event()
        self._opening, self._repeated, self._pause_s = opening, repeated, pause_s
        self._thread = threading.Thread(target=self._run, daemon=True)
        if opening:
            with self._connection.cursor() as cursor:
                cursor.execute(opening)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether nobody has ended its session yet."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End it from its own side."""
        self._ended.set()
        self._thread.join(timeout=10)
        with contextlib.suppress(psycopg2.Error):
            self._connection.close()

    def _run(self) -> None:
        while not self._ended.wait(self._pause_s):
            try:
                with self._connection.cursor() as cursor:
                    cursor.execute(self._repeated or "SELECT 1")
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                if self._connection.closed:
                    return
            except psycopg2.Error:
                pass  # refused, which is what some clients here are for


class _WithClients(Fault):
    """A fault that clients make; whatever is left of them ends with it."""

    def __init__(self) -> None:
        self._clients: list[Client] = []

    def clean_up(self, scene: Scene) -> None:  # noqa: ARG002 - not all need it
        """End the clients that still run."""
        for client in self._clients:
            client.close()


class MissingIndex(_WithClients):
    """Somebody drops an index, and a report of ten objects reads the whole table for each."""

    name = "missing-index"
    title = "an index is missing, and a report reads the whole table"
    alarm = "slow-queries"
    checks = ("indexes",)
    index = "idx_job_objects_bucket_key_composite"
    report = """
        SELECT (SELECT status FROM job_objects WHERE bucket = 'customer-data-00' AND key = wanted.key LIMIT 1)
        FROM (SELECT 'exports/00/none-' || number AS key FROM generate_series(1, 10) AS number) AS wanted
    """

    def inject(self, scene: Scene) -> None:
        """Drop the index that only lookups by name use, and report again and again."""
        scene.system.query(f"DROP INDEX {self.index}")
        self._clients = [
            Client(scene.system, user="scanner_app", application="report", repeated=self.report) for _ in range(2)
        ]

    def clean_up(self, scene: Scene) -> None:
        """End the report, and build the index where nobody has."""
        super().clean_up(scene)
        scene.system.query(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {self.index} ON job_objects (bucket, key, job_id)")


class RefresherStopped(Fault):
    """The schedule is off."""

    name = "refresher-stopped"
    title = "the schedule is off, so no refresh runs"
    alarm = "progress-stale"
    checks = ("refresh-runs", "progress-age")
    asks_function = True

    def inject(self, scene: Scene) -> None:
        """Stop invoking."""
        scene.schedule.is_enabled = False

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:
        """Refresh by hand, as the doctor says, and deploy, which enables the schedule again."""
        done = super().end(scene, diagnosis)
        scene.schedule.is_enabled = True
        return [*done, "(cdktf deploy, as the runbook says, switches the schedule on)"]

    def clean_up(self, scene: Scene) -> None:
        """Start again."""
        scene.schedule.is_enabled = True


class LongTransaction(_WithClients):
    """A tool leaves a transaction open, and has told the server not to end it."""

    name = "long-transaction"
    title = "a transaction stays open and idles"
    alarm = "long-transaction"
    checks = ("long-transactions",)

    def inject(self, scene: Scene) -> None:
        """Read something and stay."""
        opening = "SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT count(*) FROM jobs"
        self._clients = [HeldOpen(scene.system, opening)]


class HeldOpen(Client):
    """A session in a transaction that does nothing more."""

    def __init__(self, system: System, opening: str) -> None:
        super().__init__(system, user="scanner_admin", application="psql", opening=opening, pause_s=3600)


class BlockingLock(_WithClients):
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


class RefreshKilled(Fault):
    """A script ends the refresher's sessions as soon as it sees one."""

    name = "refresh-killed"
    title = "a script kills every refresh"
    alarm = "refresh-failing"
    checks = ("refresh-runs", "progress-age")
    follows: ClassVar[Reasons] = {"progress-stale": "no refresh succeeds while the script runs"}
    # Every refresh tries twice, so the script has to be quick.
    script = """
        DO $$
        BEGIN
            LOOP
                PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'progress_refresher';
                PERFORM pg_stat_clear_snapshot();
                PERFORM pg_sleep(0.002);
            END LOOP;
        END
        $$
    """

    def __init__(self) -> None:
        self._client: Client | None = None

    def inject(self, scene: Scene) -> None:
        """Start the script."""
        self._client = Client(scene.system, user="scanner_admin", application="cleanup-script", repeated=self.script)

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:
        """Stop the script, which nobody but its owner can, then do what the doctor says."""
        self.clean_up(scene)
        return ["(the owner of the script stops it)", *super().end(scene, diagnosis)]

    def clean_up(self, scene: Scene) -> None:
        """End the script."""
        scene.system.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cleanup-script'"
        )
        if self._client is not None:
            self._client.close()


class Backlog(_WithClients):
    """A refresh was begun by hand and never committed, while a load changes very many jobs."""

    name = "delta-backlog"
    title = "a refresh hangs while very much changes"
    alarm = "progress-backlog"
    checks = ("progress-backlog", "refresh-runs")
    follows: ClassVar[Reasons] = {"progress-stale": "no refresh succeeds while one hangs"}
    statements = 20

    def inject(self, scene: Scene) -> None:
        """Hold the refresh's lock, then change every small job many times."""
        opening = f"SET idle_in_transaction_session_timeout = 0; BEGIN; {REFRESH_LOCK}"
        self._clients = [HeldOpen(scene.system, opening)]
        connection = scene.system.connect(user="scanner_app", application="bulk-load")
        with contextlib.closing(connection), connection.cursor() as cursor:
            # As some drivers do by default; writers in it do not compact.
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            for _ in range(self.statements):
                cursor.execute("UPDATE job_objects SET updated_at = now() WHERE bucket = 'small'")
            cursor.execute("COMMIT")


class ConnectionFlood(_WithClients):
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


class BadMigration(Fault):
    """A release with a migration that PostgreSQL refuses."""

    name = "bad-migration"
    title = "a deploy brings a migration that fails"
    alarm = "migration-failed"
    checks = ("migrations",)
    sql = "-- Refused: there is no such column.\nALTER TABLE jobs ALTER COLUMN no_such_column SET NOT NULL;\n"

    def __init__(self) -> None:
        self._file: Path | None = None

    def inject(self, scene: Scene) -> None:
        """Deploy it as Terraform does: upload the release, invoke the function; the error ends the deploy."""
        numbers = [int(path.name[:3]) for path in scene.system.migrations.glob("[0-9]*.sql")]
        self._file = scene.system.migrations / f"{max(numbers) + 1:03}_break.sql"
        self._file.write_text(self.sql)
        deploy_release(scene)

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:
        """Take the file back, do what the doctor says, and deploy again."""
        assert self._file is not None
        self._file.unlink()
        done = super().end(scene, diagnosis)
        error = deploy_release(scene)
        assert error is None, error
        return ["(the file is taken back)", *done, "(and deployed again)"]

    def clean_up(self, scene: Scene) -> None:  # noqa: ARG002 - as in other faults
        """Remove the file."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)


class ViewDropped(Fault):
    """Somebody drops the materialized view, and what hangs on it."""

    name = "view-dropped"
    title = "job_progress is dropped"
    alarm = "refresh-failing"
    then = ("progress-stale",)
    # 002 made it; with those after it, so many are taken back and made again.
    newer_migrations = 3
    # `migrations` says what is left to do once 002 is taken back.
    checks = ("progress-age", "migrations")
    rounds = 6
    follows: ClassVar[Reasons] = {"progress-stale": "no refresh succeeds without the view"}

    def inject(self, scene: Scene) -> None:
        """Drop it."""
        scene.system.query("DROP MATERIALIZED VIEW job_progress CASCADE")

    def clean_up(self, scene: Scene) -> None:
        """Build it again where nobody has: as the runbook says, by the migration that made it."""
        ((is_there,),) = scene.system.query("SELECT to_regclass('job_progress') IS NOT NULL")
        if not is_there:
            rollbacks = " && ".join(["scannerdb rollback"] * self.newer_migrations)
            run_command(scene.system, f"{rollbacks} && scannerdb migrate", check=True)


class Drift(Fault):
    """A load goes past the triggers; the nightly verification finds it."""

    name = "drift"
    title = "rows are changed past the triggers"
    alarm = "progress-drift"
    checks = ("progress-drift",)
    # What the verification said is in the alarm's hour until the hour is over.
    settles_minutes = 65
    # One good verification after a bad one must be the last word.
    steady_minutes = 15
    load = """
        SET session_replication_role = replica;
        DELETE FROM job_objects
        WHERE key IN (SELECT key FROM job_objects WHERE job_id = %(job)s LIMIT 25) AND job_id = %(job)s
    """

    def inject(self, scene: Scene) -> None:
        """Write with the triggers off, as a restore would, and verify as the schedule does at night."""
        job = str(scene.system.jobs[1].job_id)
        scene.system.query(self.load, {"job": job}, user="postgres")
        scene.system.invoke("refresh", {"action": "verify"})

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:
        """Mend it, and verify once more, which is how the runbook knows that it is over."""
        done = super().end(scene, diagnosis)
        drifted = scene.system.invoke("refresh", {"action": "verify"})["drifted_jobs"]
        assert drifted == 0, f"{drifted} jobs have drifted still"
        return done

    def clean_up(self, scene: Scene) -> None:
        """Mend it and verify; where that is done already, it changes nothing."""
        if scene.system.invoke("refresh", {"action": "rebuild"})["mended_jobs"]:
            scene.system.invoke("refresh", {"action": "verify"})


class ReaderWrites(_WithClients):
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


class RightLost(Fault):
    """Somebody revokes what a role needs."""

    name = "right-lost"
    title = "the role of the status API loses a right"
    alarm = "denied-statements"
    checks = ("grants",)
    follows: ClassVar[Reasons] = {"api-errors": "requests for exact numbers are answered with 500"}

    def inject(self, scene: Scene) -> None:
        """Revoke it."""
        scene.system.query("REVOKE SELECT ON job_progress_live FROM progress_reader")

    def clean_up(self, scene: Scene) -> None:
        """Give it back where nobody has."""
        scene.system.query("GRANT SELECT ON job_progress_live TO progress_reader")


def deploy_release(scene: Scene) -> str | None:
    """Build, upload and run the release of the folder of migrations; return the function's error, if any."""
    deployment = scene.system.deployment
    package = build_release(scene.system.migrations)
    s3 = deployment.emulator.client("s3")
    bucket, key = s3.list_buckets()["Buckets"][0]["Name"], f"migrations/{package.sha256}.zip"
    s3.put_object(Bucket=bucket, Key=key, Body=package.path.read_bytes())
    event = {"release_bucket": bucket, "release_key": key, "release_sha256": package.sha256}
    try:
        scene.system.invoke("migrate", event)
    except EmulatorError as error:
        return str(error)
    return None


FAULTS: tuple[Callable[[], Fault], ...] = (
    MissingIndex,
    RefresherStopped,
    LongTransaction,
    BlockingLock,
    RefreshKilled,
    Backlog,
    ConnectionFlood,
    DatabaseStopped,
    BadMigration,
    ViewDropped,
    ReaderWrites,
    RightLost,
    # Last, because its alarm looks back for hours.
    Drift,
)
