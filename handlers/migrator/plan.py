"""What a release would run, decided from release and ledger alone, so that it needs no database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from handlers.contract.release import Migration, Release
from handlers.errors import (
    ChangedMigrationError,
    LateMigrationError,
    NewerDatabaseError,
    NoRollbackError,
    VanishedMigrationError,
)


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One row of `schema_migrations`.

    `applied_at` is `None` while a file that runs outside a transaction is only partly applied. `applied_statements`
    holds the checksums of those of its statements that are done.
    """

    version: int
    name: str
    checksum: str
    applied_statements: tuple[str, ...]
    applied_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class PendingMigration:
    """A file to run, from the statement at position `first_statement` (counted from 0) on."""

    migration: Migration
    first_statement: int


def plan(release: Release, ledger: Iterable[LedgerEntry]) -> list[PendingMigration]:
    """Return what remains to be run, in order.

    Raises:
        ChangedMigrationError: a file differs from what was applied.
        VanishedMigrationError: a file that was applied, and that others follow, is not in the release.
        NewerDatabaseError: the ledger's newest files are not in the release.
        LateMigrationError: a file that was not applied has a lower number than one that was.

    """
    applied = {entry.version: entry for entry in ledger}
    files = {migration.version: migration for migration in release.migrations}
    newest_file = max(files, default=0)
    newest_applied = max(applied, default=0)
    for version in sorted(applied.keys() - files.keys()):
        _refuse_unknown(applied[version], newest_file)
    pending: list[PendingMigration] = []
    for version, migration in sorted(files.items()):
        entry = applied.get(version)
        if entry is None:
            if version < newest_applied:
                raise LateMigrationError(
                    f"migrations/{migration.file} has a lower number than {newest_applied:03}, which is applied; "
                    f"rename it to follow {newest_file:03}"
                )
            pending.append(PendingMigration(migration=migration, first_statement=0))
        elif entry.name != migration.name:
            raise ChangedMigrationError(
                f"migrations/{migration.file} was applied as {version:03}_{entry.name}.sql; give it that name again"
            )
        elif entry.applied_at is None:
            pending.append(PendingMigration(migration=migration, first_statement=_resume(migration, entry)))
        elif entry.checksum != migration.checksum:
            raise ChangedMigrationError(
                f"migrations/{migration.file} was changed after it was applied on {entry.applied_at:%Y-%m-%d} "
                f"(checksum {entry.checksum[:8]}... -> {migration.checksum[:8]}...); "
                "restore it and add a new migration instead"
            )
    return pending


def newest_to_undo(release: Release, ledger: Sequence[LedgerEntry]) -> Migration:
    """Return the newest migration that is applied, which has a `.down.sql`.

    Raises:
        NoRollbackError: nothing is applied, or the newest migration has no `.down.sql`.
        DriftError: release and ledger contradict each other.

    """
    plan(release, ledger)  # refuses drift
    if not ledger:
        raise NoRollbackError("no migration is applied; there is nothing to roll back")
    newest = next(item for item in release.migrations if item.version == ledger[-1].version)
    if newest.down is None:
        raise NoRollbackError(f"migrations/{newest.file} has no .down.sql; add a migration that undoes it instead")
    return newest


def _refuse_unknown(entry: LedgerEntry, newest_file: int) -> None:
    if entry.version > newest_file:
        raise NewerDatabaseError(
            f"the database has migration {entry.version:03}_{entry.name}, the release ends at {newest_file:03}; "
            "deploy a release that has it, or roll the database back with the release that had it"
        )
    raise VanishedMigrationError(
        f"migration {entry.version:03}_{entry.name} is applied, but the release has no such file; restore it"
    )


def _resume(migration: Migration, entry: LedgerEntry) -> int:
    """Return the position after the statements that are done; they may not have changed since, the rest may."""
    done = len(entry.applied_statements)
    checksums = tuple(statement.checksum for statement in migration.statements[:done])
    if checksums != entry.applied_statements:
        raise ChangedMigrationError(
            f"migrations/{migration.file} is applied up to its statement {done}, and one of these was changed; "
            "restore them, change what follows only"
        )
    return done
