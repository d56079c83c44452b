"""The real `refresh`, on an embedded database: what it logs and emits is what queries and dashboard must know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handlers import refresh
from handlers.connection import Database

if TYPE_CHECKING:
    import pytest

    from tests.support.database import TestDatabase

ACTIONS = ("refresh", "verify", "rebuild")


def connect_refresh(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the handler work on a database of the embedded server."""
    variables = database.variables("progress_refresher")
    monkeypatch.setenv("RDS_CA_BUNDLE", variables["RDS_CA_BUNDLE"])
    monkeypatch.setattr(refresh, "database", Database(variables, query_timeout_s=3))
    monkeypatch.setattr(refresh.metrics.provider, "namespace", "ScannerDatabase")
    monkeypatch.setattr(refresh.metrics.provider, "service", "scanner-database-test-refresh")
