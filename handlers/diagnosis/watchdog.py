"""A time limit for a server that does not answer. psycopg2 itself would wait for ever."""

import threading
from typing import Any

from handlers.waiting import hang_up


class ConnectionWatchdog:
    """Shuts the socket of a connection down when its time is up, so the statement that waits on it fails.

    Attributes:
        is_lost: whether that has happened.

    """

    def __init__(self, connection: Any) -> None:
        self.is_lost = False
        self._connection = connection
        self._timer: threading.Timer | None = None

    def start(self, limit_s: float) -> None:
        """Start the timer, or start it again."""
        self.stop()
        self._timer = threading.Timer(limit_s, self._shut_down)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _shut_down(self) -> None:
        self.is_lost = True
        hang_up(self._connection)
