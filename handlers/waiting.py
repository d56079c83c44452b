"""Waits for PostgreSQL that Ctrl-C and a deadline end; libpq itself hears neither while it waits.

`interruptible` is for a process: psycopg2 calls a wait callback in place of libpq's own waits, in every thread.
Asynchronous connections wait by themselves. COPY needs libpq's own wait: it is refused while the callback is installed.
https://www.psycopg.org/docs/advanced.html#support-for-coroutine-libraries

`in_thread` is for one call, and leaves the rest of the process as it is.
"""

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, STATUS_SETUP, get_wait_callback, set_wait_callback

from handlers.errors import DatabaseUnavailableError

T = TypeVar("T")

# A server that does not answer a new connection within this time is not asked to cancel: libpq would wait for ever.
CANCEL_S = 1
# https://www.postgresql.org/docs/17/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-SSLREQUEST
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)

# The limit in seconds, and when it ends, of time.monotonic(). Of threads, only those of `in_thread` have it.
_deadline: ContextVar[tuple[float, float] | None] = ContextVar("deadline", default=None)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Install the callback for a block: Ctrl-C ends each wait of the main thread, `deadline` limits waits.

    A statement that is given up is cancelled in the server, and its connection is closed.
    """
    before = get_wait_callback()
    set_wait_callback(_wait)
    try:
        yield
    finally:
        set_wait_callback(before)


@contextlib.contextmanager
def deadline(limit_s: float | None) -> Iterator[None]:
    """End the waits of this block after `limit_s` seconds, counted from its beginning; `None` for no limit.

    Raises:
        DatabaseUnavailableError: a wait took longer.

    """
    ends_at = None if limit_s is None else (limit_s, time.monotonic() + limit_s)
    token = _deadline.set(_earlier(_deadline.get(), ends_at))
    try:
        yield
    finally:
        _deadline.reset(token)


def sleep(seconds: float) -> None:
    """Sleep, at most until the end of `deadline`.

    Raises:
        DatabaseUnavailableError: the deadline has come.

    """
    limit = _deadline.get()
    time.sleep(seconds if limit is None else min(seconds, max(limit[1] - time.monotonic(), 0)))
    if limit is not None and time.monotonic() >= limit[1]:
        raise DatabaseUnavailableError(f"the limit of {limit[0]:g} s is over")


def in_thread(work: Callable[[], T], *, check: Callable[[], None], every_s: float) -> T:
    """Do work in a thread and wait for its end; Ctrl-C, or what `check` raises, ends the wait and leaves the thread.

    Args:
        work: what to do. The caller sees to it that it ends, such as by `hang_up`.
        check: called while the work goes on.
        every_s: how often.

    Raises:
        BaseException: what the work or `check` raised.

    """
    ended = threading.Event()
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failures.append(error)
        finally:
            ended.set()

    # In a copy of the context, so that `deadline` holds for the thread too.
    threading.Thread(target=copy_context().run, args=(run,), daemon=True).start()
    # Not Thread.join: interrupted by Ctrl-C, it marks the thread as ended (Python 3.11).
    while not ended.wait(every_s):
        check()
    if failures:
        raise failures[0]
    return results[0]


def cancel(connection: "psycopg2.extensions.connection") -> None:
    """Ask the server to cancel the statement of a connection; do nothing where it does not answer within `CANCEL_S`."""
    if not _backend_pid(connection):
        return  # not connected yet, or RDS Proxy, which cannot cancel
    with contextlib.suppress(OSError, psycopg2.Error):
        with socket.socket(fileno=os.dup(connection.fileno())) as wire:
            family, address = wire.family, wire.getpeername()
        with socket.socket(family) as probe:
            probe.settimeout(CANCEL_S)
            probe.connect(address)
            probe.sendall(_SSL_REQUEST)
            probe.recv(1)
        connection.cancel()


def hang_up(connection: "psycopg2.extensions.connection") -> None:
    """Shut the socket of a connection down: a thread that waits for it fails at once.

    Nothing is cancelled: the server finishes the message that it has, and then ends the session.
    """
    # libpq closes the socket itself when a waiting thread notices the shutdown, so it may be closed already.
    with (
        contextlib.suppress(OSError, psycopg2.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)


def _wait(connection: Any) -> None:
    connecting = _connect_limit(connection)
    limit = _earlier(_deadline.get(), connecting)
    try:
        while (state := connection.poll()) != POLL_OK:
            # The descriptor changes while libpq tries one address after the other.
            wire = [connection.fileno()]
            left_s = None if limit is None else max(limit[1] - time.monotonic(), 0)
            ready = select.select(wire if state == POLL_READ else [], [] if state == POLL_READ else wire, [], left_s)
            if limit is None or any(ready):
                continue
            message = f"the database did not answer within {limit[0]:g} s"
            raise psycopg2.OperationalError(message) if limit is connecting else DatabaseUnavailableError(message)
    except (KeyboardInterrupt, DatabaseUnavailableError):
        cancel(connection)
        raise


def _connect_limit(connection: Any) -> tuple[float, float] | None:
    """Return the limit of `connect_timeout` while a connection is opened: libpq leaves it to those who poll.

    libpq grants it to each address of a host, this to all of them together.
    """
    if connection.status != STATUS_SETUP:
        return None
    timeout_s = float(connection.info.dsn_parameters.get("connect_timeout") or 0)
    return (timeout_s, time.monotonic() + timeout_s) if timeout_s > 0 else None


def _backend_pid(connection: "psycopg2.extensions.connection") -> int:
    try:
        return int(connection.info.backend_pid)
    except psycopg2.Error:
        return 0


def _earlier(one: tuple[float, float] | None, other: tuple[float, float] | None) -> tuple[float, float] | None:
    return min((each for each in (one, other) if each is not None), key=lambda each: each[1], default=None)
