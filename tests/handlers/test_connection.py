"""Connections: where to, with which token, over which TLS, and again when lost."""

from __future__ import annotations

import datetime as dt
import os
import signal
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import boto3
import psycopg2
import pytest
import trustme

from handlers.connection import Database, Endpoint, connect, iam_token
from handlers.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from lab.embedded_postgres import EmbeddedPostgres
    from tests.support.database import TestDatabase

VARIABLES = {"RDS_PROXY_ENDPOINT": "proxy.example", "RDS_DBNAME": "scanner_db", "RDS_USERNAME": "progress_reader"}
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "session",
    "AWS_REGION": "eu-central-1",
}


def endpoint_of(server: EmbeddedPostgres, **changes: str | int) -> Endpoint:
    values = {"host": server.host, "port": server.port, "database": "scanner_db", "user": "scanner_admin", **changes}
    return Endpoint(**values)


@pytest.mark.parametrize(
    ("changes", "host", "port"),
    [
        ({}, "proxy.example", 5432),
        ({"RDS_PORT": "6543"}, "proxy.example", 6543),
        ({"RDS_PROXY_ENDPOINT": "proxy.example:7654", "RDS_PORT": "6543"}, "proxy.example", 7654),
    ],
)
def test_the_endpoint_is_a_host_or_a_host_with_a_port(changes: dict[str, str], host: str, port: int) -> None:
    endpoint = Endpoint.from_environment({**VARIABLES, **changes})
    assert (endpoint.host, endpoint.port) == (host, port)


@pytest.mark.parametrize("port", ["5_432", "\u0665\u0664\u0663\u0662", " 5432", "+5432", "five"])
def test_a_port_has_the_digits_0_to_9_alone(port: str) -> None:
    for changes in ({"RDS_PORT": port}, {"RDS_PROXY_ENDPOINT": f"proxy.example:{port}"}):
        with pytest.raises(ValueError, match="is not a port"):
            Endpoint.from_environment({**VARIABLES, **changes})


def test_the_token_is_the_one_that_the_aws_sdk_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    now = dt.datetime(2026, 4, 1, 12, 0, tzinfo=dt.UTC)
    monkeypatch.setattr("botocore.auth.datetime", _frozen(now))
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: now.replace(tzinfo=None), raising=False)
    endpoint = Endpoint.from_environment(VARIABLES)
    theirs = boto3.client("rds", region_name="eu-central-1").generate_db_auth_token(
        "proxy.example", 5432, "progress_reader"
    )
    ours = iam_token(endpoint, CREDENTIALS)
    assert parse_qs(urlsplit(f"//{ours}").query) == parse_qs(urlsplit(f"//{theirs}").query)
    assert ours.partition("?")[0] == theirs.partition("?")[0] == "proxy.example:5432/"


def _frozen(now: dt.datetime) -> object:
    class Frozen:
        class datetime(dt.datetime):  # noqa: N801
            @classmethod
            def utcnow(cls) -> dt.datetime:
                return now.replace(tzinfo=None)

            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
                return now.astimezone(tz)

    return Frozen


def test_a_server_whose_certificate_another_authority_signed_is_refused(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    monkeypatch.setenv("RDS_CA_BUNDLE", str(stranger))
    with pytest.raises(DatabaseUnavailableError, match="certificate verify failed"):
        connect(endpoint_of(postgres), password=postgres.password, application_name="test")


def test_a_server_under_another_name_is_refused(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDS_CA_BUNDLE", str(postgres.certificate_authority))
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
    with pytest.raises(DatabaseUnavailableError, match="does not match host name"):
        connect(endpoint_of(postgres, host="elsewhere.example"), password=postgres.password, application_name="test")


def test_an_unreachable_server_is_named_with_its_port_and_user(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RDS_CA_BUNDLE", str(postgres.certificate_authority))
    with pytest.raises(DatabaseUnavailableError, match=r"no connection to localhost:1 as scanner_admin: .*refused"):
        connect(endpoint_of(postgres, port=1), password="", application_name="test")


@pytest.fixture
def client(database: TestDatabase) -> Database:
    return Database(database.variables("progress_reader"), query_timeout_s=3)


PID = "SELECT pg_backend_pid() AS pid"


def test_one_connection_serves_many_queries(client: Database) -> None:
    assert client.fetch_all(PID) == client.fetch_all(PID)


def test_a_lost_connection_is_opened_again(client: Database, database: TestDatabase) -> None:
    (before,) = client.fetch_all(PID)
    database.query("SELECT pg_terminate_backend(%(pid)s)", before, user="postgres")
    (after,) = client.fetch_all(PID)
    assert after["pid"] != before["pid"]


def test_a_statement_that_the_server_ends_is_not_taken_for_a_lost_connection(client: Database) -> None:
    (before,) = client.fetch_all(PID)
    with pytest.raises(psycopg2.errors.QueryCanceled):
        client.fetch_all("SET statement_timeout = 50; SELECT pg_sleep(5)")
    assert client.fetch_all(PID) == [before]


def test_a_proxy_that_gets_no_connection_to_the_database_is_no_failure_of_ours(client: Database) -> None:
    """RDS Proxy says so in an answer to the query, and goes on holding the client's connection."""
    said = "Timed-out waiting to acquire database connection"
    with pytest.raises(DatabaseUnavailableError, match=said):
        client.fetch_all(f"DO $$ BEGIN RAISE EXCEPTION '{said}' USING ERRCODE = '08000'; END $$")
    assert client.fetch_all("SELECT 1 AS one") == [{"one": 1}]


def test_a_frozen_server_is_given_up_in_time_and_found_again(client: Database, database: TestDatabase) -> None:
    backend = client.fetch_all(PID)[0]["pid"]
    server = int((database.server.data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(server, signal.SIGSTOP)
    try:
        os.kill(backend, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailableError, match="did not answer in time"):
            client.fetch_all(PID)
        assert time.monotonic() - started < 4
        started = time.monotonic()
        with pytest.raises(
            DatabaseUnavailableError, match=r"no connection to localhost:\d+ as progress_reader: no answer"
        ):
            client.fetch_all(PID)
        assert time.monotonic() - started < 3
    finally:
        os.kill(backend, signal.SIGCONT)
        os.kill(server, signal.SIGCONT)
    assert client.fetch_all("SELECT 1 AS one") == [{"one": 1}]
