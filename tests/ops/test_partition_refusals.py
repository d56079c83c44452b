"""What cannot be partitioned now is refused with a name, a reason and a next step; and nothing has changed."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from handlers.migrator.ledger import QUERIES as LEDGER
from ops.partition import errors
from ops.partition.names import ORIGINAL, SHADOW
from tests.migrations.test_schema import schema
from tests.ops.partition_helpers import IMPATIENT, fill, finish, partition, phase, revert

if TYPE_CHECKING:
    from tests.conftest import TestDatabase

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


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_cannot_be_carried_over_is_refused(database: TestDatabase, obstacle: str) -> None:
    user = "postgres" if "TABLES IN SCHEMA" in obstacle else "scanner_admin"
    database.query(obstacle, user=user)
    before = schema(database)
    with pytest.raises(errors.CannotCarryError, match=re.escape(OBSTACLES[obstacle])):
        partition(database)
    assert schema(database) == before


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
    with pytest.raises(errors.WrongModulusError, match="go on with --modulus 4, or take it back"):
        partition(database, modulus=8)
    finish(database)
    with pytest.raises(errors.AlreadyPartitionedError, match=r"public\.job_objects is partitioned already"):
        partition(database)
    with pytest.raises(errors.WrongPhaseError, match="there is nothing to take back"):
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


def test_whoever_lacks_a_right_is_told_which(database: TestDatabase) -> None:
    database.query(
        "DO $$ BEGIN CREATE ROLE partition_owner LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; "
        "GRANT partition_owner TO scanner_admin WITH INHERIT FALSE, SET TRUE",
        user="postgres",
    )
    database.query("ALTER TABLE job_objects OWNER TO partition_owner", user="postgres")
    before = schema(database)
    with pytest.raises(
        errors.MissingPrivilegeError, match="scanner_admin lacks the rights of partition_owner, who owns"
    ):
        partition(database)
    assert schema(database) == before
    database.query("GRANT partition_owner TO scanner_admin WITH INHERIT TRUE", user="postgres")
    database.query("GRANT SELECT, REFERENCES ON jobs TO partition_owner", user="postgres")
    database.query("GRANT CREATE ON SCHEMA public TO partition_owner", user="postgres")
    dump = schema(database)
    partition(database)
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename LIKE 'job_objects%'"
    assert database.query(owners) == [("partition_owner",)]
    revert(database)
    assert schema(database) == dump


def test_a_long_transaction_is_named(database: TestDatabase) -> None:
    connection = database.connect("scanner_app")
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; SELECT 1")
        time.sleep(0.2)
        with pytest.raises(
            errors.LongTransactionError, match=r"pid \d+ \(scanner_app, , idle in transaction since .* UTC"
        ):
            partition(database, longest_transaction_s=0.1)
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


def test_a_table_that_stays_locked_is_told_with_whoever_holds_it(database: TestDatabase) -> None:
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
    ],
)
def test_a_copy_that_differs_is_never_swapped_in(database: TestDatabase, fault: str) -> None:
    job_id = fill(database)
    partition(database, until_copied=True)
    database.query(fault)
    expected = (
        "the triggers mirror_delete of" if "TRIGGER" in fault else rf"differs in the objects of {job_id} \(300 rows"
    )
    with pytest.raises(errors.CopyDiffersError, match=expected):
        partition(database)
    assert phase(database) == "copied"


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
