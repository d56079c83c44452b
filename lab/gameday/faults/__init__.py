"""The faults of a game day, in the order of play."""

from collections.abc import Callable

from lab.gameday.fault import Fault
from lab.gameday.faults.of_data import TableLost
from lab.gameday.faults.of_progress import Backlog, Drift, RefresherStopped, RefreshKilled, ViewDropped
from lab.gameday.faults.of_schema import BadMigration, MissingIndex, RightLost
from lab.gameday.faults.of_sessions import (
    BlockingLock,
    ConnectionFlood,
    DatabaseStopped,
    LongTransaction,
    ReaderWrites,
)

FAULTS: tuple[Callable[[], Fault], ...] = (
    MissingIndex,
    RefresherStopped,
    LongTransaction,
    BlockingLock,
    RefreshKilled,
    Backlog,
    ConnectionFlood,
    DatabaseStopped,
    BadMigration,
    ViewDropped,
    ReaderWrites,
    RightLost,
    Drift,
    TableLost,
)
