"""The disk: dead rows, old transaction ids, growth and replication slots."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest

from handlers.contract.parameters import ExpectedParameters
from handlers.diagnosis import storage
from tests.support.diagnosis import carry_out, diagnose, only, sql_of
from tests.support.partitioning import finish, partition

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

MIB = 1 / 1024


def test_dead_rows_are_told_and_vacuumed(well: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "DEAD_ROWS", 100)
    well.query("ALTER TABLE job_objects SET (autovacuum_enabled = off)")
    well.add_job({"queued": 200})
    well.query("UPDATE job_objects SET status = 'failed'; SELECT pg_stat_force_next_flush()")
    state, value, next_ = only(diagnose(well, "vacuum"))
    assert (state, sql_of(next_)) == ("warning", "VACUUM (ANALYZE) public.job_objects")
    assert value == "job_objects: 206 dead rows, 206 live rows, never vacuumed"
    carry_out(next_, well)
    assert only(diagnose(well, "vacuum"))[0] == "ok"


def test_dead_rows_of_a_partition_are_told_and_what_partitions_take_counts(
    well: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "DEAD_ROWS", 100)
    before = growth_mib(well)
    partition(well, modulus=2)
    both = growth_mib(well)
    finish(well)
    assert both > growth_mib(well)
    for number in range(2):
        well.query(f"ALTER TABLE job_objects_p{number} SET (autovacuum_enabled = off)")
    well.add_job({"queued": 400})
    well.query("UPDATE job_objects SET status = 'failed'; SELECT pg_stat_force_next_flush()")
    state, value, next_ = only(diagnose(well, "vacuum"))
    assert state == "warning"
    assert value.startswith("job_objects_p")
    assert "VACUUM (ANALYZE) public.job_objects_p" in next_
    assert growth_mib(well) > before


def growth_mib(database: TestDatabase) -> float:
    value = only(diagnose(database, "storage"))[1]
    number, unit = re.search(r"grows by about ([\d.,]+) (\w+) a day", value).groups()
    return float(number.replace(",", "")) * {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[unit]


def test_a_delta_table_that_is_much_larger_than_its_rows_is_told_and_vacuumed(
    well: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "BLOATED_BYTES", 1024**2)
    well.query("ALTER TABLE job_progress_deltas SET (autovacuum_enabled = off)")
    well.query(
        "INSERT INTO job_progress_deltas (job_id) SELECT job_id FROM jobs, generate_series(1, 10000);"
        "DELETE FROM job_progress_deltas; SELECT pg_stat_force_next_flush()"
    )
    state, value, next_ = only(diagnose(well, "vacuum"))
    assert (state, sql_of(next_)) == ("warning", "VACUUM (ANALYZE) public.job_progress_deltas")
    assert value == "job_progress_deltas: 1.3 MiB for 0 rows, never vacuumed"
    carry_out(next_, well)
    assert only(diagnose(well, "vacuum"))[0] == "ok"


def test_old_transaction_ids_name_the_table_to_vacuum(well: TestDatabase) -> None:
    assert only(diagnose(well, "transaction-ids"))[0] == "ok"
    state, value, next_ = only(diagnose(well, "transaction-ids", transaction_ids=1))
    assert state == "warning"
    table = sql_of(next_).removeprefix("VACUUM (FREEZE) ")
    assert f"the oldest table here is {table} with " in value
    age = "SELECT age(relfrozenxid) FROM pg_class WHERE oid = %s::regclass"
    ((before,),) = well.query(age, (table,))
    carry_out(next_, well, transaction_ids=1)
    assert well.query(age, (table,)) < [(before,)]


def test_a_disk_that_is_full_soon_is_told_with_what_takes_the_space(well: TestDatabase) -> None:
    well.add_job({"succeeded": 2000})  # more than the ledger of migrations takes
    state, value, _ = only(diagnose(well, "storage"))
    assert state == "ok"
    assert "; grows by about " in value
    # In an empty database the ledger may be larger than any of our tables.
    assert re.search(r"; largest: .*\bjob_objects \d", value)
    used_mib = (
        sum(size for (size,) in well.query("SELECT pg_database_size(oid) / 1048576.0 FROM pg_database"))
        + well.query("SELECT sum(size) / 1048576.0 FROM pg_ls_waldir()")[0][0]
    )
    full_gib = float(used_mib) * MIB
    state, value, next_ = only(diagnose(well, "storage", storage_gib=full_gib * 1.01))
    assert state == "critical"
    larger = "--allocated-storage {} --max-allocated-storage {} --apply-immediately"
    gib = math.ceil(full_gib * 1.01 * 1.2)
    assert larger.format(gib, math.ceil(gib * 1.2)) in next_
    # All jobs are of today and hold everything, so a day adds what their objects take.
    state, value, next_ = only(diagnose(well, "storage", storage_gib=full_gib * 1.1, storage_hours=1e6))
    assert (state, next_.split()[:3]) == ("warning", ["aws", "rds", "modify-db-instance"])
    assert "; full in " in value
    well.query("UPDATE jobs SET created_at = now() - interval '2 days'; SELECT refresh_job_progress()")
    assert only(diagnose(well, "storage", storage_gib=full_gib * 1.1, storage_hours=1e6))[0] == "ok"


@pytest.mark.parametrize(
    "fault", ["DROP MATERIALIZED VIEW job_progress CASCADE", "REFRESH MATERIALIZED VIEW job_progress WITH NO DATA"]
)
def test_the_disk_is_judged_also_where_growth_is_unknown(well: TestDatabase, fault: str) -> None:
    well.query(fault)
    state, value, _ = only(diagnose(well, "storage"))
    assert state == "ok"
    assert "; growth unknown; " in value


def test_a_replication_slot_that_nobody_reads_is_told_and_dropped(well: TestDatabase) -> None:
    well.query("SELECT pg_create_physical_replication_slot('forgotten', true)", user="postgres")
    try:
        well.query("SELECT pg_switch_wal()", user="postgres")
        well.add_job({"queued": 1000})
        (slot,) = [each for each in diagnose(well, "storage", storage_gib=1 * MIB) if each.state == "warning"]
        assert slot.value.startswith("the replication slot forgotten, which has no reader, keeps ")
        assert sql_of(slot.next) == "SELECT pg_drop_replication_slot('forgotten')"
        # RDS lets the master user do it; here a superuser does.
        carry_out(slot.next, well, user="postgres", storage_gib=1 * MIB)
    finally:
        well.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots", user="postgres")
    assert "slot" not in diagnose(well, "storage", storage_gib=1 * MIB)[0].value


def test_the_disk_of_an_instance_that_exists_is_its_owner_s_to_enlarge(well: TestDatabase) -> None:
    expected = ExpectedParameters(identifier="scans", values={})
    state, _, next_ = only(diagnose(well, "storage", expected=expected, storage_gib=0.001))
    assert state == "critical"
    assert next_.startswith("aws rds modify-db-instance --db-instance-identifier scans --max-allocated-storage ")
