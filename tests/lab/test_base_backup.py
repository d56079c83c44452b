"""A backup of the embedded server holds what was written before it; a point in time, what was written until then."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from lab import base_backup
from lab.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from tests.support.database import ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def source(folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(folder / "source", durable=False, parameters={"work_mem": "7MB"}) as server:
        ask(server, "CREATE TABLE written (at text)")
        ask(server, "INSERT INTO written VALUES ('before the backup')")
        base_backup.take(server, folder / "backup")
        ask(server, "INSERT INTO written VALUES ('before the loss')")
        yield server
        server.discard()


def restored(source: EmbeddedPostgres, folder: Path, name: str, until: dt.datetime | None = None) -> EmbeddedPostgres:
    return base_backup.restore(source, folder / "backup", folder / name, until=until)


def test_a_backup_gives_back_what_was_there_and_leaves_the_server_as_it_is(
    source: EmbeddedPostgres, folder: Path
) -> None:
    server = restored(source, folder, "snapshot")
    try:
        assert ask(server, "SELECT at FROM written") == [("before the backup",)]
        # Parameters and certificate are those of the source.
        assert ask(server, "SHOW work_mem") == [("7MB",)]
        assert ask(server, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
        ask(server, "INSERT INTO written VALUES ('after the restore')")
        assert ("after the restore",) not in ask(source, "SELECT at FROM written")
    finally:
        server.discard()


def test_a_point_in_time_ends_between_two_writes(source: EmbeddedPostgres, folder: Path) -> None:
    (until,) = ask(source, "SELECT clock_timestamp()")[0]
    ask(source, "DROP TABLE written")
    server = restored(source, folder, "point", until)
    try:
        assert ask(server, "SELECT at FROM written ORDER BY 1") == [("before the backup",), ("before the loss",)]
        # It is no standby: it takes writes.
        ask(server, "INSERT INTO written VALUES ('now')")
    finally:
        server.discard()
    assert ask(source, "SELECT to_regclass('written')") == [(None,)]


def test_a_point_in_time_that_has_not_come_is_refused(source: EmbeddedPostgres, folder: Path) -> None:
    later = dt.datetime.now(tz=dt.UTC) + dt.timedelta(hours=1)
    with pytest.raises(EmbeddedPostgresError, match="recovery ended before configured recovery target was reached"):
        restored(source, folder, "later", later)
