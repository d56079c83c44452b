"""Faults of refreshes and of what they keep."""

import contextlib
from typing import ClassVar

from handlers.contract.events import RefreshAction
from lab.gameday.fault import Fault, Reasons, Scene
from lab.gameday.faults.clients import Client, HeldOpen, MadeByClients
from lab.gameday.on_call import Diagnosis

REFRESH_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('refresh_job_progress', 0))"


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


class Backlog(MadeByClients):
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


class ViewDropped(Fault):
    """Somebody drops the materialized view, and what hangs on it."""

    name = "view-dropped"
    title = "job_progress is dropped"
    alarm = "refresh-failing"
    then = ("progress-stale",)
    checks = ("progress-age",)
    follows: ClassVar[Reasons] = {"progress-stale": "no refresh succeeds without the view"}

    def inject(self, scene: Scene) -> None:
        """Drop it."""
        scene.system.query("DROP MATERIALIZED VIEW job_progress CASCADE")

    def clean_up(self, scene: Scene) -> None:
        """Build it again where nobody has."""
        if not scene.system.query("SELECT to_regclass('job_progress')")[0][0]:
            scene.system.query("SELECT restore_job_progress()")


class Drift(Fault):
    """A load goes past the triggers; the nightly verification finds it."""

    name = "drift"
    title = "rows are changed past the triggers"
    alarm = "progress-drift"
    checks = ("progress-drift",)
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
        scene.system.invoke("refresh", {"action": RefreshAction.VERIFY})

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:
        """Mend it, and verify once more, which is how the runbook knows that it is over."""
        done = super().end(scene, diagnosis)
        drifted = scene.system.invoke("refresh", {"action": RefreshAction.VERIFY})["drifted_jobs"]
        assert drifted == 0, f"{drifted} jobs have drifted still"
        return done

    def clean_up(self, scene: Scene) -> None:
        """Mend it and verify; where that is done already, it changes nothing."""
        if scene.system.invoke("refresh", {"action": RefreshAction.REBUILD})["mended_jobs"]:
            scene.system.invoke("refresh", {"action": RefreshAction.VERIFY})
