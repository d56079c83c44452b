"""Fixtures of the tests of stacks: each environment in turn, and what Terraform needs to read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from scannerdb import terraform
from scannerdb.review.emulator import empty_emulator
from tests.support.synthesis import ENVIRONMENTS, Synthesised, read_stack, run_main
from tests.support.uploaded_release import uploaded_release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase


@pytest.fixture(params=ENVIRONMENTS)
def stack(request: pytest.FixtureRequest, stacks: dict[str, Synthesised]) -> Synthesised:
    """Each environment in turn."""
    return stacks[request.param]


@pytest.fixture(scope="session")
def emulator_url() -> Iterator[str]:
    """A plain moto server: enough for the data sources of a plan."""
    with empty_emulator() as url:
        yield url


@pytest.fixture(scope="session")
def terraform_environment(provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return terraform.command_environment(provider, tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="session")
def plannable_stacks(
    provider: terraform.Provider,
    emulator_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Synthesised]:
    """Every environment, changed as little as any provider that can be found here and the emulator need.

    A provider older than 6.25 knows no `default_auth_scheme`, so the proxy authenticates by secret.
    """
    outdir = tmp_path_factory.mktemp("cdktf.out")
    variables = {
        "SCANNER__AWS__ENDPOINT": emulator_url,
        "SCANNER__AWS__PROVIDER_VERSION": ">= 5.100.0, < 7",
        "SCANNER__PROXY__AUTH_MODE": "secrets",
    }
    run_main(*ENVIRONMENTS, outdir=outdir, variables=variables)
    stacks = {environment: read_stack(outdir, environment) for environment in ENVIRONMENTS}
    for stack in stacks.values():
        # The state of a test: Terraform merges override files over the rest.
        backend = {"terraform": {"backend": {"local": {"path": "terraform.tfstate"}}}}
        (stack.folder / "override.tf.json").write_text(json.dumps(backend))
    return stacks


@pytest.fixture
def release_event(empty_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An uploaded release, a master secret, and the event that names the release."""
    with uploaded_release(empty_database, monkeypatch) as event:
        yield event
