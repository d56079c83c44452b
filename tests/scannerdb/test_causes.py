"""An error of PostgreSQL or libpq is one sentence: the complaint with its values, and the way out by its cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest
import trustme
from psycopg2.extensions import make_dsn

from scannerdb.causes import sentence
from tests.support.command_line import dsn, scannerdb
from tests.support.old_deployment import OLD_DEPLOYMENT, create_analyst

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.database import TestDatabase


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail with one line, and return the line."""
    scannerdb(*arguments, code=1)
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert printed.out == ""
    return line.removeprefix("scannerdb: ")


@pytest.mark.parametrize(
    ("changes", "said", "way_out"),
    [
        ({"port": "1"}, "no connection to localhost:1 as scanner_admin: Connection refused", "start it"),
        ({"host": "name.invalid"}, 'could not translate host name "name.invalid"', "scannerdb tunnel"),
        ({"password": "wrong"}, 'password authentication failed for user "scanner_admin"', "PGPASSWORD"),
        ({"password": ""}, "no password supplied", "PGPASSWORD"),
        ({"user": "no_such_login"}, 'role "no_such_login" does not exist', "correct the user"),
        ({"user": "rds_iam"}, 'role "rds_iam" is not permitted to log in', "ALTER ROLE ... LOGIN"),
        ({"service": "nowhere"}, 'definition of service "nowhere" not found', "~/.pg_service.conf"),
        ({"dbname": "elsewhere"}, 'database "elsewhere" does not exist', "correct dbname"),
        ({"sslmode": "disable"}, 'no pg_hba.conf entry for host "127.0.0.1"', "sslmode=verify-full"),
        ({"sslrootcert": "/nowhere.pem"}, 'root certificate file "/nowhere.pem" does not exist', "correct sslrootcert"),
        ({"host": "name.example", "hostaddr": "127.0.0.1"}, "does not match host name", "hostaddr"),
    ],
)
def test_a_connection_that_cannot_be_opened(
    database: TestDatabase, capsys: pytest.CaptureFixture[str], changes: dict[str, str], said: str, way_out: str
) -> None:
    line = complaint(capsys, "verify", "--dsn", make_dsn(dsn(database), **changes))
    assert said in line
    assert way_out in line.partition("; ")[2]


def test_a_certificate_of_another_authority(
    database: TestDatabase, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    line = complaint(capsys, "verify", "--dsn", make_dsn(dsn(database), sslrootcert=str(stranger)))
    assert "certificate verify failed; name the authority that signed the server's certificate" in line


@pytest.mark.parametrize(
    ("sqlstate", "way_out"),
    [
        ("08006", "the connection was lost"),
        ("57P01", "the connection was lost"),
        ("57014", "statement_timeout"),
        ("55P03", "scannerdb doctor lock-waits"),
        ("40P01", "another transaction was in the way"),
        ("25006", "connect to the writer"),
        ("42501", "scannerdb migrate"),
        ("53100", "disk is full"),
        ("53200", "out of memory"),
        ("53300", "out of connections"),
        ("53400", "out of what the message names"),
        ("42P01", "not migrated, or not to this release"),
        ("42883", "not migrated, or not to this release"),
        ("42703", "not migrated, or not to this release"),
        ("3F000", "not migrated, or not to this release"),
        ("55000", "run `scannerdb migrate`, then `scannerdb refresh`"),
        ("22012", ""),
    ],
)
def test_a_statement_that_the_server_refuses(database: TestDatabase, sqlstate: str, way_out: str) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}', HINT = 'h'; END $$"
    with pytest.raises(psycopg2.Error) as raised:
        database.query(raising)
    said, _, advice = sentence(raised.value).partition("; ")
    assert said == "refused"
    assert way_out in advice
    assert bool(way_out) == bool(advice)


@pytest.mark.parametrize(
    ("said", "way_out"),
    [
        ("server closed the connection unexpectedly", "the connection was lost"),
        ("could not receive data from server: Connection reset by peer", "the connection was lost"),
        ("no connection to db:5432: timeout expired", "a firewall drops the packets"),
        ("no connection to db:5432: No route to host", "a firewall drops the packets"),
        ('FATAL:  PAM authentication failed for user "scanner_doctor"', "an IAM token is valid for 15 minutes"),
        ('FATAL:  permission denied for database "scanner_db"', "grants CONNECT"),
        ("server does not support SSL, but SSL was required", "sslmode=prefer"),
        ("SSL error: tlsv1 alert protocol version", "TLS failed"),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "end idle sessions"),
        ("FATAL:  sorry, too many clients already", "end idle sessions"),
        ("FATAL:  the database system is starting up", "when the server is up"),
        ("FATAL:  the database system is not yet accepting connections", "when the server is up"),
        ('invalid dsn: missing "=" after "nonsense" in connection info string', "correct --dsn"),
    ],
)
def test_what_libpq_says_without_a_code_is_followed_by_its_way_out(said: str, way_out: str) -> None:
    assert way_out in sentence(psycopg2.OperationalError(said)).partition("; ")[2]


def test_a_connection_that_is_lost_while_a_command_waits(database: TestDatabase) -> None:
    connection = database.connect()
    database.query("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,), user="postgres")
    with pytest.raises(psycopg2.Error) as raised:
        connection.cursor().execute("SELECT 1")
    assert "run the same command again when the server answers" in sentence(raised.value)


@pytest.mark.parametrize("command", ["verify", "rebuild"])
def test_row_security_that_is_forced_on_the_owner_names_its_table_and_changes_nothing(
    database: TestDatabase, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    job_id = database.add_job({"queued": 3})
    database.query("ALTER TABLE job_objects ENABLE ROW LEVEL SECURITY")
    database.query("ALTER TABLE job_objects FORCE ROW LEVEL SECURITY")
    line = complaint(capsys, command, "--dsn", dsn(database))
    assert 'affected by row-level security policy for table "job_objects"; ' in line
    assert "ALTER TABLE job_objects NO FORCE ROW LEVEL SECURITY" in line
    database.query("ALTER TABLE job_objects NO FORCE ROW LEVEL SECURITY")
    assert database.query("SELECT queued_count FROM job_progress_live WHERE job_id = %s", (job_id,)) == [(3,)]


@pytest.mark.parametrize("command", ["refresh", "verify", "rebuild", "status"])
def test_a_database_that_was_not_migrated(
    empty_database: TestDatabase, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    line = complaint(capsys, command, "--dsn", dsn(empty_database))
    assert "does not exist; this database is not migrated, or not to this release: `scannerdb plan` shows" in line


@pytest.mark.parametrize("command", ["refresh", "verify", "rebuild", "status"])
def test_a_database_that_an_older_deployment_made(
    empty_database: TestDatabase, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    create_analyst(empty_database)
    empty_database.query(OLD_DEPLOYMENT)
    empty_database.add_job({})
    line = complaint(capsys, command, "--dsn", dsn(empty_database))
    assert "; this database is not migrated, or not to this release: " in line
    assert empty_database.query("SELECT relispopulated FROM pg_class WHERE relname = 'job_progress'") == [(False,)]


def test_an_alternative_of_several_hosts_is_still_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = complaint(capsys, "verify", "--dsn", "host=127.0.0.1,127.0.0.1 port=1,2")
    assert line.startswith("no connection to 127.0.0.1,127.0.0.1:1,2: Connection refused; no server listens there")
