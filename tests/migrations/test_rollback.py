"""The newest migration can be taken back, and a rollback that dies leaves nothing half recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.errors import ChangedMigrationError, MigrationFailedError, NoRollbackError
from handlers.migrator.runner import rollback, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.contract.release import Release
    from tests.support.database import TestDatabase

    ReleaseOf = Callable[[dict[str, str]], Release]

FILES = {
    "001_a.sql": "CREATE TABLE IF NOT EXISTS t (a int)",
    "001_a.down.sql": "DROP TABLE t",
    "002_b.sql": "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (a)",
    "002_b.down.sql": "DROP INDEX CONCURRENTLY IF EXISTS t_a",
}


def versions(database: TestDatabase) -> list[tuple[int, bool]]:
    return database.query("SELECT version, applied_at IS NOT NULL FROM schema_migrations ORDER BY 1")  # type: ignore[return-value]


def test_each_call_takes_the_newest_migration_back(empty_database: TestDatabase, release_of: ReleaseOf) -> None:
    release = release_of(FILES)
    run(empty_database.connect, release)
    assert rollback(empty_database.connect, release) == "002_b.down.sql"
    assert versions(empty_database) == [(1, True)]
    assert rollback(empty_database.connect, release) == "001_a.down.sql"
    assert empty_database.query("SELECT to_regclass('t')") == [(None,)]
    with pytest.raises(NoRollbackError, match="nothing to roll back"):
        rollback(empty_database.connect, release)


def test_what_was_rolled_back_is_applied_again_by_the_next_deploy(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    release = release_of(FILES)
    run(empty_database.connect, release)
    rollback(empty_database.connect, release)
    assert run(empty_database.connect, release).applied == ("002_b.sql",)


def test_only_the_rollback_that_was_agreed_to_runs(empty_database: TestDatabase, release_of: ReleaseOf) -> None:
    release = release_of(FILES)
    run(empty_database.connect, release)
    with pytest.raises(NoRollbackError, match=r"002_b.down.sql would run now, not 001_a.down.sql"):
        rollback(empty_database.connect, release, agreed="001_a.down.sql")
    assert versions(empty_database) == [(1, True), (2, True)]
    assert rollback(empty_database.connect, release, agreed="002_b.down.sql") == "002_b.down.sql"


def test_a_migration_without_a_rollback_is_not_taken_back(empty_database: TestDatabase, release_of: ReleaseOf) -> None:
    release = release_of({"001_a.sql": FILES["001_a.sql"]})
    run(empty_database.connect, release)
    with pytest.raises(NoRollbackError, match=r"001_a.sql has no .down.sql; add a migration"):
        rollback(empty_database.connect, release)
    assert versions(empty_database) == [(1, True)]


def test_a_release_that_is_not_the_one_that_was_applied_takes_nothing_back(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    run(empty_database.connect, release_of(FILES))
    with pytest.raises(ChangedMigrationError):
        rollback(empty_database.connect, release_of({**FILES, "001_a.sql": "CREATE TABLE t (a bigint)"}))
    assert versions(empty_database) == [(1, True), (2, True)]


def test_a_rollback_that_fails_part_way_is_mended_by_the_next_deploy(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    release = release_of({**FILES, "002_b.down.sql": "DROP INDEX CONCURRENTLY IF EXISTS t_a; DROP TABLE missing"})
    run(empty_database.connect, release)
    with pytest.raises(MigrationFailedError, match=r"002_b.down.sql, line 1, DROP TABLE missing"):
        rollback(empty_database.connect, release)
    assert versions(empty_database) == [(1, True), (2, False)]
    assert run(empty_database.connect, release).applied == ("002_b.sql",)
    assert empty_database.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass") == [(True,)]
