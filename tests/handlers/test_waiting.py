"""Ctrl-C and a deadline end a wait for PostgreSQL, also where the server does not answer at all."""

from __future__ import annotations

import io
import socket
import time
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from psycopg2.extras import wait_select

from handlers import waiting
from handlers.errors import DatabaseUnavailableError
from tests.support.processes import interrupted, stopped, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase

SLEEPERS = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"


@pytest.fixture
def interruptible() -> Iterator[None]:
    with waiting.interruptible():
        yield


@pytest.fixture
def cursor(empty_database: TestDatabase, interruptible: None) -> Iterator[Any]:
    connection = empty_database.connect()
    yield connection.cursor()
    connection.close()


def test_ctrl_c_ends_a_statement_here_and_in_the_server(cursor: Any, empty_database: TestDatabase) -> None:
    started = time.monotonic()
    with interrupted(after_s=0.3), pytest.raises(KeyboardInterrupt):
        cursor.execute("SELECT pg_sleep(30)")
    assert time.monotonic() - started < 5
    wait_until(lambda: empty_database.query(SLEEPERS) == [], timeout_s=5)


def test_a_deadline_ends_a_statement_here_and_in_the_server(cursor: Any, empty_database: TestDatabase) -> None:
    with (
        pytest.raises(DatabaseUnavailableError, match=r"did not answer within 0\.3 s"),
        waiting.deadline(0.3),
        waiting.deadline(60),
    ):
        cursor.execute("SELECT pg_sleep(30)")
    wait_until(lambda: empty_database.query(SLEEPERS) == [], timeout_s=5)


def test_a_deadline_holds_for_all_statements_of_its_block_together_and_no_longer(cursor: Any) -> None:
    with pytest.raises(DatabaseUnavailableError), waiting.deadline(0.5):  # noqa: PT012 - the second of the two fails
        cursor.execute("SELECT pg_sleep(0.3)")
        cursor.execute("SELECT pg_sleep(0.3)")


def test_statements_after_a_deadline_have_the_time_that_they_need(cursor: Any) -> None:
    with waiting.deadline(0.2):
        cursor.execute("SELECT 1")
    cursor.execute("SELECT pg_sleep(0.3)")


def test_a_stopped_server_is_left_at_ctrl_c(cursor: Any, empty_database: TestDatabase) -> None:
    with (
        stopped(empty_database.server_pid(), cursor.connection.info.backend_pid),
        interrupted(after_s=0.3),
    ):
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            cursor.execute("SELECT 1")
        assert time.monotonic() - started < 0.3 + waiting.CANCEL_S + 1


@pytest.mark.usefixtures("interruptible")
def test_connecting_to_a_server_that_does_not_answer_ends_after_the_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(psycopg2.OperationalError, match="did not answer within 1 s"):
            psycopg2.connect(host="127.0.0.1", port=port, user="u", dbname="d", connect_timeout=1)


@pytest.mark.usefixtures("interruptible")
def test_connecting_to_a_server_that_does_not_answer_hears_ctrl_c() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, interrupted(after_s=0.3):
        port = silent.getsockname()[1]
        with pytest.raises(KeyboardInterrupt):
            psycopg2.connect(host="127.0.0.1", port=port, user="u", dbname="d")


def test_an_error_of_a_statement_leaves_the_connection_usable(cursor: Any) -> None:
    with pytest.raises(psycopg2.errors.DivisionByZero):
        cursor.execute("SELECT 1 / 0")
    cursor.execute("SELECT 1; SELECT 2")
    assert cursor.fetchall() == [(2,)]


@pytest.mark.usefixtures("interruptible")
def test_an_asynchronous_connection_waits_by_itself(empty_database: TestDatabase) -> None:
    connection = psycopg2.connect(empty_database.server.dsn(database=empty_database.name), async_=1)
    wait_select(connection)
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    wait_select(connection)
    assert cursor.fetchall() == [(1,)]
    connection.close()


def test_copy_is_refused_inside_the_block_and_works_after_it(empty_database: TestDatabase) -> None:
    connection = empty_database.connect()
    with (
        waiting.interruptible(),
        connection.cursor() as cursor,
        pytest.raises(psycopg2.ProgrammingError, match="asynchronous callback"),
    ):
        cursor.copy_expert("COPY (SELECT 1) TO STDOUT", io.StringIO())
    with connection.cursor() as cursor:
        cursor.copy_expert("COPY (SELECT 1) TO STDOUT", out := io.StringIO())
    connection.close()
    assert out.getvalue() == "1\n"
