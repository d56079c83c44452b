"""Verifies AWS Signature Version 4, so that a request signed wrongly fails here as it does at API Gateway."""

import hmac
import re
from datetime import UTC, datetime, timedelta

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug.wrappers import Request

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<scope>[^,\s]+),\s*SignedHeaders=(?P<headers>[^,\s]+),\s*"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
ALLOWED_CLOCK_SKEW = timedelta(minutes=5)


def has_valid_signature(request: Request, *, access_key: str, secret_key: str, region: str, service: str) -> bool:
    """Return whether the headers carry a fresh signature made with this key for this region and service."""
    match = AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    timestamp = request.headers.get("X-Amz-Date", "")
    if match is None or not _is_recent(timestamp):
        return False
    if match["scope"] != f"{access_key}/{timestamp[:8]}/{region}/{service}/aws4_request":
        return False
    names = match["headers"].split(";")
    if not {"host", "x-amz-date"} <= set(names):
        return False
    signed = AWSRequest(
        method=request.method,
        url=f"http://{request.host}{request.environ['REQUEST_URI']}",
        data=request.get_data(),
        headers={name: request.headers.get(name, "") for name in names},
    )
    signed.context["timestamp"] = timestamp
    signer = SigV4Auth(Credentials(access_key, secret_key), service, region)
    expected = signer.signature(signer.string_to_sign(signed, signer.canonical_request(signed)), signed)
    return hmac.compare_digest(expected, match["signature"])


def _is_recent(timestamp: str) -> bool:
    try:
        signed_at = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(datetime.now(UTC) - signed_at) <= ALLOWED_CLOCK_SKEW
