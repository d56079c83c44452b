"""What clients do to make a fault."""

import contextlib
import threading

import psycopg2

from lab.gameday.fault import Fault, Scene
from lab.gameday.system import System


class Client:
    """A client that does something again and again, or holds on to something, until its session is ended.

    Args:
        opening: statements that it begins with.
        repeated: what it runs each time; nothing: it idles.
        pause_s: how long it rests between two runs.

    """

    def __init__(
        self,
        system: System,
        *,
        user: str,
        application: str,
        opening: str = "",
        repeated: str = "",
        pause_s: float = 0.1,
    ) -> None:
        self._connection = system.connect(user=user, application=application)
        self._ended = threading.Event()
        self._opening, self._repeated, self._pause_s = opening, repeated, pause_s
        self._thread = threading.Thread(target=self._run, daemon=True)
        if opening:
            with self._connection.cursor() as cursor:
                cursor.execute(opening)
        self._thread.start()

    def close(self) -> None:
        """End it from its own side."""
        self._ended.set()
        self._thread.join(timeout=10)
        with contextlib.suppress(psycopg2.Error):
            self._connection.close()

    def _run(self) -> None:
        while not self._ended.wait(self._pause_s):
            try:
                with self._connection.cursor() as cursor:
                    cursor.execute(self._repeated or "SELECT 1")
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                if self._connection.closed:
                    return
            except psycopg2.Error:
                pass  # refused, which is what some clients here are for


class HeldOpen(Client):
    """A session in a transaction that does nothing more."""

    def __init__(self, system: System, opening: str) -> None:
        super().__init__(system, user="scanner_admin", application="psql", opening=opening, pause_s=3600)


class MadeByClients(Fault):
    """A fault that clients make; whatever is left of them ends with it."""

    def __init__(self) -> None:
        self._clients: list[Client] = []

    def clean_up(self, scene: Scene) -> None:  # noqa: ARG002 - not all need it
        """End the clients that still run."""
        for client in self._clients:
            client.close()
