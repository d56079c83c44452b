"""On an Aurora cluster, which refuses some functions of PostgreSQL, the doctor makes every check without them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg2
import pytest

from handlers.contract.alarms.answers import EVENTS_LOOK, INSTANCE_LOOK
from handlers.contract.databases import RdsDatabase
from handlers.diagnosis.checks import CHECKS
from tests.support.diagnosis import COMMANDS, diagnose, only

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

OF_A_CLUSTER = replace(COMMANDS, database=RdsDatabase.parse("cluster/scanner-database-test"))
# What Aurora refuses, also to the master user.
REFUSED = ("pg_ls_waldir()", "pg_current_wal_lsn()")
TIB_GIB = 1024


@pytest.fixture
def cluster(well: TestDatabase) -> TestDatabase:
    """A database that refuses both functions to all but a superuser, which no login on RDS is."""
    for function in REFUSED:
        well.query(f"REVOKE ALL ON FUNCTION pg_catalog.{function} FROM PUBLIC, pg_monitor", user="postgres")
    for function in REFUSED:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            well.query(f"SELECT {function}", user="scanner_doctor")
    return well


def test_no_check_asks_for_what_a_cluster_refuses(cluster: TestDatabase) -> None:
    found = diagnose(cluster, *CHECKS, commands=OF_A_CLUSTER, storage_gib=128 * TIB_GIB)
    assert [(each.check, each.value) for each in found if each.state == "unknown"] == []
    assert {each.check for each in found} >= {"storage", "vacuum", "transaction-ids", "connections"}


def test_the_same_checks_of_an_instance_would_be_refused_there(cluster: TestDatabase) -> None:
    assert only(diagnose(cluster, "storage"))[0] == "unknown"


def test_the_volume_is_held_against_its_limit_and_no_setting_is_to_be_raised(cluster: TestDatabase) -> None:
    state, value, next_ = only(diagnose(cluster, "storage", commands=OF_A_CLUSTER, storage_gib=128 * TIB_GIB))
    assert (state, next_) == ("ok", "")
    assert " of 128.0 TiB (0 %); grows by about " in value
    assert "WAL" not in value
    (full,) = diagnose(cluster, "storage", commands=OF_A_CLUSTER, storage_gib=0.001)
    assert (full.state, full.next) == ("critical", "")
    assert "let old jobs leave" in full.why
    assert "max_allocated_storage_gib" not in full.why


def test_a_replication_slot_without_a_reader_is_told_though_its_size_is_not_known(cluster: TestDatabase) -> None:
    cluster.query("SELECT pg_create_physical_replication_slot('forgotten', true)", user="postgres")
    try:
        found = diagnose(cluster, "storage", commands=OF_A_CLUSTER, storage_gib=128 * TIB_GIB)
    finally:
        cluster.query("SELECT pg_drop_replication_slot('forgotten')", user="postgres")
    assert (found[0].state, found[0].value) == ("warning", "the replication slot forgotten has no reader")
    assert found[0].sql == "SELECT pg_drop_replication_slot('forgotten')"


def test_the_commands_of_a_cluster_name_a_cluster() -> None:
    assert OF_A_CLUSTER.look(INSTANCE_LOOK).startswith(
        "aws rds describe-db-clusters --db-cluster-identifier scanner-database-test --query 'DBClusters[].{"
    )
    assert "--source-type db-cluster --source-identifier scanner-database-test" in OF_A_CLUSTER.look(EVENTS_LOOK)
