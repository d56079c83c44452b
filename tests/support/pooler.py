"""A transaction pooler, a double of PgBouncer and RDS Proxy: clients share server connections, one transaction each.

It speaks enough of the protocol for psycopg2: a server connection belongs to a client from its first message until
ReadyForQuery says that no transaction is open. Each client gets the free connection that was used last.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, Any, Self

import psycopg2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase

_PROTOCOL, _SSL_REQUEST, _GSS_REQUEST = 0x30000, 80877103, 80877104
_MADE_UP_PID = 2_000_000_000


class TransactionPooler:
    """Listens on a port of its own, with so many connections to the server; a context manager.

    Args:
        database: what it leads to.
        announces_pid: whether clients get a made-up process id, as from PgBouncer; from RDS Proxy they get none.

    """

    def __init__(self, database: TestDatabase, *, announces_pid: bool = True) -> None:
        self._database, self._announces_pid = database, announces_pid
        self._free: list[socket.socket] = []
        self._parameters: list[tuple[bytes, bytes]] = []
        self._returned = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._free = [self._log_in() for _ in range(2)]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def connect(self) -> psycopg2.extensions.connection:
        """Connect through the pooler, in autocommit mode."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="client", dbname="any", sslmode="disable", gssencmode="disable"
        )
        connection.autocommit = True
        return connection

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError):
            _read_startup(client)
            client.sendall(_message(b"R", struct.pack("!i", 0)))
            for parameter in self._parameters:
                client.sendall(_message(*parameter))
            if self._announces_pid:
                client.sendall(_message(b"K", struct.pack("!ii", _MADE_UP_PID, 7)))
            client.sendall(_message(b"Z", b"I"))
            while (message := _read(client))[0] != b"X":
                with self._borrowed() as server:
                    while True:
                        server.sendall(_message(*message))
                        if _pass_answer_on(server, client):
                            break
                        message = _read(client)

    def _log_in(self) -> socket.socket:
        """Log in as the scanner, whom the server trusts over TLS, and keep what it says of its parameters."""
        plain = socket.create_connection(("127.0.0.1", self._database.server.port))
        plain.sendall(struct.pack("!ii", 8, _SSL_REQUEST))
        assert _exactly(plain, 1) == b"S"
        context = ssl.create_default_context(cafile=str(self._database.server.certificate_authority))
        server = context.wrap_socket(plain, server_hostname="127.0.0.1")
        body = f"user\0scanner_app\0database\0{self._database.name}\0\0".encode()
        server.sendall(struct.pack("!ii", len(body) + 8, _PROTOCOL) + body)
        self._parameters = []
        while (message := _read(server))[0] != b"Z":
            if message[0] == b"S":
                self._parameters.append(message)
        return server

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[socket.socket]:
        with self._returned:
            self._returned.wait_for(lambda: self._free)
            server = self._free.pop()
        try:
            yield server
        finally:
            with self._returned:
                self._free.append(server)
                self._returned.notify()


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _read(wire: socket.socket) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!ci", _exactly(wire, 5))
    return kind, _exactly(wire, length - 4)


def _read_startup(client: socket.socket) -> None:
    while True:
        length, code = struct.unpack("!ii", _exactly(client, 8))
        if code not in {_SSL_REQUEST, _GSS_REQUEST}:
            _exactly(client, length - 8)
            return
        client.sendall(b"N")


def _pass_answer_on(server: socket.socket, client: socket.socket) -> bool:
    """Return whether the transaction has ended."""
    while True:
        kind, body = _read(server)
        client.sendall(_message(kind, body))
        if kind == b"Z":
            return body == b"I"


def _exactly(wire: Any, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = wire.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data
