"""`scannerdb preflight` of a restore: what is restored is there, reaches the time, and fits the settings."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from scannerdb.checks.run import run
from scannerdb.preflight.command import context_of
from scannerdb.preflight.restore import RESTORE
from stacks import ROOT
from stacks.settings import load_settings
from tests.support.scripted_aws import ACCOUNT, Refusal, ScriptedAws

if TYPE_CHECKING:
    from scannerdb.checks.model import Answer

LATEST_TIME = dt.datetime(2026, 11, 27, 14, 10, tzinfo=dt.UTC)
EARLIEST_TIME = LATEST_TIME - dt.timedelta(days=7)
COMMON = {"EngineVersion": "17.6", "MasterUsername": "scanner_admin", "AllocatedStorage": 100}
INSTANCE = {**COMMON, "StorageEncrypted": True, "LatestRestorableTime": LATEST_TIME}
SNAPSHOT = {**COMMON, "Encrypted": True}
BACKUPS = {**SNAPSHOT, "RestoreWindow": {"EarliestTime": EARLIEST_TIME, "LatestTime": LATEST_TIME}}
REPLICATED = "arn:aws:rds:eu-central-1:123456789012:auto-backup:ab-l2ijcejxjp7xq7hoj4siexample"


def answer(script: dict[str, Any], **restore_from: str) -> Answer:
    chosen = {f"SCANNER__DATABASE__RESTORE_FROM__{key.upper()}": value for key, value in restore_from.items()}
    environ = {**chosen, "SCANNER__DATABASE__GENERATION": "2"}
    settings = load_settings(ROOT / "environments" / "prod.toml", environ)
    aws = ScriptedAws({"s3.get_object": Refusal("NoSuchKey", status=404), **script}).clients(settings)
    (found,) = run(RESTORE, context_of(settings, aws, {"resource": {}}, account_id=ACCOUNT, caller="arn"))
    return found


def of_instance(time: str, **changed: Any) -> Answer:
    script = {"rds.describe_db_instances": {"DBInstances": [INSTANCE | changed]}}
    return answer(script, source="scanner-database-prod", time=time)


def test_without_a_restore_nothing_is_asked() -> None:
    assert answer({}).state == "ok"


@pytest.mark.parametrize("time", ["latest", "2026-11-27T14:05:00Z"])
def test_an_instance_that_reaches_the_time_is_well(time: str) -> None:
    found = of_instance(time)
    assert (found.state, found.seen) == ("ok", "scanner-database-prod of PostgreSQL 17.6, 100 GiB")


def test_a_snapshot_is_looked_for_by_its_name() -> None:
    found = answer({"rds.describe_db_snapshots": {"DBSnapshots": [SNAPSHOT]}}, snapshot="before-18")
    assert (found.state, found.seen) == ("ok", "before-18 of PostgreSQL 17.6, 100 GiB")


@pytest.mark.parametrize("source", ["db-ABCDEFGHIJKL", REPLICATED])
def test_backups_that_outlived_their_instance_or_its_region_are_looked_for(source: str) -> None:
    script = {"rds.describe_db_instance_automated_backups": {"DBInstanceAutomatedBackups": [BACKUPS]}}
    assert answer(script, source=source, time="latest").state == "ok"


def test_a_source_that_is_not_there_is_refused() -> None:
    missing = {"rds.describe_db_snapshots": Refusal("DBSnapshotNotFound", status=404)}
    found = answer(missing, snapshot="gone")
    assert (found.state, found.seen) == ("refused", "gone is not there")


@pytest.mark.parametrize(
    ("time", "changed", "seen"),
    [
        ("2026-11-27T14:11:00Z", {}, "to 2026-11-27T14:10:00Z, not to 2026-11-27T14:11:00Z"),
        ("latest", {"EngineVersion": "16.9"}, "is of PostgreSQL 16.9, and database.engine_version is 17"),
        ("latest", {"StorageEncrypted": False}, "is not encrypted"),
        ("latest", {"MasterUsername": "postgres"}, "belongs to postgres, and migrate logs in as scanner_admin"),
    ],
)
def test_a_source_that_does_not_fit_is_refused_with_what_was_seen(
    time: str, changed: dict[str, Any], seen: str
) -> None:
    found = of_instance(time, **changed)
    assert found.state == "refused"
    assert seen in found.seen


def test_a_time_before_the_first_backup_is_refused() -> None:
    script = {"rds.describe_db_instance_automated_backups": {"DBInstanceAutomatedBackups": [BACKUPS]}}
    found = answer(script, source="db-ABCDEFGHIJKL", time="2026-11-01T00:00:00Z")
    assert found.seen == (
        "the backups of db-ABCDEFGHIJKL reach from 2026-11-20T14:10:00Z to 2026-11-27T14:10:00Z, "
        "not to 2026-11-01T00:00:00Z"
    )
