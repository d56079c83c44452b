"""Requests as boto3 sends them: kept as a WSGI environment, or answered by a WSGI application in this process."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from werkzeug.test import EnvironBuilder, run_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REGION, ACCESS_KEY = "eu-central-1", "AKIAEXAMPLE"


def unchecked_client(service: str, send: Callable[[AWSPreparedRequest], AWSResponse]) -> Any:
    """Return a client that sends any parameters, by a function of ours."""
    client = boto3.client(
        service,
        endpoint_url="http://localhost",
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key="secret",
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    client.meta.events.register("before-send", lambda request, **_: send(request))
    return client


def request_of(
    service: str,
    operation: str,
    parameters: dict[str, Any],
    *,
    change: Callable[[AWSPreparedRequest], object] = lambda _: None,
) -> dict[str, Any]:
    """Return the WSGI environment of the request that boto3 would send.

    Args:
        service, operation, parameters: such as `rds`, `modify_db_instance`; the parameters are not checked.
        change: may change the request before.

    """
    kept: list[dict[str, Any]] = []

    class _KeptError(Exception):
        pass

    def keep(request: AWSPreparedRequest) -> AWSResponse:
        change(request)
        kept.append(environ_of(request))
        raise _KeptError

    with contextlib.suppress(_KeptError):
        getattr(unchecked_client(service, keep), operation)(**parameters)
    return kept[0]


def answered_client(service: str, application: Any) -> Any:
    """Return a client whose requests a WSGI application answers."""

    def send(request: AWSPreparedRequest) -> AWSResponse:
        chunks, status, headers = run_wsgi_app(application, environ_of(request), buffered=True)
        return AWSResponse(request.url, int(status.split()[0]), dict(headers), _Raw(b"".join(chunks)))

    return unchecked_client(service, send)


def environ_of(request: AWSPreparedRequest) -> dict[str, Any]:
    """Return what a server makes of a request."""
    # S3 Control puts the account's number before the host.
    target = request.url.partition("localhost")[2] or "/"
    path, _, query = target.partition("?")
    body = request.body or b""
    builder = EnvironBuilder(
        method=request.method,
        path=path,
        query_string=query,
        headers={name: text.decode() if isinstance(text, bytes) else text for name, text in request.headers.items()},
        data=body.read() if hasattr(body, "read") else body,
    )
    return builder.get_environ() | {"RAW_URI": target}


class _Raw(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()
