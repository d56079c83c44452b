"""The statements that end what a check found. A caller chooses among those that it names now, and brings none."""

from typing import Any

import psycopg2

from handlers.diagnosis.watchdog import ConnectionWatchdog
from handlers.errors import ScannerDatabaseError, StillRunningError
from handlers.migrator.connecting import connect_to_supported
from handlers.migrator.session import Connect

# Writers queue behind a statement that waits for its lock, but not behind these.
_BLOCKS_NO_WRITER = ("CONCURRENTLY", "VACUUM")
LOCK_TIMEOUT_S = 2


class RepairBlockedError(ScannerDatabaseError):
    """A statement of a repair did not get its lock."""


def run_repair(connect: Connect, sql: str, *, limit_s: float | None = None) -> None:
    """Run the statement of a finding, with the settings of a migration.

    Args:
        connect: as the owner of the tables, in autocommit mode.
        sql: the statement. It is sent alone, because VACUUM and CONCURRENTLY refuse company.
        limit_s: how long to wait for its end; `None`: until the end.

    Raises:
        RepairBlockedError: another session held the lock for too long; nothing was changed.
        StillRunningError: the limit came; the server goes on.
        ScannerDatabaseError: as `connect_to_supported`.
        psycopg2.Error: the server refused it.

    """
    connection: Any = connect_to_supported(connect)
    watchdog = ConnectionWatchdog(connection)
    lock_s = 0 if any(word in sql for word in _BLOCKS_NO_WRITER) else LOCK_TIMEOUT_S
    try:
        cursor = connection.cursor()
        cursor.execute(f"SET statement_timeout = 0; SET lock_timeout = '{lock_s}s'")
        if limit_s is not None:
            watchdog.start(limit_s)
        cursor.execute(sql)
    except psycopg2.errors.LockNotAvailable as error:
        raise RepairBlockedError(
            f"another session held the lock for {lock_s} s, so nothing was changed: the doctor's check lock-waits "
            "names it; run the same command again when it has ended"
        ) from error
    except psycopg2.OperationalError as error:
        if watchdog.is_lost:
            message = f"not finished after {limit_s:.0f} s; it goes on in the database: ask the doctor again"
            raise StillRunningError(message) from error
        raise
    finally:
        watchdog.stop()
        connection.close()
