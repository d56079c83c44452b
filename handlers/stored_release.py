"""The release in its bucket."""

import boto3
from botocore.config import Config

from handlers.contract.events import ReleaseEvent
from handlers.contract.release import Release
from handlers.migrator.release import read_release


def fetch_release(event: ReleaseEvent, config: Config | None = None) -> Release:
    """Return the release that an event names.

    Args:
        event: its bucket, key and hash.
        config: time limits and retries of the call to S3.

    Raises:
        ReleaseError: the object is damaged, or not the release that the event names.
        botocore.exceptions.ClientError: S3 refuses.

    """
    s3 = boto3.client("s3", config=config)
    archive = s3.get_object(Bucket=event["release_bucket"], Key=event["release_key"])["Body"].read()
    return read_release(archive, expected_sha256=event["release_sha256"])
