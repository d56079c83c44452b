"""Finds the migrations that a plan would run: those of its release that the deployed release lacks."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from handlers.contract.release import Release
from handlers.errors import ScannerDatabaseError
from handlers.migrator.plan import LedgerEntry
from handlers.migrator.plan import plan as pending_migrations
from handlers.migrator.release import read_release
from handlers.migrator.steps import Step, migration_plan
from scannerdb.review.changes import Action, Change
from stacks import ROOT

BUILT = ROOT / "build" / "release"

Fetch = Callable[[Mapping[str, str]], bytes | None]


@dataclass(frozen=True, kw_only=True)
class Migrations:
    """What `migrate` would do in this deployment.

    Attributes:
        release: SHA-256 of the plan's release.
        steps: its pending statements, with their locks.
        each_run: the files that run with each new release, and the number of their statements.
        refused: why `migrate` will refuse the release; empty if it will not.
        note: what could not be determined; empty if nothing.

    """

    release: str
    steps: tuple[Step, ...] = ()
    each_run: tuple[tuple[str, int], ...] = ()
    refused: str = ""
    note: str = ""


def migrations(changes: Iterable[Change], fetch: Fetch) -> Migrations | None:
    """Return what the plan's release would run; `None` if the plan does not change the release.

    Args:
        changes: the plan's changes.
        fetch: returns the bytes of a release for the event of `migrate`; `None` if it is not available.

    """
    for change in changes:
        planned, deployed = _named(change.after), _named(change.before)
        if change.type == "aws_lambda_invocation" and planned and change.action not in {Action.NOTHING, Action.DESTROY}:
            return _compare(planned, deployed, fetch)
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


def _compare(planned: Mapping[str, str], deployed: Mapping[str, str], fetch: Fetch) -> Migrations:
    sha256 = planned["release_sha256"]
    release = _read(planned, fetch)
    if release is None:
        note = f"The release {sha256[:12]} was not built on this machine: review the plan where it was made."
        return Migrations(release=sha256, note=note)
    before = _read(deployed, fetch) if deployed else None
    note = ""
    if deployed and before is None:
        note = f"The deployed release {deployed['release_sha256'][:12]} is not at hand: what ran already is listed too."
    try:
        pending = pending_migrations(release, _ledger(before))
    except ScannerDatabaseError as refused:
        return Migrations(release=sha256, refused=str(refused), note=note)
    files = {item.migration.file for item in pending}
    return Migrations(
        release=sha256,
        steps=tuple(step for step in migration_plan(release).steps if step.file in files),
        each_run=tuple((file.file, len(file.statements)) for file in (release.roles, release.restore)),
        note=note,
    )


def _read(named: Mapping[str, str], fetch: Fetch) -> Release | None:
    archive = fetch(named)
    return None if archive is None else read_release(archive, expected_sha256=named["release_sha256"])


def _ledger(release: Release | None) -> list[LedgerEntry]:
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
