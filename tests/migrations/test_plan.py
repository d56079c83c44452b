"""The plan is decided from release and ledger alone."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from handlers.contract.release import Release
from handlers.errors import (
    ChangedMigrationError,
    DriftError,
    LateMigrationError,
    NewerDatabaseError,
    VanishedMigrationError,
)
from handlers.migrator.plan import LedgerEntry, plan

ReleaseOf = Callable[[dict[str, str]], Release]
WHEN = datetime(2026, 4, 1, tzinfo=UTC)
THREE = {"001_a.sql": "SELECT 1", "002_b.sql": "SELECT 2; VACUUM; SELECT 3", "003_c.sql": "SELECT 4"}


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


def part_way(release: Release, statements: int) -> list[LedgerEntry]:
    """Return the ledger when the second file stopped after some of its statements."""
    first, second = ledger(release, 2)
    done = LedgerEntry(
        version=2,
        name="b",
        checksum=second.checksum,
        applied_statements=second.applied_statements[:statements],
        applied_at=None,
    )
    return [first, done]


def test_an_empty_ledger_has_everything_pending_in_order(release_of: ReleaseOf) -> None:
    assert [item.migration.version for item in plan(release_of(THREE), [])] == [1, 2, 3]


def test_what_is_applied_is_not_pending(release_of: ReleaseOf) -> None:
    release = release_of(THREE)
    assert [item.migration.version for item in plan(release, ledger(release, 2))] == [3]
    assert plan(release, ledger(release, 3)) == []


def test_a_file_that_stopped_part_way_goes_on_after_its_last_statement(release_of: ReleaseOf) -> None:
    release = release_of(THREE)
    pending = plan(release, part_way(release, 1))
    assert [(item.migration.version, item.first_statement) for item in pending] == [(2, 1), (3, 0)]


def test_what_follows_the_last_statement_that_was_applied_may_be_mended(release_of: ReleaseOf) -> None:
    broken = release_of(THREE)
    mended = release_of({**THREE, "002_b.sql": "SELECT 2; VACUUM; SELECT 33"})
    assert plan(mended, part_way(broken, 2))[0].first_statement == 2


def test_a_statement_that_was_applied_may_not_be_changed(release_of: ReleaseOf) -> None:
    broken = release_of(THREE)
    changed = release_of({**THREE, "002_b.sql": "SELECT 22; VACUUM; SELECT 3"})
    with pytest.raises(ChangedMigrationError, match=r"002_b.sql is applied up to its statement 1"):
        plan(changed, part_way(broken, 1))


def test_a_file_that_was_changed_after_it_was_applied_is_refused(release_of: ReleaseOf) -> None:
    before = release_of(THREE)
    after = release_of({**THREE, "001_a.sql": "SELECT 11"})
    with pytest.raises(ChangedMigrationError, match=r"001_a.sql was changed after it was applied on 2026-04-01"):
        plan(after, ledger(before, 3))


def test_a_file_that_was_renamed_after_it_was_applied_is_refused(release_of: ReleaseOf) -> None:
    before = release_of(THREE)
    after = release_of({"001_other.sql": THREE["001_a.sql"], "002_b.sql": THREE["002_b.sql"], "003_c.sql": "SELECT 4"})
    with pytest.raises(ChangedMigrationError, match=r"001_other.sql was applied as 001_a.sql; give it that name again"):
        plan(after, ledger(before, 3))


def test_a_file_that_vanished_is_refused(release_of: ReleaseOf) -> None:
    release = release_of(THREE)
    unknown = LedgerEntry(version=0, name="z", checksum="00", applied_statements=(), applied_at=WHEN)
    with pytest.raises(VanishedMigrationError, match=r"migration 000_z is applied, but the release has no such file"):
        plan(release, [unknown, *ledger(release, 3)])


def test_an_older_release_on_a_newer_database_is_refused(release_of: ReleaseOf) -> None:
    newer = release_of(THREE)
    older = release_of({name: THREE[name] for name in ("001_a.sql", "002_b.sql")})
    with pytest.raises(NewerDatabaseError, match=r"the database has migration 003_c, the release ends at 002"):
        plan(older, ledger(newer, 3))


def test_a_late_file_with_a_lower_number_is_refused(release_of: ReleaseOf) -> None:
    release = release_of(THREE)
    first, _, third = ledger(release, 3)
    with pytest.raises(LateMigrationError, match=r"002_b.sql has a lower number than 003"):
        plan(release, [first, third])


def test_every_refusal_is_a_drift_error() -> None:
    refusals = (ChangedMigrationError, VanishedMigrationError, LateMigrationError, NewerDatabaseError)
    assert all(issubclass(refusal, DriftError) for refusal in refusals)
