"""A server between a client and PostgreSQL that stops answering when a test says so, as a frozen database does."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class SilentServer:
    """Forwards to PostgreSQL until it falls silent; then it keeps connections open, takes new ones, and sends nothing.

    Args:
        port: of PostgreSQL on 127.0.0.1.
        answers: how many messages of the server it passes on in each connection; `None`: all, until `fall_silent`.

    """

    def __init__(self, port: int, *, answers: int | None = None) -> None:
        self._target = ("127.0.0.1", port)
        self._answers = answers
        self._silent = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.hang_up()

    def fall_silent(self) -> None:
        """From now on pass no answer on, in open connections and in new ones."""
        self._silent.set()

    def hang_up(self) -> None:
        """Close every connection."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, self._answers), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, most: int | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):  # one side was closed
            while data := source.recv(65536):
                if not self._silent.is_set() and (most is None or passed < most):
                    target.sendall(data)
                    passed += 1
