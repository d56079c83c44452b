"""The system of a game day: a deployment made without Terraform, with a synthetic scan in it."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg2

from handlers.contract.variables import DOCTOR_LIMITS
from lab import api_client
from lab.deploy_without_terraform import deploy_without_terraform
from lab.deployment import Deployment
from lab.embedded_postgres import EmbeddedPostgres
from lab.emulator.server import CREDENTIALS, database_host_names
from lab.gameday.clock import SPEED, real_limits
from lab.gameday.database_log import LINE_PREFIX
from lab.scan import ScanJob, plan_scan, write_scan
from scannerdb.signed_requests import Response
from stacks import ROOT
from stacks.alarms.thresholds import doctor_thresholds
from stacks.settings import Settings

DIRECTORY = ROOT / "build" / "gameday"
OBJECTS = 200_000
# Jobs of one object each: one statement over all of them writes as many deltas.
SMALL_JOBS = 5_500
# The job that writers update; its objects have the keys that `lab.load` expects.
LOAD_JOB = "00000000-0000-4000-8000-000000000001"
LOAD_OBJECTS = 5_000
# A sequential scan of this small table counts as slow; the environments' thresholds are for millions of rows.
SLOW_STATEMENT_MS = 200
SETTINGS = {"SCANNER__SCHEDULE__REFRESH_MINUTES": "1", "SCANNER__DATABASE__LOG_MIN_DURATION_MS": str(SLOW_STATEMENT_MS)}
# RDS ends sessions that idle in a transaction for five minutes: here of the alarms' time.
IDLE_IN_TRANSACTION_S = 300

INSERT_LOAD_JOB = """
INSERT INTO jobs (job_id, bucket) VALUES (%(job)s, 'b');
INSERT INTO job_objects (job_id, bucket, key, etag, status)
SELECT %(job)s, 'b', number::text, 'e', 'queued' FROM generate_series(1, %(objects)s) AS number;
"""
INSERT_SMALL_JOBS = """
INSERT INTO jobs (job_id, bucket, created_at)
SELECT md5('small ' || number)::uuid, 'small', now() - INTERVAL '1 day' FROM generate_series(1, %(jobs)s) AS number;
INSERT INTO job_objects (job_id, bucket, key, etag, status)
SELECT md5('small ' || number)::uuid, 'small', 'key', 'e', 'succeeded' FROM generate_series(1, %(jobs)s) AS number;
"""


class System:
    """The running system, as faults, clients and the on-call use it."""

    def __init__(self, deployment: Deployment, jobs: Sequence[ScanJob], migrations: Path) -> None:
        self.deployment = deployment
        self.postgres = deployment.postgres
        self.jobs = jobs
        self.migrations = migrations
        functions = deployment.emulator.client("lambda").list_functions()["Functions"]
        self.functions = {each["FunctionName"] for each in functions}

    @property
    def settings(self) -> Settings:
        """The settings that were deployed."""
        return self.deployment.settings

    def connect(self, *, user: str | None = None, application: str = "gameday") -> "psycopg2.extensions.connection":
        """Open a connection in autocommit mode, as the administrator or a role."""
        who = {} if user is None else {"user": user}
        connection = psycopg2.connect(self.postgres.dsn(**who, application_name=application, connect_timeout=5))
        connection.autocommit = True
        return connection

    def query(self, sql: str, parameters: Any = None, *, user: str | None = None) -> list[tuple[Any, ...]]:
        """Run statements on a new connection and return the rows of the last."""
        with contextlib.closing(self.connect(user=user)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """Invoke a function by its short name and return its result.

        Raises:
            EmulatorError: it failed.

        """
        return self.deployment.emulator.invoke(self.deployment.function_name(function), event)

    def has(self, function: str) -> bool:
        """Return whether a function is deployed."""
        return self.deployment.function_name(function) in self.functions

    def get(self, path: str) -> Response:
        """Send a signed request to the status API."""
        return api_client.get(f"{self.deployment.emulator.api_url}{path}", region=self.settings.region)

    def environment(self) -> dict[str, str]:
        """Return the environment of the on-call's shell, as inside of `scannerdb tunnel`."""
        return {
            **os.environ,
            **SETTINGS,
            **self.deployment.settings_variables(),
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.deployment.emulator.aws_url,
            "AWS_DEFAULT_REGION": self.settings.region,
            "SCANNERDB_DSN": self.postgres.dsn(),
            "SCANNERDB_ENVIRONMENT": self.settings.environment,
        }


@contextlib.contextmanager
def running_system(directory: Path, *, report: Callable[[str], None]) -> Iterator[System]:
    """Start everything, deploy, write the scan and refresh once; stop everything at the end.

    Raises:
        DeploymentError, EmbeddedPostgresError, EmulatorError: it could not be started.

    """
    migrations = directory.parent / f"{directory.name}-migrations"
    deployment = Deployment(directory, report=report, environ={**os.environ, **SETTINGS})
    deployment.postgres = EmbeddedPostgres(
        directory / "postgresql",
        host_names=database_host_names(deployment.settings.region),
        parameters=server_parameters(deployment.settings),
        durable=False,
    )
    with _copied(ROOT / "migrations", migrations), deployment:
        deployment.overrides["SCANNER__RELEASE__MIGRATIONS"] = str(migrations)
        deploy_without_terraform(deployment, report=report)
        jobs = plan_scan(OBJECTS)
        system = System(deployment, jobs, migrations)
        report(f"writing {OBJECTS:,} objects in {len(jobs)} jobs, and {SMALL_JOBS:,} jobs of one object each")
        write_scan(deployment.postgres.dsn(user="scanner_app"), jobs)
        system.query(INSERT_LOAD_JOB, {"job": LOAD_JOB, "objects": LOAD_OBJECTS}, user="scanner_app")
        system.query(INSERT_SMALL_JOBS, {"jobs": SMALL_JOBS}, user="scanner_app")
        system.query("VACUUM (ANALYZE)", user="postgres")
        _scale_doctor(system)
        system.invoke("refresh", {})
        system.query("VACUUM (ANALYZE)", user="postgres")
        yield system


def server_parameters(settings: Settings) -> dict[str, str]:
    """Return the server's parameters: those of RDS and the stack that alarms depend on, and a laptop's sizes."""
    slow_ms = str(settings.database.log_min_duration_ms)
    return {
        "shared_buffers": "256MB",
        "max_wal_size": "2GB",
        "log_line_prefix": LINE_PREFIX,
        "log_min_duration_statement": slow_ms,
        "auto_explain.log_min_duration": slow_ms,
        "auto_explain.log_format": "json",
        "auto_explain.log_nested_statements": "on",
        "log_statement": "ddl",
        "log_lock_waits": "on",
        "pg_stat_statements.track": "all",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S * 1000 // SPEED}ms",
        "max_connections": str(settings.database.session_limit),
    }


@contextlib.contextmanager
def _copied(source: Path, target: Path) -> Iterator[None]:
    """Copy the migrations, because a fault adds a broken one."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    try:
        yield
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _scale_doctor(system: System) -> None:
    """Give `doctor`, and `migrate`, which runs what the doctor's checks name, their limits in real time."""
    client = system.deployment.emulator.client("lambda")
    limits = json.dumps(real_limits(asdict(doctor_thresholds(system.settings))))
    for function in ("doctor", "migrate"):
        name = system.deployment.function_name(function)
        variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        environment = {"Variables": {**variables, DOCTOR_LIMITS: limits}}
        client.update_function_configuration(FunctionName=name, Environment=environment)
