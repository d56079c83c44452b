"""Backups of a running embedded server, as RDS takes and restores them: a snapshot, and a point in time after it.

A backup is a copy of the data folder under PostgreSQL's own protocol (`pg_backup_start`, `pg_backup_stop`), so writers
go on. For a point in time a copy replays the log that the server has kept since then.
"""

import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from lab.embedded_postgres import EmbeddedPostgres

# What PostgreSQL leaves out of its own base backups:
# https://www.postgresql.org/docs/17/protocol-replication.html#PROTOCOL-REPLICATION-BASE-BACKUP
LEFT_OUT = shutil.ignore_patterns(
    *("postmaster.pid", "postmaster.opts", "pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial"),
    *("pg_snapshots", "pg_stat_tmp", "pg_subtrans", "pgsql_tmp*", "pg_internal.init"),
)
MADE_EMPTY = ("pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans")
# From the first backup on, the log is kept for later points in time.
KEPT_LOG = "1TB"
# Set for each server by itself; the rest of its parameters a restored server shares with its source.
OWN_PARAMETERS = ("data_directory", "hba_file", "listen_addresses", "port", "ssl_cert_file", "ssl_key_file")


def take(server: EmbeddedPostgres, target: Path) -> None:
    """Copy the data of a running server into a new folder."""
    with server.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER SYSTEM SET wal_keep_size = '{KEPT_LOG}'")
        cursor.execute("SELECT pg_reload_conf(), pg_sleep(0.1)")
        cursor.execute("SELECT pg_backup_start('emulated snapshot', fast => true)")
        shutil.copytree(server.data, target, symlinks=True, ignore=LEFT_OUT, copy_function=_copy_if_there)
        for name in MADE_EMPTY:
            (target / name).mkdir()
        cursor.execute("SELECT labelfile FROM pg_backup_stop(wait_for_archive => false)")
        row = cursor.fetchone()
        assert row is not None
        (target / "backup_label").write_text(row[0])
    _copy_log(server, target)


def restore(
    source: EmbeddedPostgres, backup: Path, directory: Path, *, until: datetime | None = None
) -> EmbeddedPostgres:
    """Start another server from a backup of `source`; with `until`, replay the log of `source` up to that time.

    Raises:
        EmbeddedPostgresError: it does not start, or its log does not reach that time.

    """
    restored = EmbeddedPostgres(directory, parameters=_parameters(source), version=source.version)
    if until is not None:
        # A later commit shows the replay that this time is reached, and the log ends in a whole file.
        with source.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id(), pg_switch_wal()")
    restored.take_over(source, backup)
    if until is None:
        restored.start()
        return restored
    _copy_log(source, restored.data)
    restored.recover(until)
    return restored


def _parameters(server: EmbeddedPostgres) -> dict[str, str]:
    with server.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, current_setting(name) FROM pg_settings WHERE source = 'command line'")
        return {name: value for name, value in cursor.fetchall() if name not in OWN_PARAMETERS}


def _copy_log(server: EmbeddedPostgres, target: Path) -> None:
    log = target / "pg_wal"
    log.mkdir(exist_ok=True)
    for segment in _segments(server.data / "pg_wal"):
        _copy_if_there(segment, log / segment.name)
    (log / "archive_status").mkdir(exist_ok=True)


def _segments(log: Path) -> Iterable[Path]:
    return sorted(path for path in log.iterdir() if path.is_file())


def _copy_if_there(source: str | Path, target: str | Path) -> None:
    """Copy a file, unless the server has removed it since: then the log says so."""
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        return
