"""Whether what the database is to be restored from is there, reaches the time, and fits the settings."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from scannerdb.checks.model import Answer, Check, Context, ok, refused
from scannerdb.checks.run import code_of
from stacks.settings.restore import LATEST, RestoreFrom, point_in_time

NO_SUCH_SOURCE = frozenset({"DBInstanceAutomatedBackupNotFound", "DBInstanceNotFound", "DBSnapshotNotFound"})
FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def _source(context: Context) -> Iterator[Answer]:
    restore_from = context.settings.database.restore_from
    if restore_from is None:
        yield ok("the database is not restored from anything")
        return
    name = str(restore_from.snapshot or restore_from.source)
    found = _found(context, restore_from)
    if found is None:
        yield refused(
            f"{name} is not there",
            next="aws rds describe-db-snapshots and describe-db-instance-automated-backups list what there is",
        )
        return
    faults = list(_faults(context, restore_from, found, name))
    yield from faults
    if not faults:
        yield ok(f"{name} of PostgreSQL {found['EngineVersion']}, {found['AllocatedStorage']} GiB")


def _found(context: Context, restore_from: RestoreFrom) -> Mapping[str, Any] | None:
    """Return what RDS says of the source; `None` where there is none."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        found: list[Mapping[str, Any]] = _described(context.aws("rds"), restore_from)
    except ClientError as error:
        if code_of(error).removesuffix("Fault") in NO_SUCH_SOURCE:
            return None
        raise
    return found[0] if found else None


def _described(rds: Any, restore_from: RestoreFrom) -> Any:
    if restore_from.snapshot is not None:
        return rds.describe_db_snapshots(DBSnapshotIdentifier=restore_from.snapshot)["DBSnapshots"]
    which = point_in_time(restore_from)
    if identifier := which.get("source_db_instance_identifier"):
        return rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
    if resource_id := which.get("source_dbi_resource_id"):
        of_backups = {"DbiResourceId": resource_id}
    else:
        of_backups = {"DBInstanceAutomatedBackupsArn": restore_from.source}
    return rds.describe_db_instance_automated_backups(**of_backups)["DBInstanceAutomatedBackups"]


def _faults(context: Context, restore_from: RestoreFrom, found: Mapping[str, Any], name: str) -> Iterator[Answer]:
    wanted = context.settings.database.engine_version.partition(".")[0]
    if (major := found["EngineVersion"].partition(".")[0]) != wanted:
        yield refused(
            f"{name} is of PostgreSQL {found['EngineVersion']}, and database.engine_version is {wanted}",
            next=f'set database.engine_version to "{major}"; upgrade afterwards: docs/operations/database.md',
        )
    if not found.get("Encrypted", found.get("StorageEncrypted")):
        yield refused(
            f"{name} is not encrypted, and the database must be",
            next="aws rds copy-db-snapshot --kms-key-id KEY makes an encrypted copy of a snapshot; restore that one",
        )
    if (owner := found["MasterUsername"]) != context.settings.database.master_username:
        yield refused(
            f"{name} belongs to {owner}, and migrate logs in as {context.settings.database.master_username}",
            next=f'set database.master_username to "{owner}"',
        )
    window = found.get("RestoreWindow", {})
    latest, earliest = found.get("LatestRestorableTime") or window.get("LatestTime"), window.get("EarliestTime")
    if restore_from.time in {None, LATEST}:
        return
    wanted_time = dt.datetime.fromisoformat(str(restore_from.time))
    if (latest and wanted_time > latest) or (earliest and wanted_time < earliest):
        yield refused(
            f"the backups of {name} reach from {_shown(earliest)} to {_shown(latest)}, not to {restore_from.time}",
            next='choose a time between them, or "latest"; of the last five minutes no backup exists yet',
        )


def _shown(time: dt.datetime | None) -> str:
    return f"{time:{FORMAT}}" if time else "(not told)"


RESTORE = (Check(name="restore-source", asked="what is restored", ask=_source),)
