"""What a statement loses is told by the grammar, whole and before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.migrator.release import read_release
from stacks.assets.manifest import build_manifest
from stacks.assets.package import build_release
from stacks.assets.sql_statements import split
from tests.support.database import MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "CREATE TABLE IF NOT EXISTS t (a int, b varchar(10), n numeric(10, 2), c char(3), s bigserial, l int[]);"


@pytest.mark.parametrize(
    ("sql", "lost"),
    [
        ("DROP TABLE t, s.u", ["the rows of t, s.u"]),
        ('DROP TABLE IF EXISTS "Old" CASCADE', ['the rows of "Old"', 'what depends on "Old" (CASCADE)']),
        ("DROP SCHEMA s", ["the schema s with its tables"]),
        ("DROP SEQUENCE s", ["the numbers that s has reached"]),
        ("DROP EXTENSION e", ["what the extension e keeps in tables of its own"]),
        ("DROP TYPE s.e CASCADE", ["what depends on s.e (CASCADE)"]),
        ("DROP VIEW v CASCADE", ["what depends on v (CASCADE)"]),
        ("DROP OWNED BY r", ["all that r owns"]),
        ("TRUNCATE t", ["the rows of t"]),
        ("TRUNCATE t CASCADE", ["the rows of t", "the rows of each table that references t (CASCADE)"]),
        ('ALTER TABLE t ADD z int, DROP COLUMN "order"', ['the column "order" of t']),
        ("ALTER TYPE t DROP ATTRIBUTE a", ["the column a of t"]),
        ("ALTER TABLE t DROP CONSTRAINT c CASCADE", ["what depends on c of t (CASCADE)"]),
        ("ALTER DOMAIN d DROP CONSTRAINT c CASCADE", ["what depends on d (CASCADE)"]),
        ("ALTER TABLE t SET UNLOGGED", ["the rows of t when the server crashes"]),
        ("DELETE FROM t", ["rows of t, without a batch"]),
        ("DELETE FROM t WHERE a = 1", ["rows of t, without a batch"]),
        ("UPDATE t SET a = 1, b = 2 WHERE a = 3", ["values of a, b in t, without a batch"]),
        ("WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM gone", ["rows of t, without a batch"]),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", ["rows of t, without a batch"]),
        ("INSERT INTO t SELECT 1 ON CONFLICT (a) DO UPDATE SET a = 2", ["values of a in t, without a batch"]),
        ("DO $$ BEGIN IF true THEN DROP TABLE t; END IF; END $$", ["the rows of t"]),
        ("DO $$ BEGIN EXECUTE 'TRUNCATE t'; END $$", ["the rows of t"]),
        ("DO $$ BEGIN EXECUTE format('DROP TABLE %I', 't'); END $$", ['the rows of "%I"']),
    ],
)
def test_what_is_lost_is_named(sql: str, lost: list[str]) -> None:
    (statement,) = split(sql)
    assert list(statement.losses) == lost
    assert statement.clause


@pytest.mark.parametrize(
    "sql",
    [
        "DROP INDEX i",
        "DROP VIEW v",
        "DROP MATERIALIZED VIEW v",
        "DROP FUNCTION f()",
        "DROP TRIGGER x ON t",
        "ALTER TABLE t ADD COLUMN a int",
        "ALTER TABLE t DROP CONSTRAINT c",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2",
        "SELECT * FROM t LIMIT 1",
        "DELETE FROM t WHERE ctid = ANY (ARRAY (SELECT ctid FROM t WHERE a = 1 LIMIT 1000))",
        "UPDATE t SET a = 1 FROM (SELECT a FROM t LIMIT 1000) AS batch WHERE t.a = batch.a",
        "DO $$ BEGIN PERFORM 1; END $$",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM t'",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM t; END",
        "CREATE RULE r AS ON INSERT TO t DO INSTEAD DELETE FROM t",
    ],
)
def test_what_loses_nothing_when_it_runs_is_not_named(sql: str) -> None:
    (statement,) = split(sql)
    assert statement.losses == ()


@pytest.mark.parametrize(
    ("clause", "loses"),
    [
        ("a TYPE bigint", False),
        ("a TYPE numeric", False),
        ("a TYPE text", False),
        ("a TYPE smallint", True),
        ("a TYPE numeric(4)", True),
        ("a TYPE bigint USING 0", True),
        ("a TYPE date", True),
        ("b TYPE varchar(20)", False),
        ("b TYPE text", False),
        ("b TYPE varchar(9)", True),
        ("n TYPE numeric(12, 4)", False),
        ("n TYPE numeric(12, 3)", False),
        ("n TYPE numeric(10, 4)", True),
        ("n TYPE numeric(12, 1)", True),
        ("c TYPE text", True),
        ("s TYPE numeric", False),
        ("s TYPE int", True),
        ("l TYPE bigint[]", False),
        ("l TYPE bigint", True),
        ("not_told TYPE bigint", True),
        ("not_told TYPE text", False),
    ],
)
def test_a_type_that_cannot_hold_each_old_value_loses_some(clause: str, loses: bool) -> None:
    *_, statement = split(f"{TABLE} ALTER TABLE t ALTER COLUMN {clause}")
    assert bool(statement.losses) is loses, statement.losses


def test_the_old_type_is_named_as_the_files_before_left_it(tmp_path: Path) -> None:
    for name, sql in {
        "001_a.sql": TABLE,
        "002_b.sql": "ALTER TABLE t ALTER a TYPE bigint",
        "002_b.down.sql": "ALTER TABLE t ALTER a TYPE int",
        "003_c.sql": "ALTER TABLE t RENAME a TO d; ALTER TABLE t RENAME TO u",
        "004_d.sql": "ALTER TABLE u ALTER d TYPE int",
    }.items():
        (tmp_path / name).write_text(sql)
    _, second, _, fourth = build_manifest(tmp_path).migrations
    assert second.statements[0].losses == ()
    assert second.down is not None
    assert second.down.statements[0].losses == ("what does not fit integer in a of t (now bigint)",)
    assert fourth.statements[0].losses == ("what does not fit integer in d of u (now bigint)",)


def test_a_table_that_the_same_file_makes_holds_nothing_to_lose() -> None:
    *_, deleted, dropped = split("CREATE TABLE staging (a int); DELETE FROM staging; DROP TABLE staging")
    assert (deleted.losses, dropped.losses) == ((), ())
    # It may have been there.
    *_, kept = split("CREATE TABLE IF NOT EXISTS staging (a int); DROP TABLE staging")
    assert kept.losses == ("the rows of staging",)


def test_the_clause_is_told_whole_on_one_line_without_comments() -> None:
    (statement,) = split("DELETE -- all of them\nFROM t\n  WHERE a = 'x  y' /* or\n not */ AND b")
    assert statement.clause == "DELETE FROM t WHERE a = 'x  y' AND b"
    (block,) = split("DO $$ BEGIN PERFORM 1; DELETE FROM t -- all\n; EXECUTE 'DROP TABLE u'; END $$")
    assert block.clause == "DELETE FROM t; EXECUTE 'DROP TABLE u'"


@pytest.mark.parametrize(
    ("sql", "why"),
    [("DO LANGUAGE plpython3u 'x'", "the block is in plpython3u"), ("DO $$ BEGIN x; END $$", "the parser of PL/pgSQL")],
)
def test_a_block_that_cannot_be_read_is_not_said_to_lose_nothing(sql: str, why: str) -> None:
    (statement,) = split(sql)
    (lost,) = statement.losses
    assert lost.startswith(f"it is not known what: {why}")


def test_our_own_migrations_lose_nothing_and_their_rollbacks_say_what() -> None:
    package = build_release(MIGRATIONS)
    release = read_release(package.path.read_bytes(), expected_sha256=package.sha256)
    forward = [release.roles, *release.migrations, release.restore]
    assert [statement.losses for file in forward for statement in file.statements if statement.losses] == []
    first = release.migrations[0].down
    assert first is not None
    assert [lost for statement in first.statements for lost in statement.losses] == [
        "the rows of findings",
        "the rows of job_objects",
        "the rows of jobs",
    ]
