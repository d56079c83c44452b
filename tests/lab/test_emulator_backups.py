"""Snapshots and restores of the emulated RDS: data come back in an instance beside the older one."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import pytest

from lab.embedded_postgres import EmbeddedPostgres
from lab.emulator.server import Emulator
from tests.support.database import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


def written(server: EmbeddedPostgres) -> list[str]:
    return [text for (text,) in ask(server, "SELECT text FROM written ORDER BY text")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("server"), durable=False) as running:
        yield running
        running.discard()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, server: EmbeddedPostgres) -> Iterator[Emulator]:
    folder = tmp_path_factory.mktemp("emulator")
    with Emulator(folder, region="eu-central-1", database_password=server.password, database=server) as running:
        yield running


@pytest.fixture(scope="module")
def rds(emulator: Emulator, server: EmbeddedPostgres) -> Any:
    """RDS with an instance `old`, a snapshot of it, and rows from before and after the snapshot."""
    rds = emulator.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="old",
        DBInstanceClass="db.t4g.small",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="scanner_admin",
        ManageMasterUserPassword=True,
        Port=server.port,
    )
    ask(server, "CREATE TABLE written (text text)")
    ask(server, "INSERT INTO written VALUES ('before')")
    rds.create_db_snapshot(DBInstanceIdentifier="old", DBSnapshotIdentifier="kept")
    ask(server, "INSERT INTO written VALUES ('later')")
    return rds


def test_a_snapshot_is_restored_with_its_data_beside_the_older_instance(
    rds: Any, emulator: Emulator, server: EmbeddedPostgres
) -> None:
    made = rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="new", DBSnapshotIdentifier="kept")
    (old,) = rds.describe_db_instances(DBInstanceIdentifier="old")["DBInstances"]
    assert made["DBInstance"]["DbiResourceId"] != old["DbiResourceId"]
    assert made["DBInstance"]["Endpoint"]["Port"] == old["Endpoint"]["Port"]
    assert written(emulator.restored_server("new")) == ["before"]
    assert written(server) == ["before", "later"]


def test_a_restored_instance_has_no_managed_password_until_it_is_modified(rds: Any) -> None:
    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="unmanaged", DBSnapshotIdentifier="kept")
    (restored,) = rds.describe_db_instances(DBInstanceIdentifier="unmanaged")["DBInstances"]
    assert "MasterUserSecret" not in restored
    rds.modify_db_instance(DBInstanceIdentifier="unmanaged", ManageMasterUserPassword=True, ApplyImmediately=True)
    (managed,) = rds.describe_db_instances(DBInstanceIdentifier="unmanaged")["DBInstances"]
    (old,) = rds.describe_db_instances(DBInstanceIdentifier="old")["DBInstances"]
    assert managed["MasterUserSecret"]["SecretArn"] != old["MasterUserSecret"]["SecretArn"]


def test_a_point_in_time_is_restored_to_the_moment(rds: Any, emulator: Emulator, server: EmbeddedPostgres) -> None:
    (until,) = ask(server, "SELECT date_trunc('second', clock_timestamp()) + interval '1 s' FROM pg_sleep(1)")[0]
    ask(server, "SELECT pg_sleep(1.5)")
    ask(server, "DELETE FROM written")
    rds.restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier="old", TargetDBInstanceIdentifier="then", RestoreTime=until
    )
    assert written(emulator.restored_server("then")) == ["before", "later"]
    assert written(server) == []
    ask(server, "INSERT INTO written VALUES ('before'), ('later')")


def test_the_latest_time_is_that_of_a_restored_instance_too(rds: Any, emulator: Emulator) -> None:
    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="second", DBSnapshotIdentifier="kept")
    ask(emulator.restored_server("second"), "INSERT INTO written VALUES ('second')")
    rds.restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier="second", TargetDBInstanceIdentifier="third", UseLatestRestorableTime=True
    )
    assert written(emulator.restored_server("third")) == ["before", "second"]


def test_a_deleted_instance_is_restored_from_the_backups_that_it_left(rds: Any, emulator: Emulator) -> None:
    made = rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="lost", DBSnapshotIdentifier="kept")
    ask(emulator.restored_server("lost"), "INSERT INTO written VALUES ('lost')")
    rds.delete_db_instance(DBInstanceIdentifier="lost", SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    rds.restore_db_instance_to_point_in_time(
        SourceDbiResourceId=made["DBInstance"]["DbiResourceId"],
        TargetDBInstanceIdentifier="found",
        UseLatestRestorableTime=True,
    )
    assert written(emulator.restored_server("found")) == ["before", "lost"]


def test_a_deleted_instance_has_no_server_any_more(rds: Any, emulator: Emulator) -> None:
    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="short", DBSnapshotIdentifier="kept")
    rds.delete_db_instance(DBInstanceIdentifier="short", SkipFinalSnapshot=True)
    with pytest.raises(KeyError, match="short"):
        emulator.restored_server("short")


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (dt.datetime(2020, 1, 1, tzinfo=dt.UTC), "no snapshot of old was taken here before 2020-01-01T00:00:00Z"),
        (dt.datetime(2100, 1, 1, tzinfo=dt.UTC), "is after the latest restorable time"),
    ],
)
def test_a_time_that_no_backup_reaches_is_refused_and_leaves_no_instance(
    rds: Any, until: dt.datetime, said: str
) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match=rf"InvalidParameterValue.*{said}"):
        rds.restore_db_instance_to_point_in_time(
            SourceDBInstanceIdentifier="old", TargetDBInstanceIdentifier="never", RestoreTime=until
        )
    with pytest.raises(botocore.exceptions.ClientError, match="DBInstanceNotFound"):
        rds.describe_db_instances(DBInstanceIdentifier="never")
