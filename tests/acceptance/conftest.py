"""The one real deployment of the acceptance tests: `cdktf deploy local` into the emulator, with a small scan in it."""

import shutil
from collections.abc import Iterator

import pytest

from lab.deployment import Deployment
from scannerdb import terraform
from stacks import ROOT
from tests.support.acceptance import Deployed

# A later deploy changes them.
FIRST = {
    "SCANNER__ALARMS__EMAILS": '["first@example.com"]',
    "SCANNER__ALARMS__RUNBOOK_URL": "https://example.com/docs/runbook.md",
    "SCANNER__TAGS__OWNER": "first",
    "SCANNER__TAGS__PURPOSE": "acceptance",
}


@pytest.fixture(scope="session")
def deployed(provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    # A copy, because one of the tests breaks it.
    migrations = shutil.copytree(ROOT / "migrations", tmp_path_factory.mktemp("release") / "migrations")
    with Deployment(tmp_path_factory.mktemp("deployment")) as deployment:
        deployment.overrides.update(FIRST | {"SCANNER__RELEASE__MIGRATIONS": str(migrations)})
        yield Deployed(deployment, provider, migrations)
