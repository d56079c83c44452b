"""The partitioned table is what the plain one was, and `--revert` gives back the same dump from every phase."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg2.errors
import pytest

from handlers.migrator.runner import run as migrate
from scannerdb.partition import definition, run, shadow, steps, swap
from scannerdb.partition.copy import Copier
from scannerdb.partition.names import KEPT, ORIGINAL
from tests.support.database import MIGRATIONS, build_release
from tests.support.partitioning import differences, fill, finish, partition, phase, revert
from tests.support.progress import DIFFERENCES
from tests.support.schema import schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

# Changes that other users of the database may have made to the table.
DECORATIONS = """
COMMENT ON TABLE job_objects IS 'objects; 100 %';
COMMENT ON COLUMN job_objects.etag IS 'as S3 gave it';
COMMENT ON INDEX idx_job_objects_job_status IS 'counts';
COMMENT ON CONSTRAINT job_objects_status_check ON job_objects IS 'the four';
COMMENT ON CONSTRAINT job_objects_job_id_fkey ON job_objects IS 'of a job';
COMMENT ON CONSTRAINT job_objects_pkey ON job_objects IS 'the key';
ALTER TABLE job_objects ADD CONSTRAINT job_objects_bucket_check CHECK (bucket <> '');
ALTER TABLE job_objects SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02,
                             toast.autovacuum_vacuum_threshold = 1000);
ALTER TABLE job_objects ALTER COLUMN job_id SET STATISTICS 500;
ALTER TABLE job_objects ALTER COLUMN key SET (n_distinct = -0.5);
ALTER TABLE job_objects ALTER COLUMN last_error SET STORAGE EXTERNAL;
ALTER TABLE job_objects ALTER COLUMN last_error SET DEFAULT 'none; 100 %';
ALTER TABLE job_objects REPLICA IDENTITY USING INDEX job_objects_pkey;
ALTER TABLE job_objects CLUSTER ON idx_job_objects_job_status;
CREATE INDEX "odd %% name" ON job_objects (lower(key)) WITH (fillfactor = 70) WHERE status = 'failed';
GRANT SELECT (job_id, etag), UPDATE (last_error) ON job_objects TO progress_reader;
GRANT SELECT ON job_objects TO progress_refresher WITH GRANT OPTION;
REVOKE DELETE ON job_objects FROM scanner_app;
GRANT SELECT ON job_objects TO PUBLIC;
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql
AS 'BEGIN NEW.last_error := upper(NEW.last_error); RETURN NEW; END';
CREATE TRIGGER aa_note BEFORE UPDATE OF last_error ON job_objects FOR EACH ROW WHEN (NEW.status = 'failed')
EXECUTE FUNCTION note_change();
COMMENT ON TRIGGER aa_note ON job_objects IS 'noted';
CREATE TRIGGER never BEFORE INSERT ON job_objects FOR EACH ROW EXECUTE FUNCTION note_change();
ALTER TABLE job_objects DISABLE TRIGGER never;
ALTER TABLE job_objects ENABLE ALWAYS TRIGGER track_job_objects_delete;
CREATE VIEW failures WITH (security_barrier = true) AS SELECT * FROM job_objects WHERE status = 'failed';
COMMENT ON VIEW failures IS 'what failed';
GRANT SELECT ON failures TO progress_reader;
CREATE VIEW failed_jobs AS SELECT failures.job_id
FROM failures JOIN job_objects USING (job_id) WHERE job_objects.last_error <> '';
CREATE FUNCTION count_objects() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM job_objects; END;
"""


class DeathError(Exception):
    """Stands for a death."""


def die(*_: Any, **__: Any) -> None:
    raise DeathError


def die_after(function: Callable[..., Any]) -> Callable[..., Any]:
    def run_and_die(*arguments: Any, **options: Any) -> None:
        function(*arguments, **options)
        raise DeathError

    return run_and_die


def described(database: TestDatabase, table: str = ORIGINAL) -> dict[str, Any]:
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(run.PREPARE)
            return definition.read(cursor, table)
    finally:
        connection.close()


def test_a_publication_of_all_tables_made_in_between_does_not_stop_the_finish(database: TestDatabase) -> None:
    fill(database)
    partition(database)
    database.query("CREATE PUBLICATION everything FOR ALL TABLES", user="postgres")

    finish(database)

    assert database.query("SELECT to_regclass('job_objects_partitioning.state')") == [(None,)]


def test_everything_that_hangs_on_the_table_is_as_before_and_the_way_back_gives_the_same_dump(
    database: TestDatabase,
) -> None:
    database.query(DECORATIONS)
    fill(database)
    dump, before = schema(database), described(database)
    partition(database, modulus=3)
    after = described(database)
    for part in definition.compared_parts(before):
        assert after[part] == before[part], part
    for number in range(3):
        part = described(database, f"public.job_objects_p{number}")
        assert sorted(part["options"]) == sorted(before["options"])
        assert part["columns"] == [{**column, "comment": None} for column in before["columns"]]
        assert part["replica_identity"] == "i"
        assert {marked["clustered"] for marked in part["marked_indexes"]} == {True, False}
    assert database.query("SELECT count_objects() = (SELECT count(*) FROM job_objects)") == [(True,)]
    assert database.query("SELECT count(*) FROM failures", user="progress_reader") == [(6,)]
    database.query("UPDATE job_objects SET last_error = 'no', status = 'failed' WHERE status = 'queued'")
    assert database.query("SELECT DISTINCT last_error FROM failures WHERE last_error <> 'none; 100 %'") == [("NO",)]
    assert differences(database) == []
    revert(database)
    assert schema(database) == dump
    assert database.query("SELECT count(*) FROM failures WHERE last_error = 'NO'") == [(312,)]
    assert database.query(DIFFERENCES) == []


def test_after_the_end_only_the_partitioned_table_is_left(database: TestDatabase) -> None:
    fill(database)
    before = described(database)
    partition(database)
    finish(database)
    assert described(database)["triggers"] == before["triggers"]
    assert database.query("SELECT to_regclass(%s), to_regnamespace('job_objects_partitioning')", (KEPT,)) == [
        (None, None)
    ]
    assert database.query("SELECT indexrelid FROM pg_index WHERE NOT indisvalid") == []
    assert database.query("SELECT partattrs::text FROM pg_partitioned_table") == [("1",)]
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        database.query(
            "INSERT INTO job_objects VALUES (gen_random_uuid(), 'b', 'k', 'e', 'queued')", user="scanner_app"
        )
    with pytest.raises(psycopg2.errors.CheckViolation):
        database.query("UPDATE job_objects SET status = 'lost'", user="scanner_app")
    database.query("DELETE FROM jobs", user="scanner_app")
    assert database.query("SELECT count(*) FROM job_objects") == [(0,)]
    database.query("SELECT refresh_job_progress()", user="progress_refresher")


@pytest.mark.parametrize(
    ("reached", "module", "name"),
    [
        ("shadow", steps, "begin_mirroring"),
        ("copying", Copier, "run"),
        ("copied", shadow, "add_foreign_keys"),
        ("copied", steps, "verify"),
        ("swapped", None, ""),
    ],
)
def test_from_every_phase_the_way_back_gives_the_same_dump_and_the_same_command_goes_on(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, reached: str, module: Any, name: str
) -> None:
    job_id = fill(database)
    dump = schema(database)
    for way in ("revert", "go on"):
        with monkeypatch.context() as patched:
            if module:
                patched.setattr(module, name, die)
                with pytest.raises(DeathError):
                    partition(database)
            else:
                partition(database)
        assert phase(database) == reached
        database.query("UPDATE job_objects SET status = 'failed' WHERE job_id = %s AND key < '2'", (job_id,))
        if way == "revert":
            revert(database)
            assert phase(database) == "none"
            assert schema(database) == dump
            assert database.query(DIFFERENCES) == []
    if reached != "swapped":
        partition(database)
    assert phase(database) == "swapped"
    assert differences(database) == []


def test_a_death_between_the_way_back_and_the_drop_is_mended_by_either_command(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    dump = schema(database)
    for command in (revert, partition):
        partition(database)
        job_id = database.add_job({"queued": 3})
        with monkeypatch.context() as patched:
            patched.setattr(swap, "swap_back", die_after(swap.swap_back))
            with pytest.raises(DeathError):
                revert(database)
        assert phase(database) == "discarding"
        database.query("DELETE FROM jobs WHERE job_id = %s", (job_id,))
        assert database.query(DIFFERENCES) == []
        command(database)
    assert phase(database) == "swapped"
    revert(database)
    assert schema(database) == dump


def test_a_death_during_the_end_is_mended_by_the_same_command(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    partition(database)
    with monkeypatch.context() as patched:
        patched.setattr(swap, "stop_mirroring", die_after(swap.stop_mirroring))
        with pytest.raises(DeathError):
            finish(database)
    assert phase(database) == "finishing"
    finish(database)
    assert phase(database) == "partitioned"


def test_what_the_server_ended_after_a_death_may_be_asked_for_again(database: TestDatabase) -> None:
    fill(database)
    for _ in range(2):
        partition(database)
    assert phase(database) == "swapped"
    for _ in range(2):
        revert(database)
    assert phase(database) == "none"
    partition(database)
    for _ in range(2):
        finish(database)
    assert phase(database) == "partitioned"


def test_the_copy_goes_on_where_it_was(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database, 5000)
    batches: list[Any] = []
    copy = Copier.copy_next

    def copy_some(copier: Copier, after: Any) -> Any:
        batches.append(after)
        if len(batches) == 3:
            raise DeathError
        return copy(copier, after)

    monkeypatch.setattr(Copier, "copy_next", copy_some)
    with pytest.raises(DeathError):
        partition(database)
    partition(database)
    assert batches[0] is None
    assert batches[3] == batches[2] is not None
    assert differences(database) == []


def test_every_migration_runs_again_on_the_partitioned_table(database: TestDatabase) -> None:
    fill(database)
    partition(database)
    finish(database)
    before = schema(database)
    database.query("DELETE FROM schema_migrations WHERE version > 0")
    migrate(database.connect, build_release(MIGRATIONS))
    assert schema(database) == before
    assert database.query(DIFFERENCES) == []


def test_no_batch_is_compiled(database: TestDatabase) -> None:
    # The embedded server cannot; RDS would, for each batch, at the price that the planner gives a sort that is off.
    price = "EXPLAIN (FORMAT JSON) SELECT * FROM jobs ORDER BY bucket"
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        with steps.index_scans(cursor):
            cursor.execute(price)
            ((plans,),) = cursor.fetchall()
            # From PostgreSQL 18 on, the planner counts what is off and puts no price on it.
            above_jit_cost = plans[0]["Plan"]["Total Cost"] > 100_000
            assert above_jit_cost == (database.server.version < 18)
            cursor.execute("SHOW jit")
            assert cursor.fetchall() == [("off",)]
        cursor.execute("SHOW jit")
        assert cursor.fetchall() == [("on",)]
