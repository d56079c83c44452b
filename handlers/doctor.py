"""Lambda `doctor`: examines the database for the on-call, directly and as `scanner_doctor`, and changes nothing."""

import json
import os
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from handlers.connection import Endpoint, connect, password_for
from handlers.contract.thresholds import Thresholds
from handlers.diagnosis import Commands, checks_of, examine, looks, overall
from handlers.migrator.release import Release, read_release
from handlers.telemetry import logger

if TYPE_CHECKING:
    import psycopg2

PROBLEMS = frozenset({"unknown", "warning", "critical"})


@logger.inject_lambda_context
def handler(event: dict[str, str], _context: LambdaContext) -> dict[str, Any]:
    """Examine what belongs to `event["alarm"]`, or everything.

    Returns:
        `{"state": "ok" | "warning" | "critical", "findings": [{"check", "state", "value", "why", "next"}, ...]}`.

    Raises:
        InvalidRequestError: there is no such alarm.

    """
    alarm = event.get("alarm")
    checks = checks_of(alarm)
    release = {f"release_{name}": os.environ[f"RELEASE_{name.upper()}"] for name in ("bucket", "key", "sha256")}
    commands = Commands(prefix=os.environ["DEPLOYMENT"], release=release)
    findings = examine(
        lambda: _connect("RDS_ENDPOINT"),
        Thresholds(**json.loads(os.environ["DOCTOR_LIMITS"])),
        commands=commands,
        checks=checks,
        read_release=lambda: _read(release),
        connect_proxy=lambda: _connect("RDS_PROXY_ENDPOINT"),
    )
    findings += looks(alarm, commands)
    for finding in findings:
        if finding.state in PROBLEMS:
            logger.warning(f"{finding.check}: {finding.value}", extra=finding.fields())
    return {"state": overall(findings), "findings": [finding.fields() for finding in findings]}


def _connect(variable: str) -> "psycopg2.extensions.connection":
    endpoint = Endpoint.from_environment({**os.environ, "RDS_PROXY_ENDPOINT": os.environ[variable]})
    return connect(endpoint, password=password_for(endpoint), application_name="doctor")


def _read(release: dict[str, str]) -> Release:
    once = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
    location = {"Bucket": release["release_bucket"], "Key": release["release_key"]}
    archive = boto3.client("s3", config=once).get_object(**location)["Body"].read()
    return read_release(archive, expected_sha256=release["release_sha256"])
