"""Lambda `doctor`: examines the database for the on-call, directly and as `scanner_doctor`, and changes nothing."""

import json
import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from handlers.connection import Endpoint, connect, password_for
from handlers.contract.databases import RdsDatabase
from handlers.contract.events import DoctorEvent
from handlers.contract.parameters import ExpectedParameters
from handlers.contract.thresholds import Thresholds
from handlers.contract.variables import (
    DATABASE,
    DEPLOYMENT,
    DOCTOR_LIMITS,
    EXPECTED_PARAMETERS,
    RDS_ENDPOINT,
    RDS_PROXY_ENDPOINT,
    release_event,
)
from handlers.diagnosis import Commands, checks_of, examine, looks, overall, worst_first
from handlers.stored_release import fetch_release
from handlers.telemetry import logger

if TYPE_CHECKING:
    import psycopg2

PROBLEMS = frozenset({"unknown", "warning", "critical"})
ONE_SHORT_TRY = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})


@logger.inject_lambda_context
def handler(event: DoctorEvent, _context: LambdaContext) -> dict[str, Any]:
    """Examine what belongs to `event["alarm"]`, or everything.

    Returns:
        `{"state": "ok" | "warning" | "critical", "findings": [{"check", "state", "value", "why", "next"}, ...]}`, the
        worst finding first.

    Raises:
        InvalidRequestError: there is no such alarm.

    """
    alarm = event.get("alarm")
    checks = checks_of(alarm)
    release = release_event(os.environ)
    commands = Commands(
        prefix=os.environ[DEPLOYMENT], database=RdsDatabase.parse(os.environ[DATABASE]), release=release
    )
    findings = examine(
        lambda: _connect(RDS_ENDPOINT),
        Thresholds(**json.loads(os.environ[DOCTOR_LIMITS])),
        commands=commands,
        checks=checks,
        read_release=lambda: fetch_release(release, ONE_SHORT_TRY),
        connect_proxy=lambda: _connect(RDS_PROXY_ENDPOINT),
        expected=ExpectedParameters.parse(os.environ.get(EXPECTED_PARAMETERS)),
    )
    findings = worst_first([*findings, *looks(alarm, commands)])
    for finding in findings:
        if finding.state in PROBLEMS:
            logger.warning(f"{finding.check}: {finding.value}", extra=finding.fields())
    return {"state": overall(findings), "findings": [finding.fields() for finding in findings]}


def _connect(server: str) -> "psycopg2.extensions.connection":
    endpoint = Endpoint.from_environment(server=server)
    return connect(endpoint, password=password_for(endpoint), application_name="doctor")
