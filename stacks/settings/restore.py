"""What a database is restored from when it is made."""

import datetime as dt
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from stacks.settings.base import MisfitError, Model, on_change
from stacks.settings.regions import check_region

LATEST = "latest"
READ_ONCE = on_change("nothing: it is read when the database is made, and may be removed afterwards")


class RestoreFrom(Model):
    """A snapshot, or a point in time of the backups of a database; see docs/operations/recovery.md."""

    snapshot: str | None = Field(
        None,
        pattern=r"^((rds:)?[A-Za-z][A-Za-z0-9-]{0,254}|arn:aws:rds:[a-z0-9-]+:\d{12}:snapshot:[A-Za-z0-9:-]+)$",
        description="the name of a snapshot in the same region, or its ARN",
        json_schema_extra=READ_ONCE,
    )
    source: str | None = Field(
        None,
        pattern=r"^([a-z][a-z0-9-]{0,62}|db-[A-Z0-9]+|arn:aws:rds:[a-z0-9-]+:\d{12}:auto-backup:ab-[A-Za-z0-9]+)$",
        description=(
            "the identifier of an instance that exists; the resource id (`db-` and capitals) of one whose backups "
            "outlived it; or the ARN of backups that were replicated to this region"
        ),
        json_schema_extra=READ_ONCE,
    )
    time: str | None = Field(
        None,
        description='a time in UTC such as "2026-11-27T14:05:00Z", or "latest"',
        json_schema_extra=READ_ONCE,
    )

    @field_validator("time")
    @classmethod
    def _is_utc(cls, value: str | None) -> str | None:
        if value is not None and value != LATEST:
            try:
                dt.datetime.strptime(value.removesuffix("Z") + "+0000", "%Y-%m-%dT%H:%M:%S%z")
            except ValueError:
                raise ValueError("not a time in UTC") from None
            if not value.endswith("Z"):
                raise ValueError("not a time in UTC")
        return value

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.source, self.time).count(None) != (0 if self.snapshot is None else 2):
            raise ValueError("names either a snapshot, or a source and a time")
        return self


def point_in_time(restore_from: RestoreFrom) -> dict[str, Any]:
    """Return the source and the time of a restore, as `restore_to_point_in_time` names them."""
    source = str(restore_from.source)
    if source.startswith("arn:"):
        which = {"source_db_instance_automated_backups_arn": source}
    elif source.startswith("db-") and source.removeprefix("db-").isupper():
        which = {"source_dbi_resource_id": source}
    else:
        which = {"source_db_instance_identifier": source}
    if restore_from.time == LATEST:
        return {**which, "use_latest_restorable_time": True}
    return {**which, "restore_time": restore_from.time}


def check_restore(restore_from: RestoreFrom | None, identifier: str) -> None:
    """Refuse to restore a database into itself: a restore always makes a new one.

    Raises:
        MisfitError: the source is the database that the settings name.

    """
    if restore_from is not None and restore_from.source == identifier:
        raise MisfitError(
            ("database", "restore_from", "source"),
            identifier,
            "a restore makes a new database beside it: raise database.generation by one",
        )


def check_backup_region(backup_region: str | None, region: str) -> None:
    """Refuse to copy backups to where they are, or to where RDS has no such engine.

    Which pairs of regions RDS copies between, only AWS knows.

    Raises:
        MisfitError: with the reason.

    """
    if backup_region is None:
        return
    key = ("database", "backup_region")
    if backup_region == region:
        raise MisfitError(key, backup_region, "the database is there: its loss would take both")
    try:
        check_region(backup_region)
    except ValueError as error:
        raise MisfitError(key, backup_region, str(error)) from error
