"""Runs `scannerdb` inside the test's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scannerdb.main import command

if TYPE_CHECKING:
    from tests.conftest import TestDatabase


def scannerdb(*arguments: str, code: int = 0) -> None:
    """Run the command line, which must end with this exit code."""
    with pytest.raises(SystemExit) as ended:
        command(list(arguments))
    assert (ended.value.code or 0) == code


def dsn(database: TestDatabase) -> str:
    """Return the connection string of the owner."""
    return database.server.dsn(database=database.name)
