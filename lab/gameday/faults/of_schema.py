"""Faults of the schema that the migrations made."""

from typing import TYPE_CHECKING, ClassVar

from handlers.contract.events import ReleaseEvent
from lab.emulator.server import EmulatorError
from lab.gameday.fault import Fault, Reasons, Scene
from lab.gameday.faults.clients import Client, MadeByClients
from lab.gameday.on_call import Diagnosis
from stacks.assets.package import build_release

if TYPE_CHECKING:
    from pathlib import Path


class MissingIndex(MadeByClients):
    """An index is dropped, and a report about ten objects scans the whole table for each."""

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
        """Drop the index for lookups by name, and run the report in a loop."""
        scene.system.query(f"DROP INDEX {self.index}")
        self._clients = [
            Client(scene.system, user="scanner_app", application="report", repeated=self.report) for _ in range(2)
        ]

    def clean_up(self, scene: Scene) -> None:
        """End the report; build the index if it is still missing."""
        super().clean_up(scene)
        scene.system.query(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {self.index} ON job_objects (bucket, key, job_id)")


class BadMigration(Fault):
    """A deploy brings a migration that PostgreSQL refuses."""

    name = "bad-migration"
    title = "a deploy brings a migration that fails"
    alarm = "migration-failed"
    checks = ("migrations",)
    sql = "-- Refused: there is no such column.\nALTER TABLE jobs ALTER COLUMN no_such_column SET NOT NULL;\n"

    def __init__(self) -> None:
        self._file: Path | None = None

    def inject(self, scene: Scene) -> None:
        """Deploy as Terraform does: upload the release, invoke the function, stop at its error."""
        numbers = [int(path.name[:3]) for path in scene.system.migrations.glob("[0-9]*.sql")]
        self._file = scene.system.migrations / f"{max(numbers) + 1:03}_break.sql"
        self._file.write_text(self.sql)
        deploy_release(scene)

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:
        """Remove the file, run the doctor's commands, and deploy again."""
        assert self._file is not None
        self._file.unlink()
        done = super().end(scene, diagnosis)
        error = deploy_release(scene)
        assert error is None, error
        return ["(the file is removed)", *done, "(and deployed again)"]

    def clean_up(self, scene: Scene) -> None:  # noqa: ARG002 - as in other faults
        """Remove the file."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)


class RightLost(Fault):
    """A right that a role needs is revoked."""

    name = "right-lost"
    title = "the role of the status API loses a right"
    alarm = "denied-statements"
    checks = ("grants",)
    follows: ClassVar[Reasons] = {"api-errors": "requests for exact numbers are answered with 500"}

    def inject(self, scene: Scene) -> None:
        """Revoke the right."""
        scene.system.query("REVOKE SELECT ON job_progress_live FROM progress_reader")

    def clean_up(self, scene: Scene) -> None:
        """Grant the right again."""
        scene.system.query("GRANT SELECT ON job_progress_live TO progress_reader")


def deploy_release(scene: Scene) -> str | None:
    """Build, upload and run a release of the migrations; return the function's error, if any."""
    deployment = scene.system.deployment
    package = build_release(scene.system.migrations)
    s3 = deployment.emulator.client("s3")
    bucket, key = s3.list_buckets()["Buckets"][0]["Name"], f"migrations/{package.sha256}.zip"
    s3.put_object(Bucket=bucket, Key=key, Body=package.path.read_bytes())
    event = ReleaseEvent(release_bucket=bucket, release_key=key, release_sha256=package.sha256)
    try:
        scene.system.invoke("migrate", event)
    except EmulatorError as error:
        return str(error)
    return None
