"""Calls the status API as an AWS client would: over HTTP, signed."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lab.emulator.server import CREDENTIALS

TIMEOUT_S = 30


@dataclass(frozen=True)
class Answer:
    """Status code, headers and parsed body of one response."""

    status_code: int
    headers: dict[str, str]
    body: Any


def get(url: str, *, region: str) -> Answer:
    """Send one signed GET request and return its response, also an HTTP error.

    Raises:
        OSError: there is no response.

    """
    request = AWSRequest(method="GET", url=url)
    credentials = Credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(credentials, "execute-api", region).add_auth(request)
    signed = urllib.request.Request(url, headers=dict(request.headers))  # noqa: S310 - our own loopback address
    try:
        with urllib.request.urlopen(signed, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return Answer(answer.status, dict(answer.headers), json.load(answer))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), json.load(error))


def curl_command(url: str, *, region: str) -> str:
    """Return a curl command line for the same request."""
    user = f"{CREDENTIALS['AWS_ACCESS_KEY_ID']}:{CREDENTIALS['AWS_SECRET_ACCESS_KEY']}"
    return f"curl --aws-sigv4 'aws:amz:{region}:execute-api' --user {user} '{url}'"
