"""Patches moto's Lambda to run the uploaded package, and connects its HTTP APIs to their functions."""

import base64
import fnmatch
import json
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from moto.apigatewayv2.models import Api, apigatewayv2_backends
from moto.awslambda.models import LambdaFunction
from moto.awslambda.utils import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID

from lab.emulator.http_api import Route
from lab.emulator.lambda_process import Function, Invocation
from lab.emulator.lambda_runtime import LambdaRuntime
from lab.emulator.patching import after, replace

# Invoke returns the last 4 KB of the log.
LOG_TAIL_BYTES = 4096


def patch_functions(runtime: LambdaRuntime) -> None:
    """Run the uploaded package on every invocation, whichever service invokes."""

    def invoke(
        self: LambdaFunction, body: str, request_headers: Mapping[str, str], response_headers: MutableMapping[str, str]
    ) -> bytes:
        event = json.loads(body) if body else {}
        kind = request_headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "DryRun":
            return b""
        if kind == "Event":
            # Unlike the service, without two retries.
            threading.Thread(target=_run, args=(runtime, self, event), daemon=True).start()
            return b""
        invocation = _run(runtime, self, event)
        response_headers["X-Amz-Executed-Version"] = _function(self).version
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


def invoke_route(runtime: LambdaRuntime, region: str, route: Route, event: dict[str, Any]) -> Invocation:
    """Run the function behind a route.

    Raises:
        PermissionError: the function's policy does not let this API invoke it.

    """
    function = get_backend(DEFAULT_ACCOUNT_ID, region).get_function(route.function_arn)
    caller = f"arn:aws:execute-api:{region}:{route.account_id}:{route.api_id}/$default/{route.method}{route.path}"
    if not any(_permits(statement, caller) for statement in function.policy.statements):
        raise PermissionError(f"{function.function_name} has no permission for {caller}")
    return _run(runtime, function, event)


def _permits(statement: Mapping[str, Any], caller: str) -> bool:
    condition = statement.get("Condition", {})
    sources = [value for test in condition.values() for key, value in test.items() if key.lower() == "aws:sourcearn"]
    return (
        statement.get("Effect") == "Allow"
        and statement.get("Principal") == {"Service": "apigateway.amazonaws.com"}
        and statement.get("Action") in {"lambda:InvokeFunction", "lambda:*"}
        and all(fnmatch.fnmatchcase(caller, source) for source in sources)
    )


def _function(function: LambdaFunction) -> Function:
    qualifier = function.function_arn.split(":")[7:]
    return Function(
        name=function.function_name,
        arn=function.function_arn,
        handler=function.handler or "",
        timeout_s=int(function.timeout),
        memory_mb=int(function.memory_size),
        code=function.code_bytes,
        environment={name: str(value) for name, value in function.environment_vars.items()},
        version=qualifier[0] if qualifier else "$LATEST",
        region=function.region,
    )


def _run(runtime: LambdaRuntime, function: LambdaFunction, event: Any) -> Invocation:
    invocation = runtime.invoke(_function(function), event)
    now_ms = int(time.time() * 1000)
    logs = function.logs_backend
    logs.ensure_log_group(function.logs_group_name)
    logs.ensure_log_stream(function.logs_group_name, invocation.log_stream)
    events = [{"timestamp": now_ms, "message": line} for line in invocation.log.splitlines()]
    logs.put_log_events(function.logs_group_name, invocation.log_stream, events)
    return invocation
