"""Lambda `migrate`: brings the database to the release that a deploy uploaded, as the master user."""

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.connection import Endpoint, connect
from handlers.migrator.release import read_release
from handlers.migrator.runner import run
from handlers.migrator.session import Limits
from handlers.telemetry import logger

# What is left of the function's time when the runner must return, so that the reason gets out.
RESERVE_S = 30
# A log line every ten seconds tells a build's progress; more would only cost.
POLL_INTERVAL_S = 10


@logger.inject_lambda_context
def handler(event: dict[str, str], context: LambdaContext) -> dict[str, Any]:
    """Run a release; an error fails the invocation, and with it the deploy.

    Args:
        event: `{"release_bucket", "release_key", "release_sha256"}`.
        context: gives the time that is left.

    Returns:
        `{"release_sha256", "applied": [file, ...], "already_applied": number of files}`.

    """
    location = {"Bucket": event["release_bucket"], "Key": event["release_key"]}
    archive = boto3.client("s3").get_object(**location)["Body"].read()
    release = read_release(archive, expected_sha256=event["release_sha256"])
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["MASTER_SECRET_ARN"])
    master = json.loads(secret["SecretString"])
    endpoint = Endpoint(
        host=os.environ["RDS_ENDPOINT"],
        port=int(os.environ["RDS_PORT"]),
        database=os.environ["RDS_DBNAME"],
        user=master["username"],
    )
    name = f"migrate {release.sha256[:12]}"
    remaining_s = context.get_remaining_time_in_millis() / 1000
    result = run(
        lambda: connect(endpoint, password=master["password"], application_name=name),
        release,
        limits=Limits(deadline_s=max(remaining_s - RESERVE_S, 0), poll_interval_s=POLL_INTERVAL_S),
        report=logger.info,
    )
    logger.info("migrated", applied=result.applied, already_applied=result.already_applied)
    return {
        "release_sha256": result.release_sha256,
        "applied": list(result.applied),
        "already_applied": result.already_applied,
    }
