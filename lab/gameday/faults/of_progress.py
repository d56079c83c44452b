"""Faults of the refresh and of the counts."""

import contextlib
from typing import ClassVar

from handlers.contract.events import RefreshAction
from lab.gameday.fault import Fault, Reasons, Scene
from lab.gameday.faults.clients import Client, MadeByClients
from lab.gameday.on_call import Diagnosis


class RefresherStopped(Fault):
    """The schedule is disabled."""

    name = "refresher-stopped"
    title = "the schedule is off, so no refresh runs"
    alarm = "progress-stale"
    checks = ("refresh-runs", "progress-age")
    asks_function = True

    def inject(self, scene: Scene) -> None:
        """Disable the schedule."""
        scene.schedule.is_enabled = False

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:
        """Run the doctor's command, then deploy, which enables the schedule again."""
        done = super().end(scene, diagnosis)
        scene.schedule.is_enabled = True
        return [*done, "(cdktf deploy, as the runbook says, enables the schedule)"]

    def clean_up(self, scene: Scene) -> None:
        """Enable the schedule."""
        scene.schedule.is_enabled = True


class RefreshKilled(Fault):
    """A script terminates every session of the refresher."""

    name = "refresh-killed"
    title = "a script kills every refresh"
    alarm = "refresh-failing"
    checks = ("refresh-runs", "progress-age")
    follows: ClassVar[Reasons] = {"progress-stale": "no refresh succeeds while the script runs"}
    # Each refresh is tried twice, so the script polls every 2 ms.
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
        """Stop the script as its owner does, then run the doctor's commands."""
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
    """A refresh in an open transaction blocks the others, while a load changes thousands of jobs."""

    name = "delta-backlog"
    title = "a refresh hangs while thousands of jobs change"
    alarm = "progress-backlog"
    checks = ("progress-backlog", "refresh-runs")
    follows: ClassVar[Reasons] = {"progress-stale": "no refresh succeeds while one hangs"}
    held = "SELECT pg_advisory_xact_lock(hashtextextended('refresh_job_progress', 0))"
    statements = 20

    def inject(self, scene: Scene) -> None:
        """Hold the refresh's lock, then change every small job many times."""
        super().inject(scene)
        connection = scene.system.connect(user="scanner_app", application="bulk-load")
        with contextlib.closing(connection), connection.cursor() as cursor:
            # Some drivers' default isolation; its writers do not compact deltas.
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            for _ in range(self.statements):
                cursor.execute("UPDATE job_objects SET updated_at = now() WHERE bucket = 'small'")
            cursor.execute("COMMIT")


class ViewDropped(Fault):
    """The materialized view is dropped, with the views that depend on it."""

    name = "view-dropped"
    title = "job_progress is dropped"
    alarm = "refresh-failing"
    then = ("progress-stale",)
    checks = ("progress-age",)
    follows: ClassVar[Reasons] = {"progress-stale": "no refresh succeeds without the view"}

    def inject(self, scene: Scene) -> None:
        """Drop the view."""
        scene.system.query("DROP MATERIALIZED VIEW job_progress CASCADE")

    def clean_up(self, scene: Scene) -> None:
        """Restore the view if it is still missing."""
        if not scene.system.query("SELECT to_regclass('job_progress')")[0][0]:
            scene.system.query("SELECT restore_job_progress()")


class Drift(Fault):
    """A load bypasses the triggers; the nightly verification finds the drift."""

    name = "drift"
    title = "rows are changed with the triggers off"
    alarm = "progress-drift"
    checks = ("progress-drift",)
    # After a clean verification the alarm must stay quiet.
    steady_minutes = 15
    load = """
        SET session_replication_role = replica;
        DELETE FROM job_objects
        WHERE key IN (SELECT key FROM job_objects WHERE job_id = %(job)s LIMIT 25) AND job_id = %(job)s
    """

    def inject(self, scene: Scene) -> None:
        """Delete rows with the triggers off, as a restore does, and verify as the nightly schedule does."""
        job = str(scene.system.jobs[1].job_id)
        scene.system.query(self.load, {"job": job}, user="postgres")
        scene.system.invoke("refresh", {"action": RefreshAction.VERIFY})

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:
        """Run the doctor's commands and verify again, as the runbook says."""
        done = super().end(scene, diagnosis)
        drifted = scene.system.invoke("refresh", {"action": RefreshAction.VERIFY})["drifted_jobs"]
        assert drifted == 0, f"{drifted} jobs still have drift"
        return done

    def clean_up(self, scene: Scene) -> None:
        """Rebuild the counts; verify if that changed any."""
        if scene.system.invoke("refresh", {"action": RefreshAction.REBUILD})["mended_jobs"]:
            scene.system.invoke("refresh", {"action": RefreshAction.VERIFY})
