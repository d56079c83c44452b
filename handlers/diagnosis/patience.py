"""An end to waiting for a server that does not answer: psycopg2 itself would wait for ever."""

import contextlib
import os
import socket
import threading
from typing import Any

import psycopg2


class Patience:
    """Cuts the wire of a connection when its time is up, so that whoever waits on it gets an error.

    Attributes:
        is_lost: whether that has happened.

    """

    def __init__(self, connection: Any) -> None:
        self.is_lost = False
        self._connection = connection
        self._timer: threading.Timer | None = None

    def start(self, limit_s: float) -> None:
        """Begin to count, anew if it has begun."""
        self.stop()
        self._timer = threading.Timer(limit_s, self._lose)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """Count no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _lose(self) -> None:
        self.is_lost = True
        with (
            contextlib.suppress(OSError, psycopg2.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as wire,
        ):
            wire.shutdown(socket.SHUT_RDWR)
