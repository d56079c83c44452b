"""Database clients that make faults."""

import contextlib
import threading

import psycopg2

from lab.gameday.fault import Fault, Scene
from lab.gameday.system import System


class Client:
    """A client that runs a statement again and again, or holds a session open, until its session is ended.

    Args:
        opening: statements that it runs first.
        repeated: the statement that it repeats; empty: `SELECT 1`.
        pause_s: the pause between two runs.

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
        """Stop the client and close its connection."""
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
                pass  # refused statements are the purpose of some clients


class HeldOpen(Client):
    """A session that runs statements in a transaction and leaves it open; the server's idle timeout is switched off."""

    def __init__(self, system: System, statements: str) -> None:
        opening = f"SET idle_in_transaction_session_timeout = 0; BEGIN; {statements}"
        super().__init__(system, user="scanner_admin", application="psql", opening=opening, pause_s=3600)


class MadeByClients(Fault):
    """A fault that clients make; cleaning up ends them."""

    # What a session runs in a transaction that it leaves open, for faults that need no more than that.
    held = ""

    def __init__(self) -> None:
        self._clients: list[Client] = []

    def inject(self, scene: Scene) -> None:
        """Run `held` in a transaction and leave it open."""
        self._clients = [HeldOpen(scene.system, self.held)]

    def clean_up(self, scene: Scene) -> None:  # noqa: ARG002 - not all need it
        """End the clients that are still running."""
        for client in self._clients:
            client.close()
