"""Lambda `migrate`: brings the database to the release that a deploy uploaded, as the master user."""

import json
import os
from dataclasses import asdict
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.connection import Endpoint, connect
from handlers.errors import InvalidRequestError
from handlers.migrator.describe import describe
from handlers.migrator.release import read_release
from handlers.migrator.runner import rollback, run
from handlers.migrator.session import Connect, Limits
from handlers.telemetry import logger

# What is left of the function's time when the runner must return, so that the reason gets out.
RESERVE_S = 30
# A log line every ten seconds tells a build's progress; more would only cost.
POLL_INTERVAL_S = 10


@logger.inject_lambda_context
def handler(event: dict[str, str], context: LambdaContext) -> dict[str, Any]:
    """Run a release; an error fails the invocation, and with it the deploy.

    Args:
        event: `{"release_bucket", "release_key", "release_sha256"}`, and `"action"` when it is not `"migrate"`:
            `"plan"` only tells what would run, `"rollback"` takes the newest migration back.
        context: gives the time that is left.

    Returns:
        `{"release_sha256", "applied": [file, ...], "already_applied": number of files}`; for a plan
        `{"release_sha256", "steps": [...]}`, for a rollback `{"release_sha256", "rolled_back": file}`.

    """
    location = {"Bucket": event["release_bucket"], "Key": event["release_key"]}
    archive = boto3.client("s3").get_object(**location)["Body"].read()
    release = read_release(archive, expected_sha256=event["release_sha256"])
    master = _connect_as_master(f"migrate {release.sha256[:12]}")
    remaining_s = context.get_remaining_time_in_millis() / 1000
    limits = Limits(
        lock_timeout_ms=int(os.environ.get("LOCK_TIMEOUT_MS", Limits.lock_timeout_ms)),
        lock_patience_s=float(os.environ.get("LOCK_PATIENCE_S", Limits.lock_patience_s)),
        deadline_s=max(remaining_s - RESERVE_S, 0),
        poll_interval_s=POLL_INTERVAL_S,
    )
    match event.get("action", "migrate"):
        case "migrate":
            result = run(master, release, limits=limits, report=logger.info)
            logger.info("migrated", applied=result.applied, already_applied=result.already_applied)
            return {**asdict(result), "applied": list(result.applied)}
        case "plan":
            steps = describe(release, master, limits=limits)
            return {"release_sha256": release.sha256, "steps": [step.fields() for step in steps]}
        case "rollback":
            file = rollback(master, release, limits=limits, report=logger.info)
            return {"release_sha256": release.sha256, "rolled_back": file}
        case action:
            raise InvalidRequestError("unknown_action", f"action {action!r} is none of migrate, plan, rollback")


def _connect_as_master(application_name: str) -> Connect:
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["MASTER_SECRET_ARN"])
    master = json.loads(secret["SecretString"])
    endpoint = Endpoint(
        host=os.environ["RDS_ENDPOINT"],
        port=int(os.environ["RDS_PORT"]),
        database=os.environ["RDS_DBNAME"],
        user=master["username"],
    )
    return lambda: connect(endpoint, password=master["password"], application_name=application_name)
