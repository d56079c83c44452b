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
        ("CREATE INDEX i ON s.t (lower(a))", None),
        ("CREATE INDEX i ON s.t (a) WHERE b", None),
        ("CREATE INDEX i ON s.t (a) INCLUDE (b)", None),
    ],
)
def test_an_index_is_described_as_the_catalogue_will_print_it(sql: str, definition: str | None) -> None:
    index = one(sql).index
    assert index is not None
    assert (index.name, index.table, index.definition) == ("i", "s.t", definition)


@pytest.mark.parametrize("sql", ["BEGIN", "COMMIT", "SET lock_timeout = 1", "CREATE INDEX ON t (a)", "LISTEN x"])
def test_what_a_migration_may_not_contain_is_refused_with_its_line(sql: str) -> None:
    with pytest.raises(UnsupportedStatementError, match="line 2: "):
        list(split(f"\n{sql}"))
