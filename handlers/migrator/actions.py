"""The actions of the function `migrate`: run, plan and roll back a release as the owner of the tables."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import boto3
import psycopg2

from handlers.connection import Endpoint, connect
from handlers.contract.events import MigrateAction
from handlers.contract.parameters import ExpectedParameters
from handlers.contract.release import Release
from handlers.contract.variables import EXPECTED_PARAMETERS, MASTER_SECRET_ARN, RDS_ENDPOINT, RDS_USERNAME
from handlers.errors import InvalidRequestError, ScannerDatabaseError
from handlers.migrator.connecting import connect_to_supported
from handlers.migrator.first_use import FirstUse
from handlers.migrator.ledger import QUERIES, read_ledger
from handlers.migrator.runner import rollback, run
from handlers.migrator.session import Connect, RunLimits
from handlers.migrator.steps import migration_plan
from handlers.telemetry import logger

# A log line every ten seconds shows the progress of a build; more would cost without telling more.
POLL_INTERVAL_S = 10


def run_action(action: str, release: Release, *, first_use: FirstUse, deadline_s: float) -> dict[str, Any]:
    """Run one of `MigrateAction`.

    Args:
        action: its name.
        release: what it is done with.
        first_use: repeats the first calls to AWS and the first connection.
        deadline_s: how long it may take.

    Returns:
        `{"release_sha256", "applied": [file, ...], "already_applied": number of files}`;
        for a plan `{"release_sha256", "findings": [...], "steps": [...]}`;
        for a rollback `{"release_sha256", "rolled_back": file}`.

    Raises:
        InvalidRequestError: the action is unknown.
        ScannerDatabaseError: as `run`, `migration_plan` and `rollback`.

    """
    began_at = time.monotonic()
    owner = connect_as_owner(f"migrate {release.sha256[:12]}", first_use.call)
    left_s = max(deadline_s - (time.monotonic() - began_at), 0)
    expected = ExpectedParameters.parse(os.environ.get(EXPECTED_PARAMETERS))
    limits = RunLimits(deadline_s=left_s, poll_interval_s=POLL_INTERVAL_S)
    match action:
        case MigrateAction.MIGRATE:
            result = run(owner, release, limits=limits, report=logger.info, expected=expected)
            logger.info("migrated", applied=result.applied, already_applied=result.already_applied)
            return {**asdict(result), "applied": list(result.applied)}
        case MigrateAction.PLAN:
            planned = migration_plan(release, owner, limits=limits, expected=expected)
            return {"release_sha256": release.sha256, **planned.fields()}
        case MigrateAction.ROLLBACK:
            file = rollback(owner, release, limits=limits, report=logger.info)
            return {"release_sha256": release.sha256, "rolled_back": file}
        case _:
            raise InvalidRequestError("unknown_action", f"action {action!r} is none of {', '.join(MigrateAction)}")


def read_applied() -> dict[str, Any]:
    """Return what is applied to the database, and how large its tables are; changes nothing.

    Returns:
        `{"applied": [{"version", "name", "checksum", "applied_statements", "applied_at": ISO 8601 or None}],
        "table_bytes": {name: bytes}}`, or `{"unknown": the reason}`. An error would ring the alarm about a migration
        that failed.

    """
    try:
        return _read_applied()
    except (ScannerDatabaseError, psycopg2.Error) as error:
        return {"unknown": str(error).strip()}


def _read_applied() -> dict[str, Any]:
    connection = connect_to_supported(connect_as_owner("migrate ledger"))
    try:
        with connection.cursor() as cursor:
            # A plan is waiting, and a table may be locked.
            cursor.execute("SET statement_timeout = '10s'; SET lock_timeout = '5s'")
            entries = read_ledger(cursor)
            cursor.execute(QUERIES["table_sizes"])
            table_bytes = dict(cursor.fetchall())
    finally:
        connection.close()
    applied = [{**asdict(entry), "applied_at": entry.applied_at and entry.applied_at.isoformat()} for entry in entries]
    return {"applied": applied, "table_bytes": table_bytes}


def connect_as_owner(application_name: str, call: Callable[[Callable[[], Any]], Any] = lambda work: work()) -> Connect:
    """Return how to connect; `call` makes each call of AWS and each connection, perhaps more than once."""
    secrets = boto3.client("secretsmanager")
    secret = call(lambda: secrets.get_secret_value(SecretId=os.environ[MASTER_SECRET_ARN]))
    owner = json.loads(secret["SecretString"])
    endpoint = Endpoint.from_environment({**os.environ, RDS_USERNAME: owner["username"]}, server=RDS_ENDPOINT)
    return lambda: call(lambda: connect(endpoint, password=owner["password"], application_name=application_name))
