"""Fixtures of the tests of handlers: a release to migrate to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.uploaded_release import uploaded_release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase


@pytest.fixture
def release_event(empty_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An uploaded release, a master secret, and the event that names the release."""
    with uploaded_release(empty_database, monkeypatch) as event:
        yield event
