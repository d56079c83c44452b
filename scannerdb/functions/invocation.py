"""Invokes a deployed function and returns its result."""

import json
from collections.abc import Mapping
from typing import Any

from handlers.contract.names import function_name
from scannerdb.aws import calling, client
from scannerdb.errors import OperatorError
from stacks.settings import Settings


def invoke_function(settings: Settings, function: str, event: Mapping[str, Any] | str) -> Any:
    """Invoke one of `names.FUNCTIONS`, wait for it, and return its result.

    Args:
        settings: of the environment.
        function: its short name.
        event: an object, or the JSON of one.

    Raises:
        OperatorError: it raised an error, or could not be invoked.

    """
    name = function_name(settings.prefix, function)
    lambda_ = client(settings, "lambda")
    payload = event if isinstance(event, str) else json.dumps(event)
    with calling(settings, f"the function {name}"):
        answer = lambda_.invoke(FunctionName=name, Payload=payload.encode())
        body = answer["Payload"].read().decode()
    result = json.loads(body) if body else None
    if "FunctionError" in answer:
        next_command = f"scannerdb logs {function} -e {settings.environment} --since 15m"
        raise OperatorError(_error(name, result, next_command))
    return result


def _error(name: str, result: Any, next_command: str) -> str:
    said = result if isinstance(result, dict) else {"errorMessage": json.dumps(result)}
    kind = f"{said['errorType']}: " if said.get("errorType") else ""
    return f"{name} raised {kind}{said.get('errorMessage', 'an error without a message')}\nNext: {next_command}"
