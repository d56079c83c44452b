"""Translates between HTTP and Lambda as an API Gateway HTTP API does: routes, events, responses.

Source: "Create AWS Lambda proxy integrations for HTTP APIs", payload format version 2.0, in the API Gateway guide.
"""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Request, Response


@dataclass(frozen=True, kw_only=True)
class Route:
    """One route of the API and the function behind it."""

    key: str
    function_arn: str
    authorization_type: str
    api_id: str
    account_id: str

    @property
    def method(self) -> str:
        """The HTTP method, `ANY`, or `$default`."""
        return self.key.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path with its variables, such as `/jobs/{job_id}`."""
        return self.key.partition(" ")[2]

    def path_parameters(self, method: str, path: str) -> dict[str, str] | None:
        """Return the path variables of a request that matches the route, else `None`."""
        if self.key == "$default":
            return {}
        if self.method not in {method, "ANY"}:
            return None
        pattern = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", re.escape(self.path))
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)
        match = re.fullmatch(pattern, path)
        return match.groupdict() if match else None

    def precedence(self) -> tuple[bool, bool, int, bool]:
        """Return a sort key: full matches before greedy ones, fixed parts before variables, `$default` last."""
        return self.key == "$default", "+}" in self.path, self.path.count("{"), self.method == "ANY"


def find_route(routes: Iterable[Route], method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return the route that serves a request, with the path's variables."""
    for route in sorted(routes, key=Route.precedence):
        parameters = route.path_parameters(method, path)
        if parameters is not None:
            return route, parameters
    return None


def build_event(request: Request, route: Route, path_parameters: dict[str, str], request_id: str) -> dict[str, Any]:
    """Return the event of payload format version 2.0."""
    now = datetime.now(UTC)
    query: dict[str, str] = {name: ",".join(values) for name, values in request.args.lists()}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": request.path,
        "rawQueryString": request.query_string.decode(),
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "requestContext": {
            "accountId": route.account_id,
            "apiId": route.api_id,
            "domainName": request.host,
            "domainPrefix": route.api_id,
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
                "sourceIp": request.remote_addr,
                "userAgent": request.headers.get("User-Agent", ""),
            },
            "requestId": request_id,
            "routeKey": route.key,
            "stage": "$default",
            "time": f"{now:%d/%b/%Y:%H:%M:%S +0000}",
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    # The service omits these when they are empty.
    optional = {
        "queryStringParameters": query,
        "pathParameters": path_parameters,
        "body": request.get_data(as_text=True),
    }
    return event | {name: value for name, value in optional.items() if value}


def message(status: HTTPStatus, text: str) -> Response:
    """Return a response of the service itself, such as `{"message":"Not Found"}`."""
    return Response(json.dumps({"message": text}, separators=(",", ":")), status, content_type="application/json")


def translate(payload: str) -> Response:
    """Return the HTTP response for a function's result; 500 for a malformed result."""
    result = json.loads(payload)
    if not isinstance(result, dict) or "statusCode" not in result:
        return Response(payload, HTTPStatus.OK, content_type="application/json")
    body = result.get("body", "")
    if not isinstance(body, str) or not str(result["statusCode"]).isdigit():
        return message(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")
    headers = {name: str(value) for name, value in result.get("headers", {}).items()}
    response = Response(
        base64.b64decode(body) if result.get("isBase64Encoded") else body,
        int(result["statusCode"]),
        headers=headers,
        content_type=None if any(name.lower() == "content-type" for name in headers) else "text/plain; charset=utf-8",
    )
    for cookie in result.get("cookies", []):
        response.headers.add("Set-Cookie", cookie)
    return response
