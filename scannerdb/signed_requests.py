"""Signed requests to the status API, as any AWS client sends them."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 30


@dataclass(frozen=True)
class Response:
    """Status code, headers and parsed body of one response."""

    status_code: int
    headers: dict[str, str]
    body: Any


def get(url: str, *, region: str, credentials: Any, timeout_s: float = TIMEOUT_S) -> Response:
    """Send one GET request and return its response, also an HTTP error.

    Args:
        url: of a route.
        region: of the API.
        credentials: botocore's, which sign it; `None` sends it unsigned.
        timeout_s: how long to wait for each part of the answer.

    Raises:
        OSError: there is no response.

    """
    # Imported here: most commands do not need it.
    from botocore.auth import SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415

    request = AWSRequest(method="GET", url=url)
    if credentials is not None:
        SigV4Auth(credentials, "execute-api", region).add_auth(request)
    signed = urllib.request.Request(url, headers=dict(request.headers))  # noqa: S310 - an address of our own outputs
    try:
        with urllib.request.urlopen(signed, timeout=timeout_s) as answer:  # noqa: S310
            return Response(answer.status, dict(answer.headers), _body(answer.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, dict(error.headers), _body(error.read()))


def _body(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")
