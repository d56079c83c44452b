"""The PostgreSQL servers behind emulated instances, and their backups.

Every instance that is made empty shares one server, which the starter of the emulator runs. A restored instance gets a
server of its own, with the data of its backup. A point in time is exact, from the first snapshot of an instance on:
before that no backup of it exists, though RDS would have one.
"""

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab import base_backup
from lab.embedded_postgres import EmbeddedPostgres

# In the folder of an emulator: its backups, and the folders of restored servers among them.
BACKUPS = "backups"
RESTORED = f"{BACKUPS}/restored-*"


class NoBackupError(Exception):
    """Nothing can be restored from this; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A copy of a server's data, and when it was complete."""

    server: EmbeddedPostgres
    data: Path
    at: datetime


class DatabaseServers:
    """The servers of one emulator.

    Args:
        shared: the server of every instance that is made empty; `None`: instances have no data.
        directory: backups and the data of restored servers lie here.

    """

    def __init__(self, shared: EmbeddedPostgres | None, directory: Path) -> None:
        self._shared = shared
        self._directory = directory
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._snapshots: dict[str, Backup] = {}
        self._restored: dict[str, EmbeddedPostgres] = {}

    def take(self, snapshot: str, identifier: str) -> None:
        """Take a snapshot of an instance."""
        server = self._restored.get(identifier, self._shared)
        if server is not None:
            self._snapshots[snapshot] = self._backup(server)

    def copy(self, snapshot: str, target: str) -> None:
        """Give the data of a snapshot another name."""
        if snapshot in self._snapshots:
            self._snapshots[target] = self._snapshots[snapshot]

    def restore(self, snapshot: str, identifier: str) -> None:
        """Start the server of an instance that is restored from a snapshot.

        Raises:
            NoBackupError: the snapshot holds no data.

        """
        if self._shared is None:
            return
        if snapshot not in self._snapshots:
            raise NoBackupError(f"{snapshot} holds no data here: it was not made by CreateDBSnapshot")
        self._start(self._snapshots[snapshot], identifier)

    def restore_until(self, source: str, identifier: str, until: datetime | None) -> None:
        """Start the server of an instance that is restored from another as it was at a time; `None`: as it is now.

        Raises:
            NoBackupError: there is no earlier snapshot of the source.

        """
        server = self._restored.get(source, self._shared)
        if server is None:
            return
        if until is None:
            self._start(self._backup(server), identifier)
            return
        earlier = [each for each in self._snapshots.values() if each.server is server and each.at <= until]
        if not earlier:
            raise NoBackupError(f"no snapshot of {source} was taken here before {until:%Y-%m-%dT%H:%M:%SZ}")
        self._start(max(earlier, key=lambda each: each.at), identifier, until=until)

    def drop(self, identifier: str) -> None:
        """Stop and delete the server of a restored instance."""
        server = self._restored.pop(identifier, None)
        if server is not None:
            server.discard()

    def ports(self) -> Mapping[str, int]:
        """Return the port of each restored instance; every other has that of its settings."""
        return {identifier: server.port for identifier, server in list(self._restored.items())}

    def addresses(self) -> dict[str, tuple[str, int, int]]:
        """Return folder, port and version of each restored instance's server."""
        return {identifier: server.address for identifier, server in list(self._restored.items())}

    def stop(self) -> None:
        """Stop and delete the server of every restored instance."""
        for identifier in list(self._restored):
            self.drop(identifier)

    def _backup(self, server: EmbeddedPostgres) -> Backup:
        data = self._directory / f"backup-{next(self._numbers)}"
        # PostgreSQL allows several at a time; one keeps the disk of a laptop usable.
        with self._lock:
            self._directory.mkdir(parents=True, exist_ok=True)
            base_backup.take(server, data)
        return Backup(server=server, data=data, at=datetime.now(tz=UTC))

    def _start(self, backup: Backup, identifier: str, *, until: datetime | None = None) -> None:
        directory = self._directory / f"restored-{next(self._numbers)}"
        self._restored[identifier] = base_backup.restore(backup.server, backup.data, directory, until=until)
