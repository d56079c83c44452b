"""What cannot be partitioned now is refused with a name, a reason and a next step; and nothing has changed."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from handlers.batches import FIRST_ROWS
from handlers.migrator.ledger import QUERIES as LEDGER
from scannerdb.partition import errors, preflight, steps, swap
from scannerdb.partition.names import KEPT, MIRROR_TRIGGERS, ORIGINAL, SHADOW
from scannerdb.partition.verify import verify
from tests.support.partitioning import IMPATIENT, fill, finish, partition, phase, revert
from tests.support.schema import schema

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

OBSTACLES = {
    "ALTER TABLE job_objects ENABLE ROW LEVEL SECURITY": "row level security is on",
    "CREATE POLICY mine ON job_objects USING (true)": "it has the policy mine",
    "CREATE RULE mine AS ON DELETE TO job_objects DO ALSO SELECT 1": "it has the rule mine",
    "CREATE STATISTICS mine ON bucket, status FROM job_objects": "extended statistics mine",
    "CREATE PUBLICATION mine FOR TABLE job_objects": "the publication mine publishes it",
    "CREATE PUBLICATION every FOR TABLES IN SCHEMA public": "the publication every publishes it",
    "CREATE TABLE notes (job_id uuid, bucket text, key text, etag text, FOREIGN KEY (job_id, bucket, key, etag) "
    "REFERENCES job_objects)": "foreign key notes_job_id_bucket_key_etag_fkey of public.notes points to it",
    "ALTER TABLE job_objects ADD CONSTRAINT mine CHECK (key <> '') NOT VALID": "constraint mine is not validated",
    "ALTER TABLE job_objects ADD UNIQUE (bucket, key, etag, updated_at)": "a partitioned table has but its primary key",
    "CREATE UNIQUE INDEX mine ON job_objects (bucket, key, job_id, updated_at)": "index public.mine is unique without",
    "ALTER TABLE job_objects ADD COLUMN long boolean GENERATED ALWAYS AS (length(key) > 9) STORED": "column long is",
    "ALTER TABLE job_objects DROP CONSTRAINT job_objects_pkey": "no primary key that begins with job_id",
    "CREATE TABLE child () INHERITS (job_objects)": "inheritance with public.child",
    "CREATE MATERIALIZED VIEW mine AS SELECT count(*) FROM job_objects": "the materialized view public.mine reads it",
    "CREATE FUNCTION mine(job_objects) RETURNS int LANGUAGE sql AS 'SELECT 1'": "mine(public.job_objects) uses its row",
    "CREATE TABLE kept_rows (object job_objects)": "column object of table public.kept_rows uses its row type",
    "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER mine "
    "AFTER INSERT ON job_objects REFERENCING NEW TABLE AS rows FOR EACH ROW EXECUTE FUNCTION mine()": "trigger mine",
}

# Comes last in the order of the primary key, behind the first batch.
LAST_JOB = "ffffffff-ffff-ffff-ffff-ffffffffffff"
LOAD = f"INSERT INTO {{table}} SELECT '{LAST_JOB}', 'b', n::text, 'e', 'queued' FROM generate_series(1, 3) AS n"
LOAD_WITHOUT_TRIGGERS = (
    f"ALTER TABLE {ORIGINAL} DISABLE TRIGGER USER; {LOAD}; ALTER TABLE {ORIGINAL} ENABLE TRIGGER USER"
)
OBJECTS_OF_LAST_JOB = f"SELECT count(*) FROM job_objects WHERE job_id = '{LAST_JOB}'"


def partition_with_last_job(database: TestDatabase) -> str:
    """Partition a table of several batches, and return the partition of the last job, which has an object."""
    fill(database, FIRST_ROWS)
    partition(database)
    database.query(f"INSERT INTO jobs (job_id, bucket) VALUES ('{LAST_JOB}', 'b')")
    database.query(f"INSERT INTO job_objects VALUES ('{LAST_JOB}', 'b', 'mirrored', 'e', 'queued')")
    ((name,),) = database.query(f"SELECT tableoid::regclass::text FROM job_objects WHERE job_id = '{LAST_JOB}'")
    return str(name)


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_cannot_be_carried_over_is_refused(database: TestDatabase, obstacle: str) -> None:
    user = "postgres" if "TABLES IN SCHEMA" in obstacle else "scanner_admin"
    database.query(obstacle, user=user)
    before = schema(database)
    with pytest.raises(errors.CannotCarryError, match=re.escape(OBSTACLES[obstacle])):
        partition(database)
    assert schema(database) == before


def test_an_invalid_index_is_refused_with_the_statement_that_rebuilds_it(database: TestDatabase) -> None:
    database.query(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_job_objects_job_status'::regclass",
        user="postgres",
    )
    with pytest.raises(errors.CannotCarryError, match="idx_job_objects_job_status is INVALID; rebuild it: ") as refused:
        partition(database)
    database.query(str(refused.value).rpartition("rebuild it: ")[2])
    partition(database)
    assert phase(database) == "swapped"


def test_an_obstacle_that_comes_while_rows_are_copied_is_noticed_before_the_swap(database: TestDatabase) -> None:
    fill(database)
    partition(database, until_copied=True)
    database.query("CREATE MATERIALIZED VIEW mine AS SELECT count(*) FROM job_objects")
    with pytest.raises(errors.CannotCarryError, match="the materialized view"):
        partition(database)


def test_a_table_that_was_changed_since_the_copy_is_not_swapped(database: TestDatabase) -> None:
    fill(database)
    partition(database, until_copied=True)
    database.query("ALTER TABLE job_objects ADD COLUMN size bigint")
    with pytest.raises(errors.ChangedTableError, match=r"columns: is .*'size'.*--revert, and begin again"):
        partition(database)
    revert(database)
    partition(database)
    database.query("CREATE INDEX mine ON job_objects (size)")
    with pytest.raises(
        errors.ChangedTableError, match=r"indexes: is .*mine.*or keep the partitioned table with --finish"
    ):
        revert(database)
    finish(database)


def test_grants_views_and_comments_that_come_while_rows_are_copied_are_carried_over(database: TestDatabase) -> None:
    fill(database)
    partition(database, until_copied=True)
    database.query("GRANT TRUNCATE ON job_objects TO scanner_app; COMMENT ON TABLE job_objects IS 'late'")
    database.query("CREATE VIEW late AS SELECT count(*) FROM job_objects")
    dump = schema(database)
    partition(database)
    database.query("INSERT INTO jobs (job_id, bucket) VALUES (gen_random_uuid(), 'late')")
    database.query("INSERT INTO job_objects SELECT job_id, 'b', 'k', 'e', 'queued' FROM jobs WHERE bucket = 'late'")
    assert database.query("SELECT * FROM late") == database.query("SELECT count(*) FROM job_objects")
    assert database.query("SELECT has_table_privilege('scanner_app', 'job_objects', 'TRUNCATE')") == [(True,)]
    assert database.query("SELECT obj_description('job_objects'::regclass)") == [("late",)]
    revert(database)
    assert database.query("SELECT * FROM late") == database.query("SELECT count(*) FROM job_objects")
    assert "COMMENT ON TABLE public.job_objects IS 'late'" in dump


@pytest.mark.parametrize(("modulus", "message"), [(1, "--modulus 1 is not between 2 and 256"), (257, "--modulus 257")])
def test_a_modulus_out_of_bounds_is_refused(database: TestDatabase, modulus: int, message: str) -> None:
    with pytest.raises(errors.WrongModulusError, match=message):
        partition(database, modulus=modulus)


def test_another_modulus_than_that_of_the_copy_is_refused(database: TestDatabase) -> None:
    partition(database, modulus=4, until_copied=True)
    with pytest.raises(errors.WrongModulusError, match="--modulus 8, but a copy with 4 partitions exists"):
        partition(database, modulus=8)


def test_a_table_that_is_partitioned_already_is_refused(database: TestDatabase) -> None:
    partition(database)
    with pytest.raises(errors.WrongModulusError, match="go on with --modulus 4, or undo it"):
        partition(database, modulus=8)
    finish(database)
    with pytest.raises(errors.AlreadyPartitionedError, match=r"public\.job_objects is partitioned already"):
        partition(database)
    with pytest.raises(errors.WrongPhaseError, match="there is nothing to revert"):
        revert(database)


def test_nothing_is_finished_before_the_swap(database: TestDatabase) -> None:
    with pytest.raises(errors.WrongPhaseError, match="there is nothing to finish"):
        finish(database)
    partition(database, until_copied=True)
    with pytest.raises(errors.WrongPhaseError, match="nothing to finish before the swap"):
        finish(database)


def test_a_copy_that_does_not_fit_is_refused(database: TestDatabase) -> None:
    fill(database)
    with pytest.raises(errors.NotEnoughDiskError, match=r"takes about 0\.00 GiB and 0 GiB are free"):
        partition(database, free_gib=0.0)
    assert phase(database) == "none"


def test_a_name_that_is_taken_is_refused(database: TestDatabase) -> None:
    database.query("CREATE TABLE job_objects_p2 ()")
    with pytest.raises(errors.PartitionError, match=r"public\.job_objects_p2 exists already; rename or drop it"):
        partition(database)


def test_a_login_role_that_lacks_a_privilege_is_told_which(database: TestDatabase) -> None:
    lacks, has = (
        "GRANT partition_owner TO scanner_admin WITH INHERIT FALSE, SET TRUE",
        "GRANT partition_owner TO scanner_admin WITH INHERIT TRUE",
    )
    if database.server.version == 15:  # where a member has the rights
        lacks, has = "REVOKE partition_owner FROM scanner_admin", "GRANT partition_owner TO scanner_admin"
    database.query(
        "DO $$ BEGIN CREATE ROLE partition_owner LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; " + lacks,
        user="postgres",
    )
    database.query("ALTER TABLE job_objects OWNER TO partition_owner", user="postgres")
    before = schema(database)
    with pytest.raises(
        errors.MissingPrivilegeError, match="scanner_admin lacks the rights of partition_owner, who owns"
    ):
        partition(database)
    assert schema(database) == before
    database.query(has, user="postgres")
    database.query("GRANT SELECT, REFERENCES ON jobs TO partition_owner", user="postgres")
    database.query("GRANT CREATE ON SCHEMA public TO partition_owner", user="postgres")
    dump = schema(database)
    partition(database)
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename LIKE 'job_objects%'"
    assert database.query(owners) == [("partition_owner",)]
    revert(database)
    assert schema(database) == dump


def test_a_long_transaction_is_named(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "LONG_TRANSACTION_S", 0.1)
    connection = database.connect("scanner_app")
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; SELECT 1")
        time.sleep(0.2)
        with pytest.raises(
            errors.LongTransactionError, match=r"pid \d+ \(scanner_app, , idle in transaction since .* UTC"
        ):
            partition(database)
    connection.close()
    assert phase(database) == "none"


def test_a_migration_that_runs_or_is_applied_in_part_comes_first(database: TestDatabase) -> None:
    connection = database.connect()
    with connection.cursor() as cursor:
        cursor.execute(LEDGER["try_lock"])
        with pytest.raises(errors.MigrationInProgressError, match=r"pid \d+, since .* migrates or partitions"):
            partition(database, limits=IMPATIENT)
    connection.close()
    database.query("UPDATE schema_migrations SET applied_at = NULL WHERE version = 3")
    with pytest.raises(errors.MigrationInProgressError, match=r"count_what_changes.* is applied in part"):
        partition(database)


def test_a_table_that_stays_locked_is_told_with_the_holders_of_the_locks(database: TestDatabase) -> None:
    fill(database)
    partition(database, until_copied=True)
    connection = database.connect("scanner_app")
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; UPDATE job_objects SET status = 'failed'")
        holder = connection.info.backend_pid
        with pytest.raises(errors.BusyTableError, match=rf"no lock within 0 s.*pid {holder} \(scanner_app"):
            partition(database, limits=IMPATIENT)
        cursor.execute("COMMIT")
    connection.close()
    partition(database)


def test_two_at_a_time_work_one_after_the_other(database: TestDatabase) -> None:
    fill(database)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            partition(database)
        except BaseException as error:  # noqa: BLE001 - the test reads it
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert phase(database) == "swapped"


@pytest.mark.parametrize(
    "fault",
    [
        f"DELETE FROM {SHADOW} WHERE key = '7'",
        f"UPDATE {SHADOW} SET status = 'failed' WHERE key = '7'",
        f"INSERT INTO {SHADOW} SELECT job_id, bucket, 'ghost', etag, status FROM {SHADOW} WHERE key = '7'",
        f"INSERT INTO {SHADOW} SELECT job_id, 'z', 'z', etag, status FROM {SHADOW} WHERE key = '7'",
        f"ALTER TABLE {ORIGINAL} DISABLE TRIGGER mirror_delete",
        f"DROP TRIGGER mirror_delete ON {ORIGINAL}",
    ],
)
def test_a_copy_that_differs_is_never_swapped_in(database: TestDatabase, fault: str) -> None:
    job_id = fill(database)
    partition(database, until_copied=True)
    database.query(fault)
    expected = (
        "the triggers mirror_delete of"
        if "TRIGGER" in fault
        else rf"differs, first in the objects of {job_id} \(300 rows"
    )
    for until_copied in (True, False):
        with pytest.raises(errors.CopyDiffersError, match=expected):
            partition(database, until_copied=until_copied)
        assert phase(database) == "copied"


@pytest.mark.parametrize(
    "load",
    [
        LOAD_WITHOUT_TRIGGERS.format(table=ORIGINAL),
        f"DROP TRIGGER mirror_insert ON {ORIGINAL}; {LOAD.format(table=ORIGINAL)}",
        LOAD,
    ],
    ids=["triggers off and on again", "a trigger dropped", "a partition by its name"],
)
def test_rows_that_the_mirror_missed_are_not_lost_by_the_way_back(database: TestDatabase, load: str) -> None:
    database.query(load.format(table=partition_with_last_job(database)))
    expected = rf"{KEPT} differs, first in the objects of {LAST_JOB} \(4 rows, 1 there, .*--finish; or.*--revert again"
    for _ in range(2):
        with pytest.raises(errors.CopyDiffersError, match=expected):
            revert(database)
        assert phase(database) == "swapped"
    finish(database)
    assert database.query(OBJECTS_OF_LAST_JOB) == [(4,)]


def test_what_the_mirror_missed_goes_back_too_when_it_is_brought_over(database: TestDatabase) -> None:
    partition_with_last_job(database)
    database.query(LOAD_WITHOUT_TRIGGERS.format(table=ORIGINAL))
    database.query(f"UPDATE job_objects SET key = key WHERE job_id = '{LAST_JOB}'")
    with pytest.raises(errors.CopyDiffersError, match=r"the triggers mirror_insert, .* are gone or not ENABLE ALWAYS"):
        revert(database)
    for name in MIRROR_TRIGGERS:
        database.query(f"ALTER TABLE job_objects ENABLE ALWAYS TRIGGER {name}")
    revert(database)
    assert database.query(OBJECTS_OF_LAST_JOB) == [(4,)]


def test_a_job_that_differs_is_named_and_not_those_that_it_pushes_out_of_the_batch(database: TestDatabase) -> None:
    first_job = "00000000-0000-0000-0000-000000000000"
    partition_with_last_job(database)
    database.query(f"INSERT INTO jobs (job_id, bucket) VALUES ('{first_job}', 'b')")
    load = LOAD_WITHOUT_TRIGGERS.replace(LAST_JOB, first_job).replace("(1, 3)", f"(1, {FIRST_ROWS})")
    database.query(load.format(table=ORIGINAL))
    with pytest.raises(
        errors.CopyDiffersError, match=rf"{first_job} \({FIRST_ROWS} rows, 0 there, in a batch of 1,000"
    ):
        revert(database)


def test_rows_that_are_deleted_past_the_mirror_do_not_come_back_by_the_way_back(database: TestDatabase) -> None:
    database.query(f"TRUNCATE {partition_with_last_job(database)}")
    with pytest.raises(errors.CopyDiffersError, match=rf"{KEPT} differs, first in the objects of"):
        revert(database)
    database.query(f"DELETE FROM {KEPT} AS kept WHERE NOT EXISTS (SELECT FROM job_objects WHERE job_id = kept.job_id)")
    revert(database)
    assert database.query(OBJECTS_OF_LAST_JOB) == [(0,)]


def test_a_column_that_was_renamed_since_the_swap_is_named_before_any_row_is_compared(database: TestDatabase) -> None:
    partition(database)
    database.query("ALTER TABLE job_objects RENAME last_error TO error")
    with pytest.raises(errors.ChangedTableError, match=r"columns: was .*last_error.* or keep the partitioned table"):
        revert(database)


@pytest.mark.parametrize(("way", "reached"), [("forth", "copied"), ("back", "swapped")])
def test_a_load_past_the_mirror_between_the_comparison_and_the_swap_is_noticed_under_its_lock(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, way: str, reached: str
) -> None:
    module = steps if way == "forth" else swap
    fill(database)
    database.query(f"INSERT INTO jobs (job_id, bucket) VALUES ('{LAST_JOB}', 'b')")
    partition(database, until_copied=way == "forth")

    def verify_and_load(*arguments: Any, **options: Any) -> None:
        verify(*arguments, **options)
        database.query(LOAD_WITHOUT_TRIGGERS.format(table=ORIGINAL))

    monkeypatch.setattr(module, "verify", verify_and_load)
    with pytest.raises(errors.CopyDiffersError, match=r"the triggers mirror_insert, .* of public\.job_objects are"):
        (partition if way == "forth" else revert)(database)
    assert phase(database) == reached
    assert database.query(OBJECTS_OF_LAST_JOB) == [(3,)]


def test_a_writer_who_is_refused_the_lock_twice_still_waits_less_than_a_second(database: TestDatabase) -> None:
    fill(database)
    partition(database, until_copied=True)
    holder, writer = database.connect("scanner_app"), database.connect("scanner_app")
    waits: list[float] = []
    swap = threading.Thread(target=partition, args=(database,))
    with holder.cursor() as holding, writer.cursor() as writing:
        holding.execute("BEGIN; UPDATE job_objects SET status = 'failed' WHERE key = '1'")
        swap.start()
        ends_at = time.monotonic() + 3
        while time.monotonic() < ends_at:
            started = time.monotonic()
            writing.execute("UPDATE job_objects SET status = 'failed' WHERE key = '2'")
            waits.append(time.monotonic() - started)
        holding.execute("COMMIT")
        swap.join()
    for connection in (holder, writer):
        connection.close()
    assert 0.1 < max(waits) < 1
    assert phase(database) == "swapped"
