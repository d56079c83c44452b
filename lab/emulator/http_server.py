"""Serves HTTP APIs on loopback as API Gateway does: finds the route, checks the signature, invokes the function.

A route with AWS_IAM authorisation refuses unsigned and wrongly signed requests. A function that does not permit this
API to invoke it answers 500. Not checked: the caller's `execute-api:Invoke` policy, throttling, the integration's
timeout.
"""

import uuid
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Request, Response

from lab.emulator.http_api import Route, build_event, find_route, message, translate
from lab.emulator.lambda_process import Invocation
from lab.emulator.sigv4 import has_valid_signature


class HttpApi:
    """A WSGI application that serves every route.

    Args:
        routes: returns the routes as they are now.
        invoke: runs a route's function with an event; raises `PermissionError` when the function's policy forbids it.
        access_key, secret_key: the key that callers sign with.
        region: the region that callers sign for.

    """

    def __init__(
        self,
        *,
        routes: Callable[[], Iterable[Route]],
        invoke: Callable[[Route, dict[str, Any]], Invocation],
        access_key: str,
        secret_key: str,
        region: str,
    ) -> None:
        self._routes = routes
        self._invoke = invoke
        self._signing = {"access_key": access_key, "secret_key": secret_key, "region": region}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        return self.answer(Request(environ))(environ, start_response)

    def answer(self, request: Request) -> Response:
        """Return the response to one request; its header names the request as the access log does."""
        request_id = str(uuid.uuid4())
        response = self._answer(request, request_id)
        response.headers["apigw-requestid"] = request_id
        return response

    def _answer(self, request: Request, request_id: str) -> Response:
        found = find_route(self._routes(), request.method, request.path)
        if found is None:
            return message(HTTPStatus.NOT_FOUND, "Not Found")
        route, path_parameters = found
        if not self._may_call(request, route):
            return message(HTTPStatus.FORBIDDEN, "Forbidden")
        try:
            invocation = self._invoke(route, build_event(request, route, path_parameters, request_id))
        except PermissionError:
            return message(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")
        if invocation.is_error:
            return message(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")
        return translate(invocation.payload)

    def _may_call(self, request: Request, route: Route) -> bool:
        if route.authorization_type == "NONE":
            return True
        # Refuse what cannot be checked here, such as JWT.
        return route.authorization_type == "AWS_IAM" and has_valid_signature(
            request, service="execute-api", **self._signing
        )
