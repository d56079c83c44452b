"""Statements are classified by PostgreSQL's grammar."""

import pytest

from handlers.contract.release import SqlStatement
from stacks.assets.effect import UnsupportedStatementError
from stacks.assets.sql_statements import split


def one(sql: str) -> SqlStatement:
    (statement,) = split(sql)
    return statement


@pytest.mark.parametrize(
    ("sql", "kind", "lock", "in_transaction", "blocks_writers"),
    [
        ("CREATE INDEX CONCURRENTLY i ON t (a)", "CREATE INDEX CONCURRENTLY", "SHARE UPDATE EXCLUSIVE", False, False),
        ("CREATE UNIQUE INDEX i ON t (a)", "CREATE UNIQUE INDEX", "SHARE", True, True),
        ("DROP INDEX CONCURRENTLY i", "DROP INDEX CONCURRENTLY", "SHARE UPDATE EXCLUSIVE", False, False),
        ("DROP INDEX i", "DROP INDEX", "ACCESS EXCLUSIVE", True, True),
        ("REINDEX INDEX CONCURRENTLY i", "REINDEX CONCURRENTLY", "SHARE UPDATE EXCLUSIVE", False, False),
        ("CREATE TABLE t (a int)", "CREATE TABLE", None, True, False),
        ("CREATE TABLE t (a int REFERENCES u)", "CREATE TABLE", "SHARE ROW EXCLUSIVE", True, True),
        ("ALTER TABLE t ADD COLUMN a int", "ALTER TABLE", "ACCESS EXCLUSIVE", True, True),
        ("ALTER TABLE t VALIDATE CONSTRAINT c", "ALTER TABLE", "SHARE UPDATE EXCLUSIVE", True, False),
        ("ALTER TABLE t VALIDATE CONSTRAINT c, ADD a int", "ALTER TABLE", "ACCESS EXCLUSIVE", True, True),
        ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "ALTER TABLE", "SHARE UPDATE EXCLUSIVE", False, False),
        ("ALTER TABLE t RENAME TO u", "ALTER", "ACCESS EXCLUSIVE", True, True),
        ("CREATE VIEW v AS SELECT 1", "CREATE VIEW", None, True, False),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", "CREATE MATERIALIZED VIEW", None, True, False),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", "REFRESH MATERIALIZED VIEW", "EXCLUSIVE", True, True),
        ("INSERT INTO t VALUES (1)", "INSERT", "ROW EXCLUSIVE", True, False),
        ("VACUUM t", "VACUUM", "SHARE UPDATE EXCLUSIVE", False, False),
        ("ANALYZE t", "ANALYZE", "SHARE UPDATE EXCLUSIVE", True, False),
        ("LOCK TABLE t IN SHARE MODE", "LOCK TABLE", "SHARE", True, True),
        ("DO $$ BEGIN NULL; END $$", "DO", None, True, False),
        ("CREATE TYPE e AS ENUM ('a')", "CREATE TYPE", None, True, False),
        ("ALTER TYPE e ADD VALUE 'b'", "ALTER TYPE", None, True, False),
        ("CREATE TYPE c AS (a int)", "CREATE TYPE", None, True, False),
        ("CREATE TYPE r AS RANGE (subtype = int)", "CREATE TYPE", None, True, False),
        ("ALTER TYPE c ADD ATTRIBUTE b int", "ALTER TYPE", None, True, False),
        ("CREATE DOMAIN d AS int CHECK (value > 0)", "CREATE DOMAIN", None, True, False),
        ("ALTER DOMAIN d ADD CHECK (value > 1)", "ALTER DOMAIN", "SHARE", True, True),
        ("ALTER DOMAIN d ADD CONSTRAINT c CHECK (value > 1) NOT VALID", "ALTER DOMAIN", None, True, False),
        ("CREATE POLICY p ON t USING (true)", "CREATE POLICY", "ACCESS EXCLUSIVE", True, True),
        ("ALTER POLICY p ON t USING (false)", "ALTER POLICY", "ACCESS EXCLUSIVE", True, True),
        ("DROP POLICY p ON t", "DROP POLICY", "ACCESS EXCLUSIVE", True, True),
        ("CREATE SEQUENCE s", "CREATE SEQUENCE", None, True, False),
        ("ALTER SEQUENCE s RESTART", "ALTER SEQUENCE", "SHARE ROW EXCLUSIVE", True, True),
        ("CALL p(1)", "CALL", None, False, False),
        ("CREATE PROCEDURE p() LANGUAGE sql AS ''", "CREATE PROCEDURE", None, True, False),
        ("CREATE AGGREGATE g (int) (sfunc = f, stype = int)", "CREATE AGGREGATE", None, True, False),
        ("CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING", "CREATE RULE", "ACCESS EXCLUSIVE", True, True),
        ("CREATE PUBLICATION p FOR TABLE t", "CREATE PUBLICATION", "SHARE UPDATE EXCLUSIVE", True, False),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u", "ALTER TABLE", "SHARE ROW EXCLUSIVE", True, True),
        ("CREATE TABLE p PARTITION OF t DEFAULT", "CREATE TABLE", "ACCESS EXCLUSIVE", True, True),
        ("VACUUM FULL t", "VACUUM FULL", "ACCESS EXCLUSIVE", False, True),
        ("VACUUM (FULL off) t", "VACUUM", "SHARE UPDATE EXCLUSIVE", False, False),
        ("CLUSTER t USING i", "CLUSTER", "ACCESS EXCLUSIVE", True, True),
    ],
)
def test_a_statement_says_what_it_locks_and_whether_it_may_run_in_a_transaction(
    sql: str, kind: str, lock: str | None, in_transaction: bool, blocks_writers: bool
) -> None:
    statement = one(sql)
    assert (statement.kind, statement.lock) == (kind, lock)
    assert (statement.in_transaction, statement.blocks_writers) == (in_transaction, blocks_writers)


def test_a_call_of_a_function_is_named_by_it() -> None:
    assert [one(sql).title for sql in ("SELECT f(1)", "SELECT s.f()", "SELECT f() FROM t")] == [
        "SELECT f()",
        "SELECT s.f()",
        "SELECT",
    ]


def test_invisible_characters_in_quotes_and_comments_are_data() -> None:
    assert [statement.kind for statement in split("SELECT 'a\u00a0b', \"c\u00a0d\" -- e\u00a0f")] == ["SELECT"]


def test_semicolons_inside_quotes_comments_and_bodies_end_no_statement() -> None:
    sql = """
        SELECT 'a;b'; -- c;d
        CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; PERFORM 2; END $$;
        /* ; */ SELECT "x;y" FROM t
    """
    assert [statement.kind for statement in split(sql)] == ["SELECT", "CREATE FUNCTION", "SELECT"]


def test_lines_are_counted_in_files_with_letters_beyond_ascii() -> None:
    sql = "-- größer als früher\nSELECT 'ü';\n\nSELECT 2;\n"
    assert [(statement.line, statement.sql) for statement in split(sql)] == [(2, "SELECT 'ü'"), (4, "SELECT 2")]


@pytest.mark.parametrize(
    ("sql", "definition"),
    [
        ("CREATE INDEX i ON s.t (a, b DESC)", "USING btree (a, b DESC)"),
        ("CREATE INDEX i ON s.t (a ASC NULLS LAST, b DESC NULLS LAST)", "USING btree (a, b DESC NULLS LAST)"),
        ("CREATE INDEX i ON s.t USING gin (a)", "USING gin (a)"),
        (
            'CREATE INDEX i ON s.t ("createdAt", "order" DESC, "ä", b)',
            'USING btree ("createdAt", "order" DESC, "ä", b)',
        ),
        ("CREATE INDEX i ON s.t (lower(a))", None),
        ("CREATE INDEX i ON s.t (a) WHERE b", None),
        ("CREATE INDEX i ON s.t (a) INCLUDE (b)", None),
    ],
)
def test_an_index_is_described_as_sql(sql: str, definition: str | None) -> None:
    index = one(sql).index
    assert index is not None
    assert (index.name, index.table, index.definition) == ("i", "s.t", definition)


def test_a_foreign_key_locks_both_tables_and_a_trigger_that_is_dropped_its_table() -> None:
    assert one("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u").relations == ("t", "u")
    dropped = one("DROP TRIGGER x ON s.t")
    assert (dropped.title, dropped.relations) == ("DROP TRIGGER x", ("s.t",))


@pytest.mark.parametrize(
    ("sql", "every_row"),
    [
        ("CREATE INDEX i ON t (a)", True),
        ("CREATE INDEX CONCURRENTLY i ON t (a)", False),
        ("REINDEX TABLE t", True),
        ("VACUUM FULL t", True),
        ("ALTER TABLE t ALTER a TYPE bigint", True),
        ("ALTER TABLE t ALTER a SET NOT NULL", True),
        ("ALTER TABLE t ADD CHECK (a > 0)", True),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID", False),
        ("ALTER TABLE t ADD UNIQUE (a)", True),
        ("ALTER TABLE t ADD UNIQUE USING INDEX i", False),
        ("ALTER TABLE t ADD a int", False),
        ("ALTER TABLE t ADD a int PRIMARY KEY", True),
    ],
)
def test_what_keeps_its_lock_while_it_reads_each_row_says_so(sql: str, every_row: bool) -> None:
    statement = one(sql)
    assert statement.every_row is every_row
    assert bool(statement.clause) is every_row


@pytest.mark.parametrize(
    "sql",
    [
        *("BEGIN", "COMMIT", "SET lock_timeout = 1", "SET LOCAL lock_timeout = 1", "CREATE INDEX ON t (a)", "LISTEN x"),
        *("REINDEX DATABASE d", "REINDEX SYSTEM d", "REINDEX SCHEMA s", "REINDEX (CONCURRENTLY) DATABASE d"),
        *("VACUUM FULL", "CLUSTER", "DISCARD ALL", "COPY t FROM STDIN"),
        *(
            "SELECT\u00a01",
            "CREATE TABLE t\u00a0(a int)",
            "SELECT a\u200b FROM t",
            "DO $$ BEGIN PERFORM\u00a01; END $$",
        ),
    ],
)
def test_what_a_migration_may_not_contain_is_refused_with_its_line(sql: str) -> None:
    with pytest.raises(UnsupportedStatementError, match="line 2: "):
        list(split(f"\n{sql}"))
