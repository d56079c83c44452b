"""Patches moto's Lambda to run the uploaded package, and connects its HTTP APIs to their functions."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from moto.apigatewayv2.models import Api, apigatewayv2_backends
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaFunction
from moto.awslambda.utils import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID

from lab.emulator.access.control import AccessControl, FunctionAccess
from lab.emulator.access.decisions import AccessDeniedError
from lab.emulator.access.services import route_use
from lab.emulator.http_api import Route
from lab.emulator.lambda_process import Function, Invocation
from lab.emulator.lambda_runtime import LambdaRuntime
from lab.emulator.lambda_worker import DATABASE_PORTS, REFUSED_DATABASES
from lab.emulator.patching import after, replace

Ports = Callable[[], Mapping[str, int]]
# Invoke returns the last 4 KB of the log.
LOG_TAIL_BYTES = 4096
CANNOT_DECRYPT = (
    "Lambda was unable to decrypt the environment variables because KMS access was denied. Please check the function's "
    "KMS key settings. KMS Exception: AccessDeniedException KMS Message: {}"
)


def patch_functions(runtime: LambdaRuntime, control: AccessControl, ports: Ports) -> None:
    """Run the uploaded package on every invocation, whichever service invokes, with the rights of its role.

    Args:
        runtime: runs it.
        control: knows its rights.
        ports: returns host name -> port of the databases that listen on another port than they say.

    """

    def invoke(
        self: LambdaFunction, body: str, request_headers: Mapping[str, str], response_headers: MutableMapping[str, str]
    ) -> bytes:
        event = json.loads(body) if body else {}
        kind = request_headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "DryRun":
            return b""
        if kind == "Event":
            # Unlike the service, without two retries.
            threading.Thread(target=_run, args=(runtime, control, ports, self, event), daemon=True).start()
            return b""
        invocation = _run(runtime, control, ports, self, event)
        response_headers["X-Amz-Executed-Version"] = _version(self)
        tail = invocation.log.encode()[-LOG_TAIL_BYTES:]
        response_headers["x-amz-log-result"] = base64.b64encode(tail).decode()
        if invocation.is_error:
            response_headers["X-Amz-Function-Error"] = "Unhandled"
        return invocation.payload.encode()

    replace(LambdaFunction, "invoke", invoke)


def patch_api_address(address: str) -> None:
    """Let each HTTP API say that it is served at this address, because its name at AWS resolves nowhere."""

    def name(self: Api, _: Mapping[str, Any]) -> None:
        self.api_endpoint = address

    after(Api, "__init__", name)


def api_routes(region: str) -> Iterator[Route]:
    """Yield the routes of every HTTP API in a region."""
    for api in list(apigatewayv2_backends[DEFAULT_ACCOUNT_ID][region].apis.values()):
        for route in list(api.routes.values()):
            integration = api.integrations[route.target.removeprefix("integrations/")]
            yield Route(
                key=route.route_key,
                # An integration URI is either the function's ARN or the path that invokes it.
                function_arn=integration.integration_uri.partition("/functions/")[2].removesuffix("/invocations")
                or integration.integration_uri,
                authorization_type=route.authorization_type or "NONE",
                api_id=api.api_id,
                account_id=DEFAULT_ACCOUNT_ID,
            )


def invoke_route(
    route: Route, event: dict[str, Any], *, runtime: LambdaRuntime, control: AccessControl, ports: Ports, region: str
) -> Invocation:
    """Run the function behind a route.

    Raises:
        PermissionError: the function's policy does not let this API invoke it.

    """
    caller = f"arn:aws:execute-api:{region}:{route.account_id}:{route.api_id}/$default/{route.method}{route.path}"
    try:
        control.check(route_use(control.account(), caller))
    except AccessDeniedError as error:
        raise PermissionError(str(error)) from error
    function = get_backend(DEFAULT_ACCOUNT_ID, region).get_function(route.function_arn)
    return _run(runtime, control, ports, function, event)


def _version(function: LambdaFunction) -> str:
    qualifier = function.function_arn.split(":")[7:]
    return qualifier[0] if qualifier else "$LATEST"


def _function(function: LambdaFunction, access: FunctionAccess | None, ports: Mapping[str, int]) -> Function:
    return Function(
        name=function.function_name,
        arn=function.function_arn,
        handler=function.handler or "",
        timeout_s=int(function.timeout),
        memory_mb=int(function.memory_size),
        code=function.code_bytes,
        environment={name: str(value) for name, value in function.environment_vars.items()},
        version=_version(function),
        region=function.region,
        given={**({DATABASE_PORTS: json.dumps(ports)} if ports else {}), **(_given(access) if access else {})},
    )


def _given(access: FunctionAccess) -> dict[str, str]:
    refused = {REFUSED_DATABASES: json.dumps(access.refused_hosts)} if access.refused_hosts else {}
    return {**access.credentials, **refused}


def _run(
    runtime: LambdaRuntime, control: AccessControl, ports: Ports, function: LambdaFunction, event: Any
) -> Invocation:
    access = control.function_access(function.function_name)
    if access is not None and access.decrypt_refused is not None:
        raise LambdaClientError("KMSAccessDeniedException", CANNOT_DECRYPT.format(access.decrypt_refused))
    invocation = runtime.invoke(_function(function, access, ports()), event)
    if access is None or access.can_log:
        _write_log(function, invocation)
    return invocation


def _write_log(function: LambdaFunction, invocation: Invocation) -> None:
    now_ms = int(time.time() * 1000)
    logs = function.logs_backend
    logs.ensure_log_group(function.logs_group_name)
    logs.ensure_log_stream(function.logs_group_name, invocation.log_stream)
    events = [{"timestamp": now_ms, "message": line} for line in invocation.log.splitlines()]
    logs.put_log_events(function.logs_group_name, invocation.log_stream, events)
