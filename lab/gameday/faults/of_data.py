"""Rows are lost, and come back from a backup."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from handlers.contract.events import RefreshAction
from lab.gameday.fault import Fault, Scene
from lab.gameday.on_call import Diagnosis, run_command

if TYPE_CHECKING:
    from datetime import datetime

    from lab.gameday.system import System

# All rows of the table in one value; no client of the game day writes findings.
DIGEST = "SELECT count(*), md5(string_agg(finding::text, ' ' ORDER BY id)) FROM findings AS finding"
COLUMNS = "id, job_id, bucket, key, etag, detector, masked_match, context, byte_offset, created_at"


class TableLost(Fault):
    """A script empties a table with the triggers off; the on-call takes it from a point in time before that."""

    name = "table-lost"
    title = "the table findings is emptied"
    alarm = "progress-drift"
    checks = ("progress-drift",)

    def __init__(self) -> None:
        self._before: tuple[int, str] | None = None
        self._until: datetime | None = None

    def inject(self, scene: Scene) -> None:
        """Empty the table, some time after the nightly snapshot, and verify as the nightly schedule does."""
        system = scene.system
        system.deployment.emulator.client("rds").create_db_snapshot(
            DBInstanceIdentifier=_identifier(system), DBSnapshotIdentifier=f"{_identifier(system)}-nightly"
        )
        self._before = system.query(DIGEST)[0]
        # RDS takes whole seconds, so the last good one must be over.
        sql = "SELECT date_trunc('second', clock_timestamp()) + INTERVAL '1 s' FROM pg_sleep(1)"
        self._until = system.query(sql)[0][0]
        system.query("SELECT pg_sleep(1.5)")
        system.query("SET session_replication_role = replica; TRUNCATE findings", user="postgres")
        assert system.query(DIGEST)[0] != self._before
        system.invoke("refresh", {"action": RefreshAction.VERIFY})

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:  # noqa: ARG002 - a rebuild would count the loss
        """Restore the instance beside the damaged one, copy the table back, count it, and prove that it is the same."""
        system = scene.system
        assert self._until is not None
        rds, beside = system.deployment.emulator.client("rds"), f"{_identifier(system)}-beside"
        rds.restore_db_instance_to_point_in_time(
            SourceDBInstanceIdentifier=_identifier(system), TargetDBInstanceIdentifier=beside, RestoreTime=self._until
        )
        restored = system.deployment.emulator.restored_server(beside)
        with restored.connect() as connection, connection.cursor() as cursor:
            cursor.execute(DIGEST)
            assert cursor.fetchone() == self._before, "the restored instance lacks rows"
            with tempfile.TemporaryFile() as rows, system.connect() as target, target.cursor() as copy:
                cursor.copy_expert(f"COPY findings ({COLUMNS}) TO STDOUT", rows)
                rows.seek(0)
                copy.copy_expert(f"COPY findings ({COLUMNS}) FROM STDIN", rows)
        back = system.query(DIGEST)[0]
        assert back == self._before, f"{back} came back, not {self._before}"
        # The counts held what was lost, and the triggers have counted it once more.
        run_command(system, 'scannerdb rebuild --dsn "$SCANNERDB_DSN"', check=True)
        drifted = system.invoke("refresh", {"action": RefreshAction.VERIFY})["drifted_jobs"]
        assert drifted == 0, f"{drifted} jobs still have drift"
        rds.delete_db_instance(DBInstanceIdentifier=beside, SkipFinalSnapshot=True)
        return [
            f"(as of {self._until:%H:%M:%S} restored beside it; {back[0]:,} rows copied back, digest {back[1][:8]})",
            "scannerdb rebuild",
        ]

    def clean_up(self, scene: Scene) -> None:
        """Count what there is, if the table did not come back."""
        if scene.system.query(DIGEST)[0] != self._before:
            scene.system.invoke("refresh", {"action": RefreshAction.REBUILD})
            scene.system.invoke("refresh", {"action": RefreshAction.VERIFY})


def _identifier(system: System) -> str:
    return system.settings.rds_database.identifier
