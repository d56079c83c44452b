"""One real deployment for all tests of this folder: `cdktf deploy local` into the emulator, with a small scan in it.

The files are named in the order in which they may run: what is deployed, what changes it, what takes it away.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.api_client import Answer, get
from lab.deployment import Deployment
from lab.scan import ScanJob, plan_scan, write_scan
from scannerdb import terraform
from stacks import ROOT

OBJECTS = 2000


class Deployed:
    """A deployment with a scan in it, and what the tests ask it for."""

    def __init__(self, deployment: Deployment, provider: terraform.Provider, migrations: Path) -> None:
        self.deployment = deployment
        self.migrations = migrations
        self.provider = provider
        self.summary = deployment.deploy(provider)
        # Not before: one of the jobs must still be young when a test asks for it.
        self.jobs: tuple[ScanJob, ...] = plan_scan(OBJECTS)
        write_scan(deployment.postgres.dsn(user="scanner_app"), self.jobs)
        deployment.emulator.invoke(deployment.function_name("refresh"), {"source": "schedule"})

    def get(self, path: str) -> Answer:
        """Send a signed request to the status API."""
        return get(f"{self.deployment.emulator.api_url}{path}", region=self.deployment.settings.region)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Run one statement as the administrator and return its rows."""
        with self.deployment.postgres.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())


@pytest.fixture(scope="session")
def provider() -> terraform.Provider:
    found = terraform.find_provider()
    if isinstance(found, terraform.NoProvider):
        pytest.skip(found.reason)
    return found


@pytest.fixture(scope="session")
def deployed(provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    # A copy, because one of the tests breaks it.
    migrations = shutil.copytree(ROOT / "migrations", tmp_path_factory.mktemp("release") / "migrations")
    with Deployment(tmp_path_factory.mktemp("deployment")) as deployment:
        deployment.overrides["SCANNER__RELEASE__MIGRATIONS"] = str(migrations)
        yield Deployed(deployment, provider, migrations)
