"""Checks what functions ask of AWS: refuses as AWS does, or passes on to the emulator.

Requests with other credentials, Terraform's and an operator's, are not checked: they are an administrator's.
"""

import json
import re
import socket
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Response

from lab.emulator.access.account import Function
from lab.emulator.access.calls import UnknownCallError
from lab.emulator.access.control import AccessControl
from lab.emulator.access.decisions import AccessDeniedError
from lab.emulator.access.network import NoRouteError, UnknownNetworkError
from lab.emulator.access.policy import UnknownPolicyError
from lab.emulator.contract.answers import error_response
from lab.emulator.contract.requests import Call, RequestError, parse
from lab.emulator.database_servers import DatabaseServers

# Answers the reasons of refusals, after a check of what AWS services do in the deployment.
SERVICES_PATH = "/emulator/check-services"
# Answers folder, port and version of the server of each restored instance.
SERVERS_PATH = "/emulator/database-servers"
ACCESS_KEY = re.compile(r"Credential=(ASIA[0-9A-F]{16})/")
# Code and status of a refusal by protocol; `json` is Step Functions' and Secrets Manager's.
DENIED = {
    "ec2": ("UnauthorizedOperation", HTTPStatus.FORBIDDEN),
    "json": ("AccessDeniedException", HTTPStatus.BAD_REQUEST),
    "query": ("AccessDenied", HTTPStatus.FORBIDDEN),
    "rest-json": ("AccessDeniedException", HTTPStatus.FORBIDDEN),
    "rest-xml": ("AccessDenied", HTTPStatus.FORBIDDEN),
}


class AccessLayer:
    """A WSGI application in front of the emulator's.

    Args:
        application: executes the requests that are allowed.
        control: decides.
        servers: of the emulated instances.

    """

    def __init__(self, application: Any, control: AccessControl, servers: DatabaseServers) -> None:
        self._application = application
        self._control = control
        self._servers = servers

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == SERVICES_PATH:
            return Response(json.dumps(self._control.check_services()))(environ, start_response)
        if environ["PATH_INFO"] == SERVERS_PATH:
            return Response(json.dumps(self._servers.addresses()))(environ, start_response)
        key = ACCESS_KEY.search(environ.get("HTTP_AUTHORIZATION", ""))
        function = self._control.function_with(key[1]) if key else None
        if function is not None:
            refused = self._refusal(environ, function)
            if refused is not None:
                return refused(environ, start_response)
        try:
            return self._application(environ, start_response)  # type: ignore[no-any-return]
        finally:
            self._control.changed()

    def _refusal(self, environ: dict[str, Any], function: Function) -> Response | None:
        try:
            call = parse(environ)
        except RequestError:
            # The check of the contract refuses it.
            return None
        try:
            self._control.check_call(function, call.service, call.name, call.parameters)
        except AccessDeniedError as error:
            return _denied(call, str(error))
        except NoRouteError:
            return _hang_up(environ)
        except (UnknownCallError, UnknownNetworkError, UnknownPolicyError) as error:
            return error_response(
                call.protocol, code="NotImplemented", message=str(error), status=HTTPStatus.NOT_IMPLEMENTED
            )
        return None


def _denied(call: Call, message: str) -> Response:
    code, status = DENIED[call.protocol]
    return error_response(call.protocol, code=code, message=message, status=status)


def _hang_up(environ: dict[str, Any]) -> Response:
    """End the connection without an answer: in AWS the caller would wait until its own timeout."""
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)
    return Response("", HTTPStatus.GATEWAY_TIMEOUT)
