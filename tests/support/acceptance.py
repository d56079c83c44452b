"""A real deployment with a small scan in it, and what the acceptance tests ask it for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.api_client import get
from lab.emulator.contract.check import REFUSED
from lab.scan import ScanJob, plan_scan, write_scan

if TYPE_CHECKING:
    from pathlib import Path

    from lab.deployment import Deployment
    from lab.emulator.server import Emulator
    from scannerdb import terraform
    from scannerdb.signed_requests import Response

OBJECTS = 2000


def broken_requests(emulator: Emulator) -> list[str]:
    """Return the lines of the log that tell of a request that breaks a model of AWS."""
    log = emulator.log_file.read_text(errors="replace")
    return [line for line in log.splitlines() if line.startswith(REFUSED)]


class Deployed:
    """A deployment with a scan in it, and what the tests ask it for."""

    def __init__(self, deployment: Deployment, provider: terraform.Provider, migrations: Path) -> None:
        self.deployment = deployment
        number = max(int(file.name[:3]) for file in migrations.glob("[0-9][0-9][0-9]_*.sql")) + 1
        self.next_migration = migrations / f"{number:03}_add_scan_notes.sql"
        self.provider = provider
        self.summary = deployment.deploy(provider)
        # Not before: one of the jobs must still be young when a test asks for it.
        self.jobs: tuple[ScanJob, ...] = plan_scan(OBJECTS)
        write_scan(deployment.postgres.dsn(user="scanner_app"), self.jobs)
        deployment.emulator.invoke(deployment.function_name("refresh"), {"source": "schedule"})

    def get(self, path: str) -> Response:
        """Send a signed request to the status API."""
        return get(f"{self.deployment.emulator.api_url}{path}", region=self.deployment.settings.region)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Run one statement as the administrator and return its rows."""
        with self.deployment.postgres.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())
