"""Finds what the migrations of a plan's release would do: which are pending, and which statements they would run."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handlers.contract.release import Release
from handlers.errors import ReleaseError, ScannerDatabaseError
from handlers.migrator.plan import LedgerEntry, PendingMigration
from handlers.migrator.plan import plan as pending_migrations
from handlers.migrator.release import read_release
from handlers.migrator.steps import Step, steps_without_database
from scannerdb.review.changes import Action, Change
from scannerdb.review.databases import makes_empty_database
from scannerdb.review.ledger import Ledger, ReadLedger, UnknownLedgerError
from scannerdb.review.statements import RunStatement
from stacks import ROOT

BUILT = ROOT / "build" / "release"

Fetch = Callable[[Mapping[str, str]], bytes | None]


@dataclass(frozen=True, kw_only=True)
class Migrations:
    """What `migrate` would do in this deployment.

    Attributes:
        release: SHA-256 of the plan's release.
        runs: whether the deployment invokes `migrate`.
        steps: the pending statements, with their locks.
        statements: all statements that the deployment would run, in order.
        table_bytes: the size of each table and index that exists; `None` where that is not known.
        without_down: the pending files that no rollback takes back.
        each_run: the files that run with each new release, and the number of their statements.
        refused: why `migrate` will refuse the release; empty if it will not.
        unread: why the release itself, and so what it would run, is not known; empty if it is.
        note: what else is not known; empty if nothing.

    """

    release: str
    runs: bool = True
    steps: tuple[Step, ...] = ()
    statements: tuple[RunStatement, ...] = ()
    table_bytes: Mapping[str, int] | None = None
    without_down: tuple[str, ...] = ()
    each_run: tuple[tuple[str, int], ...] = ()
    refused: str = ""
    unread: str = ""
    note: str = ""


def migrations(changes: Sequence[Change], fetch: Fetch, read_ledger: ReadLedger) -> Migrations | None:
    """Return what the plan's release would run.

    `None` if the plan does not change the release, and nothing of it is known to be pending.

    Args:
        changes: the plan's changes.
        fetch: returns the bytes of a release for the event of `migrate`; `None` if it is not available.
        read_ledger: returns what is applied to the database.

    """
    for change in changes:
        planned = _named(change.after)
        if change.type != "aws_lambda_invocation" or not planned or change.action is Action.DESTROY:
            continue
        if change.action is Action.NOTHING:
            deployed = _read_deployed(planned, fetch)
            return _left_pending(deployed, read_ledger) if deployed else None
        release = _read(planned, fetch)
        if release is None:
            sha256 = planned["release_sha256"][:12]
            unread = f"the release {sha256} was not built on this machine: review the plan where it was made"
            return Migrations(release=planned["release_sha256"], unread=unread)
        try:
            ledger = Ledger(table_bytes={}) if makes_empty_database(changes) else read_ledger()
        except UnknownLedgerError as unknown:
            return _without_ledger(release, change, fetch, str(unknown))
        return _of_release(release, ledger.entries, table_bytes=ledger.table_bytes)
    return None


def fetch_built(named: Mapping[str, str]) -> bytes | None:
    """Return a release that was built on this machine."""
    path = BUILT / f"{named['release_sha256']}.zip"
    return path.read_bytes() if path.exists() else None


def fetch_deployed(named: Mapping[str, str], *, region: str) -> bytes | None:
    """Return a release from this machine, or from the bucket of the deployed releases."""
    if (built := fetch_built(named)) is not None:
        return built
    import boto3  # noqa: PLC0415 - takes half a second; needed against AWS only
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        client = boto3.client("s3", region_name=region)
        body: bytes = client.get_object(Bucket=named["release_bucket"], Key=named["release_key"])["Body"].read()
    except (BotoCoreError, ClientError):
        return None  # the review reports that the release is not available
    return body


def _named(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the event of an invocation of `migrate`; empty for any other invocation."""
    try:
        told = json.loads(values.get("input") or "")
    except ValueError:
        return {}
    return told if isinstance(told, dict) and "release_sha256" in told else {}


def _left_pending(release: Release, read_ledger: ReadLedger) -> Migrations | None:
    """Return what is pending although the release is deployed, as after a rollback; `None` where that is not known."""
    try:
        found = _of_release(release, read_ledger().entries, table_bytes=None)
    except UnknownLedgerError:
        return None
    note = (
        "This deployment does not invoke migrate, because its release is deployed. "
        "To apply what is pending: scannerdb migrate, through scannerdb tunnel --direct."
    )
    if found.refused:
        return Migrations(release=release.sha256, runs=False, note=f"The next migrate will be refused: {found.refused}")
    return Migrations(release=release.sha256, runs=False, steps=found.steps, note=note) if found.steps else None


def _without_ledger(release: Release, change: Change, fetch: Fetch, why: str) -> Migrations:
    """Return what the deployed release lacks, which is pending unless that release was not applied or rolled back."""
    deployed = _named(change.before)
    # Its invocation failed, so it is not what the database has.
    before = None if not deployed or "tainted" in change.reason else _read_deployed(deployed, fetch)
    listed = "every file of the release is listed"
    if before is not None:
        listed = f"listed is what the deployed release {before.sha256[:12]} lacks"
    return _of_release(
        release,
        _ledger_of(before),
        table_bytes=None,
        note=f"It is not known which files are applied; {listed}. The ledger was not read: {why}",
    )


def _of_release(
    release: Release, entries: Sequence[LedgerEntry], *, table_bytes: Mapping[str, int] | None, note: str = ""
) -> Migrations:
    try:
        pending = pending_migrations(release, entries)
    except ScannerDatabaseError as refused:
        return Migrations(release=release.sha256, refused=str(refused), note=note)
    return Migrations(
        release=release.sha256,
        steps=steps_without_database(pending),
        statements=_to_run(release, pending),
        table_bytes=table_bytes,
        without_down=tuple(item.migration.file for item in pending if item.migration.down is None),
        each_run=tuple((file.file, len(file.statements)) for file in (release.roles, release.restore)),
        note=note,
    )


def _to_run(release: Release, pending: Sequence[PendingMigration]) -> tuple[RunStatement, ...]:
    files = (
        (release.roles.file, release.roles.statements),
        *((item.migration.file, item.migration.statements[item.first_statement :]) for item in pending),
        (release.restore.file, release.restore.statements),
    )
    return tuple(RunStatement(file=file, statement=statement) for file, found in files for statement in found)


def _read(named: Mapping[str, str], fetch: Fetch) -> Release | None:
    archive = fetch(named)
    return None if archive is None else read_release(archive, expected_sha256=named["release_sha256"])


def _read_deployed(named: Mapping[str, str], fetch: Fetch) -> Release | None:
    """Return a deployed release; `None` where it is not available, or has the format of an older version."""
    try:
        return _read(named, fetch)
    except ReleaseError:
        return None


def _ledger_of(release: Release | None) -> list[LedgerEntry]:
    """Return the ledger that a deployed release leaves in the database."""
    if release is None:
        return []
    return [
        LedgerEntry(
            version=migration.version,
            name=migration.name,
            checksum=migration.checksum,
            applied_statements=tuple(statement.checksum for statement in migration.statements),
            applied_at=dt.datetime.now(dt.UTC),
        )
        for migration in release.migrations
    ]
