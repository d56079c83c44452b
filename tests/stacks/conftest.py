"""Fixtures of the tests of stacks: each environment in turn, and what Terraform needs to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scannerdb import terraform
from tests.support.synthesis import ENVIRONMENTS, Synthesised
from tests.support.uploaded_release import uploaded_release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase


@pytest.fixture(params=ENVIRONMENTS)
def stack(request: pytest.FixtureRequest, stacks: dict[str, Synthesised]) -> Synthesised:
    """Each environment in turn."""
    return stacks[request.param]


@pytest.fixture(scope="session")
def terraform_environment(provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return terraform.command_environment(provider, tmp_path_factory.mktemp("terraform"))


@pytest.fixture
def release_event(empty_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An uploaded release, a master secret, and the event that names the release."""
    with uploaded_release(empty_database, monkeypatch) as event:
        yield event
