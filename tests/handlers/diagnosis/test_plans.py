"""Indexes, plans and statements: what slows reads down is found, and the command that is named mends it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg2
import pytest

from handlers.diagnosis import plans
from handlers.diagnosis.text import statement
from tests.support.diagnosis import Session, carry_out, diagnose, only, sql_of, wait_until
from tests.support.partitioning import finish, partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.database import TestDatabase

    Sessions = Callable[..., Session]

BUILD = "CREATE INDEX CONCURRENTLY idx_job_objects_job_status ON job_objects (job_id, status)"


def end_in_the_middle(database: TestDatabase, sessions: Sessions, sql: str) -> None:
    """Run a concurrent build that waits for a writer, and cancel it."""
    writer, builder = sessions(), sessions("scanner_admin")
    writer.begin("UPDATE job_objects SET status = 'failed'")
    builder.start(sql)
    wait_until(database, "SELECT pid FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted")
    assert only(diagnose(database, "indexes"))[1].startswith("being built now: idx_job_objects_job_status")
    database.query("SELECT pg_cancel_backend(%s)", (builder.pid,))
    builder.join()
    assert isinstance(builder.error, psycopg2.errors.QueryCanceled)
    writer.connection.rollback()


def test_an_index_whose_build_was_ended_is_built_again(well: TestDatabase, sessions: Sessions) -> None:
    well.query("DROP INDEX idx_job_objects_job_status")
    end_in_the_middle(well, sessions, BUILD)
    state, value, next_ = only(diagnose(well, "indexes"))
    assert (state, value) == (
        "warning",
        "idx_job_objects_job_status on job_objects is INVALID: its build was interrupted",
    )
    assert sql_of(next_) == "REINDEX INDEX CONCURRENTLY public.idx_job_objects_job_status"
    carry_out(next_, well)
    assert only(diagnose(well, "indexes"))[0] == "ok"


def test_what_an_ended_reindex_left_is_dropped(well: TestDatabase, sessions: Sessions) -> None:
    end_in_the_middle(well, sessions, "REINDEX INDEX CONCURRENTLY idx_job_objects_job_status")
    state, _, next_ = only(diagnose(well, "indexes"))
    assert (state, sql_of(next_)) == (
        "warning",
        "DROP INDEX CONCURRENTLY public.idx_job_objects_job_status_ccnew",
    )
    carry_out(next_, well)
    assert only(diagnose(well, "indexes"))[0] == "ok"


@pytest.mark.parametrize("name", plans.EXPECTED)
def test_a_missing_index_is_made_as_the_migration_makes_it(well: TestDatabase, name: str) -> None:
    definition = "SELECT indexdef FROM pg_indexes WHERE indexname = %s"
    before = well.query(definition, (name,))
    well.query(f"DROP INDEX {name}")
    state, value, next_ = only(diagnose(well, "indexes"))
    assert state == ("critical" if name == "idx_job_progress_job_id" else "warning")
    assert value == f"{name} on {plans.EXPECTED[name].table} is missing"
    carry_out(next_, well)
    assert well.query(definition, (name,)) == before
    assert only(diagnose(well, "indexes"))[0] == "ok"


def test_an_index_that_nobody_uses_is_told_after_a_week(well: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(diagnose(well, "indexes"))[0] == "ok"
    monkeypatch.setattr(plans, "UNUSED_AFTER_S", 0)
    findings = {finding.value.split()[0]: finding for finding in diagnose(well, "indexes")}
    unused = findings["idx_job_objects_bucket_key_composite"]
    assert (unused.state, unused.next) == ("warning", "")
    assert " was not used in " in unused.value


PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'job_objects'::regclass"


@pytest.fixture
def partitioned(well: TestDatabase) -> TestDatabase:
    partition(well)
    finish(well)
    return well


def test_the_indexes_of_a_partitioned_table_are_used_where_those_of_its_partitions_are(
    partitioned: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "UNUSED_AFTER_S", 0)
    partitioned.query("SET enable_seqscan = off; SELECT count(*) FROM job_objects WHERE bucket = 'b' AND key = 'k'")
    partitioned.query("SELECT pg_stat_force_next_flush()")
    unused = {finding.value.split()[0] for finding in diagnose(partitioned, "indexes")}
    assert "idx_job_objects_job_updated" in unused
    assert "idx_job_objects_bucket_key_composite" not in unused


def test_no_build_is_advised_that_a_partitioned_table_refuses(partitioned: TestDatabase) -> None:
    partitioned.query("DROP INDEX idx_job_objects_job_status")
    (finding,) = diagnose(partitioned, "indexes")
    assert (finding.state, finding.next) == ("warning", "")
    assert "ON ONLY the table" in finding.why
    # WHEN it is built as the finding says
    index = "idx_job_objects_job_status ON ONLY job_objects (job_id, status)"
    partitioned.query(f"CREATE INDEX {index}")
    (finding,) = diagnose(partitioned, "indexes")
    assert finding.value.startswith("idx_job_objects_job_status on job_objects is INVALID: not every partition")
    assert finding.next == ""
    for (name,) in partitioned.query(PARTITIONS):
        partitioned.query(f"CREATE INDEX CONCURRENTLY new_{name} ON {name} (job_id, status)")
        partitioned.query(f"ALTER INDEX idx_job_objects_job_status ATTACH PARTITION new_{name}")
    # THEN it is there
    assert only(diagnose(partitioned, "indexes"))[0] == "ok"


def test_an_invalid_index_of_a_partition_is_told_and_built_anew(partitioned: TestDatabase) -> None:
    ((table, index),) = partitioned.query(
        "SELECT indrelid::regclass::text, indexrelid::regclass::text FROM pg_index "
        "WHERE indrelid::regclass::text LIKE 'job\\_objects\\_p%' AND NOT indisunique ORDER BY 2 LIMIT 1"
    )
    partitioned.query(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", (index,), user="postgres"
    )
    (finding,) = diagnose(partitioned, "indexes")
    assert finding.value == f"{index} on {table} is INVALID: its build was interrupted"
    carry_out(finding.next, partitioned)
    assert only(diagnose(partitioned, "indexes"))[0] == "ok"


def test_a_read_of_a_partitioned_table_is_judged(partitioned: TestDatabase) -> None:
    partitioned.add_job({"succeeded": 12_000})
    partitioned.query("SELECT refresh_job_progress()")
    # As autovacuum does: the partitions, never the whole.
    partitions = partitioned.query(PARTITIONS)
    partitioned.query(f"ANALYZE {', '.join(name for (name,) in partitions)}")
    state, value, _ = only(diagnose(partitioned, "status-plan"))
    assert state == "ok"
    assert value.startswith("Index Only Scan on job_objects_p")
    partitioned.query(
        "DROP INDEX idx_job_objects_job_status, idx_job_objects_job_updated, idx_job_objects_bucket_key_composite; "
        "ALTER TABLE job_objects DROP CONSTRAINT job_objects_pkey"
    )
    state, value, next_ = only(diagnose(partitioned, "status-plan"))
    assert (state, next_) == ("warning", "")
    assert value.startswith("Seq Scan on job_objects_p")


def test_a_status_read_uses_indexes(well: TestDatabase) -> None:
    assert only(diagnose(well, "status-plan"))[1] == "not judged: no table had 10,000 rows at its last ANALYZE"
    well.add_job({"succeeded": 12_000})
    well.query("SELECT refresh_job_progress()")
    well.query("VACUUM ANALYZE job_objects")
    assert only(diagnose(well, "status-plan"))[:2] == ("ok", "Index Only Scan on job_objects")


@pytest.mark.parametrize(
    ("table", "indexes", "heals"),
    [
        (
            "job_objects",
            ["idx_job_objects_job_status", "idx_job_objects_job_updated", "idx_job_objects_bucket_key_composite"],
            "idx_job_objects_job_status",
        ),
        ("job_progress", ["idx_job_progress_job_id"], "idx_job_progress_job_id"),
    ],
)
def test_a_status_read_that_scans_a_whole_table_is_told(
    well: TestDatabase, table: str, indexes: list[str], heals: str
) -> None:
    well.query("INSERT INTO jobs (job_id, bucket) SELECT gen_random_uuid(), 'b' FROM generate_series(1, 10000)")
    well.add_job({"succeeded": 10_000})
    well.query("SELECT refresh_job_progress()")
    well.query("ANALYZE job_objects, job_progress")
    for index in indexes:
        well.query(f"DROP INDEX {index}")
    if table == "job_objects":
        well.query("ALTER TABLE job_objects DROP CONSTRAINT job_objects_pkey")
    state, value, next_ = only(diagnose(well, "status-plan"))
    assert state == "warning"
    assert value.startswith(f"Seq Scan on {table} (10,00")
    assert f"INDEX CONCURRENTLY IF NOT EXISTS {heals} ON public.{table}" in next_
    carry_out(next_, well)
    assert only(diagnose(well, "status-plan"))[0] == "ok"


def test_a_statement_that_is_slow_on_average_is_told_without_its_values(well: TestDatabase) -> None:
    for _ in range(2):
        well.query("SELECT pg_sleep(0.1), 'secret' AS mine", user="scanner_app")
    # What refreshes and verifies is long by nature.
    for _ in range(2):
        well.query("SELECT count(*) FROM verify_job_progress(), pg_sleep(0.1)")
    state, value, next_ = only(diagnose(well, "slow-statements", slow_statement_ms=80))
    assert state == "warning"
    assert re.match(r"\d+ ms on average, 2 calls, \d+ ms and 0.0 MiB read in all: SELECT pg_sleep\(", value)
    assert "secret" not in value
    # The log has the statement, and its plan.
    assert next_.startswith("aws logs tail /aws/rds/instance/scanner-database-test/postgresql --since 1h")
    queryid = re.search(r"\(queryid (-?\d+)\)$", value)
    assert queryid
    assert well.query("SELECT 1 FROM pg_stat_statements WHERE queryid = %s", (queryid[1],))
    state, value, _ = only(diagnose(well, "slow-statements"))
    assert state == "ok"
    assert value.startswith("no statement averages 1,000 ms. Most time in total: ")


def test_statements_are_unknown_without_the_extension(well: TestDatabase) -> None:
    well.query("DROP EXTENSION pg_stat_statements", user="postgres")
    state, value, next_ = only(diagnose(well, "slow-statements"))
    assert (state, value) == ("unknown", "the extension pg_stat_statements is missing")
    # RDS lets the master user create it; here a superuser does.
    carry_out(next_, well, user="postgres")
    assert only(diagnose(well, "slow-statements"))[0] == "ok"


def test_the_extension_is_found_in_any_schema(well: TestDatabase) -> None:
    for sql in ('CREATE SCHEMA "Tools"', 'ALTER EXTENSION pg_stat_statements SET SCHEMA "Tools"'):
        well.query(sql, user="postgres")
    well.query('GRANT USAGE ON SCHEMA "Tools" TO public', user="postgres")
    assert only(diagnose(well, "slow-statements"))[0] == "ok"


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT 'a', E'b\\'c', $$d$$, $x$e$x$, 12, 1.5 FROM t1", "SELECT ?, ?, ?, ?, ?, ? FROM t1"),
        ("SELECT $1 -- about Mary\nFROM /* and Joe */ t", "SELECT $1 FROM t"),
        ("UPDATE t SET a = 'cut off in the mid", "UPDATE t SET a = ?"),
        ("SELECT * FROM a WHERE b = 'it''s' AND c", "SELECT * FROM a WHERE b = ? AND c"),
        (f"SELECT {'x, ' * 50}y", "SELECT " + "x, " * 23 + "x..."),
    ],
)
def test_a_statement_is_shown_without_what_users_wrote_into_it(sql: str, shown: str) -> None:
    assert statement(sql) == shown
    assert len(shown) <= 80
