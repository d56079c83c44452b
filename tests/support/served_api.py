"""The emulator's HTTP API on loopback, with the routes of docs/openapi.yaml, in front of the handler."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Self

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request

from handlers import status
from lab.emulator.http_api import Route
from lab.emulator.http_server import HttpApi
from lab.emulator.lambda_process import Invocation
from lab.emulator.server import CREDENTIALS
from tests.support.invocations import Context
from tests.support.openapi import DOCUMENT, REGION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from werkzeug.wrappers import Response

KEYS = {"access_key": CREDENTIALS["AWS_ACCESS_KEY_ID"], "secret_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}


class ServedApi:
    """Serves `handlers.status.handler`. Use as a context manager.

    Attributes:
        url: where.
        first: what it answers in place of the handler, first to last.
        requests: path and query of each request.

    """

    def __init__(self) -> None:
        self.first: list[Response] = []
        self.requests: list[str] = []
        routes = [
            Route(
                key=f"{method.upper()} {path}",
                function_arn="arn:aws:lambda:eu-central-1:123456789012:function:status",
                authorization_type="AWS_IAM",
                api_id="api",
                account_id="123456789012",
            )
            for path, item in DOCUMENT["paths"].items()
            for method in item
        ]
        self._api = HttpApi(routes=lambda: routes, invoke=_invoke, region=REGION, **KEYS)
        # One thread, because the handler's connection serves one request at a time, as in Lambda.
        self._server = make_server("127.0.0.1", 0, self._serve, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.requests.append(Request(environ).full_path)
        if self.first:
            return self.first.pop(0)(environ, start_response)
        return self._api(environ, start_response)


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """Print nothing."""


def _invoke(_route: Route, event: dict[str, Any]) -> Invocation:
    try:
        # As Lambda passes it on.
        result = status.handler(json.loads(json.dumps(event)), Context())
    except Exception as error:  # noqa: BLE001 - as Lambda does
        return Invocation(payload=json.dumps({"errorMessage": str(error)}), is_error=True, log="", log_stream="")
    return Invocation(payload=json.dumps(result), is_error=False, log="", log_stream="")
