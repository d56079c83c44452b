"""A run does not depend on the defaults of the server, the database or the role, nor on what an earlier file set."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import psycopg2
import pytest

from handlers.errors import SecondLedgerError, SessionSettingError, UnfitDatabaseError
from handlers.migrator.runner import rollback, run
from handlers.migrator.steps import migration_plan
from lab.embedded_postgres import ADMIN_USER
from tests.support.database import MIGRATIONS, build_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handlers.contract.release import Release
    from tests.support.database import TestDatabase

    ReleaseOf = Callable[[dict[str, str]], Release]

pytestmark = pytest.mark.slow

# Defaults that a database or a role of other people may have. Those that stop every statement of a session come apart.
ODD = (
    "default_transaction_deferrable = on",
    "quote_all_identifiers = on",
    "row_security = on",
    "client_encoding = 'LATIN1'",
    "standard_conforming_strings = off",
    "array_nulls = off",
    "transform_null_equals = on",
    "check_function_bodies = off",
    "plpgsql.extra_errors = 'all'",
    "plpgsql.variable_conflict = 'use_column'",
    "datestyle = 'German, DMY'",
    "intervalstyle = 'iso_8601'",
    "timezone = 'Asia/Kathmandu'",
    "bytea_output = 'escape'",
    "extra_float_digits = -15",
    "client_min_messages = 'debug5'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
)
HOSTILE = (
    ("default_transaction_isolation = 'serializable'", *ODD),
    ("default_transaction_isolation = 'repeatable read'",),
    ("search_path = '$user', elsewhere", "default_transaction_read_only = on", "exit_on_error = on"),
    ("restrict_nonsystem_relation_kind = 'view, foreign-table'", "statement_timeout = '20ms'"),
)
# What a session of a run has under any default, and an odd default for it.
FIXED = {
    "search_path": ("public, pg_temp", "elsewhere"),
    "default_table_access_method": ("heap", "other_heap"),
    "default_transaction_isolation": ("read committed", "serializable"),
    "default_transaction_read_only": ("off", "on"),
    "default_transaction_deferrable": ("off", "on"),
    "row_security": ("off", "on"),
    "restrict_nonsystem_relation_kind": ("", "view, foreign-table"),
    "session_replication_role": ("origin", "replica"),
    "client_encoding": ("UTF8", "LATIN1"),
    "standard_conforming_strings": ("on", "off"),
    "array_nulls": ("on", "off"),
    "transform_null_equals": ("off", "on"),
    "check_function_bodies": ("on", "off"),
    "plpgsql.extra_errors": ("none", "all"),
    "plpgsql.extra_warnings": ("none", "all"),
    "exit_on_error": ("off", "on"),
    "quote_all_identifiers": ("off", "on"),
    "DateStyle": ("ISO, MDY", "German, DMY"),
    "IntervalStyle": ("postgres", "iso_8601"),
    "TimeZone": ("UTC", "Asia/Kathmandu"),
    "bytea_output": ("hex", "escape"),
    "extra_float_digits": ("1", "-15"),
    "client_min_messages": ("error", "debug5"),
    "statement_timeout": ("0", "7777"),
    "idle_session_timeout": ("1min", "7777"),
    "tcp_keepalives_idle": ("30", "77"),
    "tcp_keepalives_interval": ("10", "77"),
    "tcp_keepalives_count": ("3", "7"),
    "transaction_timeout": ("0", "7777"),
    "idle_in_transaction_session_timeout": ("0", "7777"),
    "client_connection_check_interval": ("0", "7777"),
}
# What was made, and where; an oid is no name.
MADE = """
SELECT nspname, relname, relkind::text, pg_get_indexdef(class.oid), pg_get_viewdef(class.oid), relam
FROM pg_class AS class
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
UNION ALL
SELECT nspname, proname, 'f', pg_get_functiondef(proc.oid), NULL, NULL
FROM pg_proc AS proc
JOIN pg_namespace AS namespace ON namespace.oid = proc.pronamespace
WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' AND prokind = 'f'
ORDER BY 1, 2, 3
"""
NEUTRAL = "SET search_path = pg_catalog; SET quote_all_identifiers = off; "


def set_defaults(database: TestDatabase, *settings: str) -> None:
    """Give the database defaults of which its owner is not asked."""
    with database.server.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
        for setting in settings:
            with contextlib.suppress(psycopg2.errors.UndefinedObject):  # an older version lacks some
                cursor.execute(f"ALTER DATABASE {database.name} SET {setting}")


@pytest.fixture
def elsewhere(empty_database: TestDatabase) -> Iterator[TestDatabase]:
    """A database with a schema named like the login, and another that may be on the path."""
    empty_database.query(f"CREATE SCHEMA {ADMIN_USER}; CREATE SCHEMA elsewhere")
    return empty_database


@pytest.mark.parametrize("settings", HOSTILE, ids=lambda settings: settings[0])
def test_no_default_of_the_database_changes_what_a_run_makes(
    elsewhere: TestDatabase, database: TestDatabase, settings: tuple[str, ...]
) -> None:
    set_defaults(elsewhere, *settings)
    release = build_release(MIGRATIONS)
    run(elsewhere.connect, release)
    rollback(elsewhere.connect, release)
    assert {step.file for step in migration_plan(release, elsewhere.connect).steps} == {release.migrations[-1].file}
    run(elsewhere.connect, release)
    assert migration_plan(release, elsewhere.connect).steps == ()
    with elsewhere.server.connect(user="postgres", database="postgres") as connection:
        connection.cursor().execute(f"ALTER DATABASE {elsewhere.name} RESET ALL")
    assert elsewhere.query(NEUTRAL + MADE) == database.query(NEUTRAL + MADE)


@pytest.mark.parametrize(
    "rest", ["", "; CREATE INDEX CONCURRENTLY seen_name ON seen (name)"], ids=["one transaction", "by statement"]
)
def test_each_setting_that_a_run_depends_on_is_set_in_every_file(
    elsewhere: TestDatabase, release_of: ReleaseOf, rest: str
) -> None:
    # GIVEN a database with another default for each, and a run of the superuser, who may change all of them
    elsewhere.query("CREATE ACCESS METHOD other_heap TYPE TABLE HANDLER heap_tableam_handler", user="postgres")
    set_defaults(elsewhere, *(f"{name} = '{odd}'" for name, (_, odd) in FIXED.items()))
    names = ", ".join(f"'{name}'" for name in FIXED)
    look = f"SELECT name, current_setting(name, true) AS setting FROM unnest(ARRAY[{names}]) AS name"
    release = release_of(
        {"001_a.sql": f"CREATE TABLE seen AS {look}{rest}", "002_b.sql": f"CREATE TABLE seen_again AS {look}"}
    )
    # WHEN it runs
    run(lambda: elsewhere.connect("postgres"), release)
    with elsewhere.server.connect(user="postgres", database="postgres") as connection:
        connection.cursor().execute(f"ALTER DATABASE {elsewhere.name} RESET ALL")
    # THEN each file saw the same settings; an older version lacks some
    for table in ("seen", "seen_again"):
        rows = f"SELECT name, setting FROM {table} WHERE setting IS NOT NULL"
        seen = dict(elsewhere.query(rows, user="postgres"))
        assert len(seen) >= len(FIXED) - 2
        assert seen == {name: FIXED[name][0] for name in seen}


def test_a_build_waits_for_a_writer_longer_than_the_default_of_lock_timeout(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    empty_database.query("CREATE TABLE t (a int)")
    set_defaults(empty_database, "lock_timeout = '100ms'")
    writer = empty_database.connect()
    writer.autocommit = False
    with writer.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1)")
    ending = threading.Timer(0.7, writer.commit)
    ending.start()
    run(empty_database.connect, release_of({"001_a.sql": "CREATE INDEX CONCURRENTLY t_a ON t (a)"}))
    ending.join()
    writer.close()
    assert empty_database.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass") == [(True,)]


def test_letters_of_a_file_arrive_also_where_the_login_has_another_encoding(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    set_defaults(empty_database, "client_encoding = 'LATIN1'")
    run(empty_database.connect, release_of({"001_a.sql": "CREATE TABLE t AS SELECT 'Größe in €' AS a"}))
    assert empty_database.query("SELECT length(a), a = U&'Gr\\00F6\\00DFe in \\20AC' FROM t") == [(10, True)]


def test_no_default_of_a_writers_session_makes_our_triggers_fail_or_miscount(database: TestDatabase) -> None:
    job_id = database.add_job({"queued": 1})
    set_defaults(database, *ODD)
    write = (
        "INSERT INTO job_objects (job_id, bucket, key, etag, status) VALUES (%s, 'b', 'k', 'e', 'queued');"
        "UPDATE job_objects SET status = 'failed'; DELETE FROM job_objects WHERE key = 'k'"
    )
    database.query(write, (job_id,), user="scanner_app")
    # Sessions of this role begin after the defaults were set.
    database.query("SELECT refresh_job_progress()", user="progress_refresher")
    assert database.query("SELECT * FROM verify_job_progress()", user="progress_refresher") == []
    database.query("SELECT rebuild_job_progress()", user="progress_refresher")
    assert database.query("SELECT total_objects, failed_count FROM job_progress_live") == [(1, 1)]


def test_a_schema_named_like_the_login_neither_gets_a_second_ledger_nor_loses_the_views_at_a_rollback(
    database: TestDatabase,
) -> None:
    # GIVEN a healthy deployment, and then a schema that comes first on every default path
    database.query(f"CREATE SCHEMA {ADMIN_USER}")
    release = build_release(MIGRATIONS)
    # WHEN the next deploy runs, and the newest migration is taken back
    assert run(database.connect, release).applied == ()
    rollback(database.connect, release)
    # THEN it took back 004 of public, and the views are there
    assert database.query("SELECT max(version) FROM public.schema_migrations") == [(len(release.migrations) - 1,)]
    assert database.query(
        "SELECT to_regclass('public.job_progress') IS NOT NULL, to_regnamespace(%s)::text, "
        "(SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(%s))",
        (ADMIN_USER, ADMIN_USER),
    ) == [(True, ADMIN_USER, 0)]


@pytest.mark.parametrize(
    "leak",
    [
        "SELECT set_config('search_path', 'elsewhere', false)",
        "SELECT set_config('search_path', 'elsewhere', false), set_config('role', 'elsewhere_owner', false)",
        "SELECT set_config('default_transaction_read_only', 'on', false)",
        "SELECT set_config('statement_timeout', '50ms', false)",
    ],
)
@pytest.mark.parametrize("rest", ["", "; CREATE INDEX CONCURRENTLY a_a ON public.a (a)"], ids=["one", "by statement"])
def test_what_a_statement_sets_does_not_reach_the_next(
    elsewhere: TestDatabase, release_of: ReleaseOf, leak: str, rest: str
) -> None:
    elsewhere.query(
        "DO $$ BEGIN IF to_regrole('elsewhere_owner') IS NULL THEN CREATE ROLE elsewhere_owner; END IF; END $$;"
        f"GRANT elsewhere_owner TO {ADMIN_USER}; GRANT ALL ON SCHEMA public, elsewhere TO elsewhere_owner",
        user="postgres",
    )
    # The next is the ledger's row, then the statement after it, then the next file.
    release = release_of(
        {
            "001_a.sql": "CREATE TABLE a (a int)",
            "002_b.sql": f"{leak}{rest}",
            "003_c.sql": "CREATE TABLE c (a int); SELECT pg_sleep(0.1)",
            "003_c.down.sql": f"DROP TABLE c; {leak}",
        }
    )
    run(elsewhere.connect, release)
    where = "SELECT relnamespace::regnamespace::text, pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'c'"
    assert elsewhere.query(where) == [("public", ADMIN_USER)]
    rollback(elsewhere.connect, release)
    assert elsewhere.query(where) == []


@pytest.mark.parametrize("rest", ["", "; CREATE INDEX CONCURRENTLY a_a ON public.a (a)"], ids=["one", "by statement"])
def test_what_a_run_does_not_set_itself_ends_with_its_statement_too(
    elsewhere: TestDatabase, release_of: ReleaseOf, rest: str
) -> None:
    leak = (
        f"SELECT set_config('enable_seqscan', 'off', false), set_config('session_authorization', '{ADMIN_USER}', false)"
    )
    seen = "CREATE TABLE seen AS SELECT current_setting('enable_seqscan'), session_user::text"
    release = release_of({"001_a.sql": f"CREATE TABLE a (a int); {leak}{rest}", "002_b.sql": seen})
    run(lambda: elsewhere.connect("postgres"), release)
    assert elsewhere.query("SELECT * FROM seen", user="postgres") == [("on", "postgres")]


@pytest.mark.parametrize("is_local", ["true", "false"])
@pytest.mark.parametrize("called", ["set_config('search_path', 'elsewhere', {})", "hide({})"], ids=["itself", "hidden"])
def test_what_a_statement_sets_does_not_reach_the_next_of_its_transaction(
    elsewhere: TestDatabase, release_of: ReleaseOf, called: str, is_local: str
) -> None:
    # GIVEN a file of one transaction, in which a statement, or a function that it calls, sets the search_path
    body = "SELECT set_config('search_path', 'elsewhere', is_local)"
    hide = f"CREATE FUNCTION hide(is_local boolean) RETURNS text LANGUAGE sql AS $${body}$$"
    files = {"001_a.sql": hide, "002_b.sql": f"SELECT {called.format(is_local)}; CREATE TABLE c (a int)"}
    run(elsewhere.connect, release_of(files))
    assert elsewhere.query("SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'c'") == [("public",)]


def test_a_ledger_in_another_schema_is_refused_with_its_name_and_the_way_out(
    elsewhere: TestDatabase, release_of: ReleaseOf
) -> None:
    release = release_of({"001_a.sql": "CREATE TABLE a (a int)"})
    run(elsewhere.connect, release)
    elsewhere.query("CREATE TABLE elsewhere.schema_migrations (LIKE public.schema_migrations)")
    for action in (run, rollback):
        with pytest.raises(
            SecondLedgerError,
            match=r"^elsewhere.schema_migrations \(of scanner_admin\) is a ledger as .*DROP TABLE elsewhere.schema_mig",
        ):
            action(elsewhere.connect, release)
    with pytest.raises(SecondLedgerError):
        migration_plan(release, elsewhere.connect)
    elsewhere.query("DROP TABLE elsewhere.schema_migrations; CREATE TABLE elsewhere.schema_migrations (version bigint)")
    assert run(elsewhere.connect, release).applied == ()


def test_a_database_without_the_schema_public_is_refused_with_the_statement_that_makes_one(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    empty_database.query("DROP SCHEMA public", user="postgres")
    with pytest.raises(
        UnfitDatabaseError, match=r"schema public: missing.*CREATE SCHEMA public AUTHORIZATION scanner_admin"
    ):
        run(empty_database.connect, release_of({"001_a.sql": "SELECT 1"}))


def test_a_user_who_may_not_create_in_public_is_told_the_owner_and_the_grant(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    empty_database.query("ALTER SCHEMA public OWNER TO postgres", user="postgres")
    with pytest.raises(
        UnfitDatabaseError,
        match=r"schema public: belongs to postgres, and .* may not create in it.*GRANT USAGE, CREATE ON",
    ):
        run(empty_database.connect, release_of({"001_a.sql": "SELECT 1"}))
    assert empty_database.query("SELECT to_regclass('public.schema_migrations')") == [(None,)]


def test_a_default_that_the_user_may_not_change_is_refused_before_the_first_statement(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    set_defaults(empty_database, "session_replication_role = 'replica'")
    with pytest.raises(
        SessionSettingError, match=r"may not set it: .*session_replication_role.*ALTER DATABASE \"empty_\d+\" RESET"
    ):
        run(empty_database.connect, release_of({"001_a.sql": "CREATE TABLE a (a int)"}))
    assert empty_database.query("SELECT to_regclass('public.a')") == [(None,)]


def test_a_login_that_acts_as_the_owners_role_goes_on_acting_as_it(
    empty_database: TestDatabase, release_of: ReleaseOf
) -> None:
    """`ALTER ROLE ... SET role` is how teams let a deployer act as the role that owns the tables."""
    empty_database.query(
        "DO $$ BEGIN IF to_regrole('owning_group') IS NULL THEN CREATE ROLE owning_group; END IF; END $$;"
        f"GRANT owning_group TO {ADMIN_USER}; GRANT CREATE ON SCHEMA public TO owning_group",
        user="postgres",
    )
    empty_database.query(
        f"ALTER ROLE {ADMIN_USER} IN DATABASE {empty_database.name} SET role = 'owning_group'", user="postgres"
    )
    run(
        empty_database.connect,
        release_of({"001_a.sql": "CREATE TABLE a (a int)", "002_b.sql": "CREATE TABLE b (a int)"}),
    )
    owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert empty_database.query(owners) == [("owning_group",)]
