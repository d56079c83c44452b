"""Migrates a database and rolls it back, as a deploy does; and the ledger that is written then."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from handlers.migrator.plan import LedgerEntry
from handlers.migrator.runner import rollback, run
from tests.support.database import MIGRATIONS, build_release

if TYPE_CHECKING:
    from handlers.contract.release import Release
    from tests.support.database import TestDatabase

WHEN = datetime(2026, 4, 1, tzinfo=UTC)


def ledger(release: Release, count: int) -> list[LedgerEntry]:
    """Return the ledger after the first `count` files of a release."""
    return [
        LedgerEntry(
            version=migration.version,
            name=migration.name,
            checksum=migration.checksum,
            applied_statements=tuple(statement.checksum for statement in migration.statements),
            applied_at=WHEN,
        )
        for migration in release.migrations[:count]
    ]


def roll_back(database: TestDatabase, *, count: int = 1) -> None:
    """Take the newest migrations back."""
    for _ in range(count):
        rollback(database.connect, build_release(MIGRATIONS))


def roll_back_to(database: TestDatabase, version: int) -> None:
    """Take every migration after this one back."""
    roll_back(database, count=len(build_release(MIGRATIONS).migrations) - version)


def migrate(database: TestDatabase) -> None:
    run(database.connect, build_release(MIGRATIONS))
