"""One limit holds for connecting, asking and asking again, wherever the server falls silent."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from handlers.connection import Database
from handlers.errors import DatabaseUnavailableError
from tests.support.silent_server import SilentServer

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

LIMIT_S = 0.5
# Much more than a slow machine needs, and less than the limit of connecting alone.
AT_MOST_S = 2


def client_of(database: TestDatabase, server: SilentServer) -> Database:
    variables = {**database.variables("progress_reader"), "RDS_PORT": str(server.port)}
    return Database(variables, query_timeout_s=LIMIT_S)


def connected_client_of(database: TestDatabase, server: SilentServer) -> Database:
    client = client_of(database, server)
    # The first connection may take longer on a slow machine than the limit of this test.
    client._query_timeout_s = 5
    assert client.fetch_all("SELECT 1 AS one") == [{"one": 1}]
    client._query_timeout_s = LIMIT_S
    return client


def assert_given_up_in_time(client: Database, reason: str) -> None:
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailableError, match=reason):
        client.fetch_all("SELECT 1 AS one")
    assert LIMIT_S <= time.monotonic() - started < AT_MOST_S


@pytest.mark.parametrize(("stage", "answers"), [("at once", 0), ("during TLS", 1), ("during the login", 2)])
def test_a_server_that_falls_silent_while_a_client_connects_is_given_up_in_time(
    database: TestDatabase, stage: str, answers: int
) -> None:
    with SilentServer(database.server.port, answers=answers) as server:
        assert_given_up_in_time(client_of(database, server), "no connection to localhost:.*: no answer")


def test_a_name_server_that_falls_silent_is_given_up_in_time(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(AT_MOST_S + 1))
    client = Database(database.variables("progress_reader"), query_timeout_s=LIMIT_S)
    assert_given_up_in_time(client, "no connection to localhost:.*: its name was not resolved in time")


def test_a_name_without_an_address_is_told(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    client = Database(database.variables("progress_reader"), query_timeout_s=LIMIT_S)
    with pytest.raises(DatabaseUnavailableError, match=r"its name could not be resolved: Name or service not known$"):
        client.fetch_all("SELECT 1 AS one")


def test_of_several_addresses_the_one_that_answers_is_taken(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an address where no server listens before the right one
    port = database.server.port
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    client = Database(database.variables("progress_reader"), query_timeout_s=5)
    assert client.fetch_all("SELECT 1 AS one") == [{"one": 1}]


def test_a_server_that_falls_silent_on_an_open_connection_is_given_up_in_time(database: TestDatabase) -> None:
    with SilentServer(database.server.port) as server:
        client = connected_client_of(database, server)
        server.fall_silent()
        assert_given_up_in_time(client, "the database did not answer in time")


def test_a_lost_connection_whose_server_is_silent_then_is_given_up_in_time(database: TestDatabase) -> None:
    with SilentServer(database.server.port) as server:
        client = connected_client_of(database, server)
        server.fall_silent()
        server.hang_up()
        assert_given_up_in_time(client, "no connection to localhost:.*: no answer")
