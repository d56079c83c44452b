"""A failover as clients of the emulated cluster see it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import psycopg2
import pytest

from lab.embedded_postgres import ADMIN_USER, DATABASE
from lab.emulator import patch_clusters
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from lab.embedded_postgres import EmbeddedPostgres


def test_a_failover_ends_every_session_and_takes_none_for_a_while(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patch_clusters, "FAILOVER_S", 2)

    def is_answering() -> bool:
        with contextlib.suppress(psycopg2.OperationalError), postgres.connect():
            return True
        return False

    login = {"port": postgres.port, "user": ADMIN_USER, "password": postgres.password}
    with postgres.connect() as session, session.cursor() as cursor:
        failover = threading.Thread(target=patch_clusters.interrupt, args=(DATABASE,), kwargs=login)
        failover.start()
        wait_until(lambda: not is_answering())
        failover.join()
        with pytest.raises(psycopg2.OperationalError):
            cursor.execute("SELECT 1")
    assert is_answering()
