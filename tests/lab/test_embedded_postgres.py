"""The embedded server stands for RDS: its names, its TLS, its roles; and it leaves nothing behind."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from lab.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from lab.emulator.server import database_host_names
from tests.support.processes import is_running, wait_until

REGION = "eu-central-1"
INSTANCE = f"scanner-database-local.aaaaaaaaaaaa.{REGION}.rds.amazonaws.com"
PROXY = f"scanner-database-local.proxy-aaaaaaaaaaaa.{REGION}.rds.amazonaws.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(
        tmp_path_factory.mktemp("server"), host_names=database_host_names(REGION), durable=False
    ) as running:
        yield running
        running.discard()


def ask(dsn: str, sql: str = "SELECT current_user") -> object:
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone()
            return row[0] if row else None
    finally:
        connection.close()


@pytest.mark.parametrize("host", [INSTANCE, PROXY])
def test_its_certificate_is_valid_for_the_names_that_the_emulator_gives(server: EmbeddedPostgres, host: str) -> None:
    assert ask(server.dsn(host=host, hostaddr="127.0.0.1")) == "scanner_admin"


def test_its_certificate_is_not_valid_for_another_name(server: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match="does not match host name"):
        ask(server.dsn(host="database.example.com", hostaddr="127.0.0.1"))


@pytest.mark.parametrize(
    ("options", "refusal"),
    [({"password": "guessed"}, "password authentication failed"), ({"sslmode": "disable"}, "no pg_hba.conf entry")],
)
def test_the_administrator_proves_a_password_over_tls(
    server: EmbeddedPostgres, options: dict[str, str], refusal: str
) -> None:
    with pytest.raises(psycopg2.OperationalError, match=refusal):
        ask(server.dsn(**options))


def test_the_administrator_is_no_superuser_as_on_rds(server: EmbeddedPostgres) -> None:
    assert ask(server.dsn(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert ask(server.dsn(), "SELECT pg_has_role('rds_superuser', 'MEMBER')") is True


@pytest.mark.slow
def test_a_restarted_server_has_the_same_address_password_and_data(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        ask(server.dsn(), "CREATE TABLE kept (); SELECT 1")
        before = server.dsn()
        server.stop(immediate=True)
        with pytest.raises(psycopg2.OperationalError):
            ask(before)
        server.start()
        assert server.dsn() == before
        assert ask(before, "SELECT to_regclass('kept') IS NOT NULL") is True
        server.discard()


def test_a_version_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"has no PostgreSQL 14 for .*; run `make setup`"):
        EmbeddedPostgres(tmp_path, version=14)


START = """
import os, pathlib, sys
from lab.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres(pathlib.Path(sys.argv[1]), durable=False)
server.start()
print(server._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_discarding_ends_a_server_that_outlived_its_starter_and_deletes_its_data(tmp_path: Path) -> None:
    directory = tmp_path / "server"
    started = subprocess.run([sys.executable, "-c", START, str(directory)], capture_output=True, text=True, check=False)
    pid = int(started.stdout)
    assert is_running(pid)
    home = Path(f"/proc/{pid}/cwd").readlink() if Path("/proc").exists() else directory
    EmbeddedPostgres(directory).discard()
    wait_until(lambda: not is_running(pid))
    assert not directory.exists()
    assert not home.exists()
