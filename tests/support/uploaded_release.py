"""A release where `migrate` finds it, and its invocation (moto stands for S3 and Secrets Manager)."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3

from handlers import migrate
from lab.embedded_postgres import ADMIN_USER
from stacks.assets.package import build_release
from tests.support.database import BUILD, MIGRATIONS
from tests.support.invocations import Context
from tests.support.mocked_aws import mocked_aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.support.database import TestDatabase


class FifteenMinutes(Context):
    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@contextmanager
def uploaded_release(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Upload a release, make a master secret, and yield the event that names the release."""
    server = database.server
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    release = build_release(MIGRATIONS, folder=BUILD / "releases")
    key = f"{release.sha256}.zip"
    with mocked_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="releases")
        s3.put_object(Bucket="releases", Key=key, Body=release.path.read_bytes())
        secret = {"username": ADMIN_USER, "password": server.password}
        arn = boto3.client("secretsmanager").create_secret(Name="master", SecretString=json.dumps(secret))["ARN"]
        monkeypatch.setenv("MASTER_SECRET_ARN", arn)
        monkeypatch.setenv("RDS_ENDPOINT", server.host)
        monkeypatch.setenv("RDS_PORT", str(server.port))
        monkeypatch.setenv("RDS_DBNAME", database.name)
        monkeypatch.setenv("RDS_CA_BUNDLE", str(server.certificate_authority))
        yield {"release_bucket": "releases", "release_key": key, "release_sha256": release.sha256}


def invoke_migrate(event: dict[str, str]) -> dict[str, Any]:
    """Return what `migrate` answers."""
    return migrate.handler(event, FifteenMinutes())
