"""Patches moto's RDS to keep note of backups that are copied to another region; nothing is restored from them here."""

import secrets
from typing import Any

from moto.core.responses import ActionResult
from moto.rds.responses import RDSResponse

from lab.emulator.patching import replace


def patch_replicated_backups() -> None:
    """Add the actions that start, show and stop the copies."""
    copies: dict[str, dict[str, Any]] = {}
    describe = RDSResponse.describe_db_instance_automated_backups

    def start(self: Any) -> ActionResult:
        source = self.params["SourceDBInstanceArn"]
        account_id = source.split(":")[4]
        arn = f"arn:aws:rds:{self.region}:{account_id}:auto-backup:ab-{secrets.token_hex(13)}"
        copies[arn] = {
            "DBInstanceAutomatedBackupsArn": arn,
            "DBInstanceArn": source,
            "DBInstanceIdentifier": source.rpartition(":")[2],
            "Region": source.split(":")[3],
            "KmsKeyId": self.params.get("KmsKeyId"),
            "BackupRetentionPeriod": self.params.get("BackupRetentionPeriod"),
            "Status": "replicating",
        }
        return ActionResult({"DBInstanceAutomatedBackup": copies[arn]})

    def stop(self: Any) -> ActionResult:
        source = self.params["SourceDBInstanceArn"]
        (stopped,) = [each for each in copies.values() if each["DBInstanceArn"] == source]
        return ActionResult({"DBInstanceAutomatedBackup": stopped | {"Status": "retained"}})

    def describe_copies(self: Any) -> ActionResult:
        arn = self.params.get("DBInstanceAutomatedBackupsArn")
        if arn is None:
            return describe(self)
        return ActionResult({"DBInstanceAutomatedBackups": [copies[arn]] if arn in copies else []})

    replace(RDSResponse, "start_db_instance_automated_backups_replication", start)
    replace(RDSResponse, "stop_db_instance_automated_backups_replication", stop)
    replace(RDSResponse, "describe_db_instance_automated_backups", describe_copies)
