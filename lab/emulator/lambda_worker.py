"""One warm Lambda execution environment: loads a handler from the current folder and answers requests on a pipe.

Runs as a script in a fresh interpreter (`python -I -S`) with the standard library only, so a module that the package
lacks is missing here too. The protocol is one JSON object a line: requests on standard input, answers on the original
standard output. The handler's output goes to standard error, which is its log. Errors and context have the form of the
runtime that AWS publishes (aws/aws-lambda-python-runtime-interface-client).
"""

import decimal
import importlib
import json
import logging
import os
import queue
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, BinaryIO, TextIO

Handler = Callable[[Any, "LambdaContext"], Any]
Error = dict[str, Any]

# A JSON object: host of a database that refuses the function -> message of the error.
REFUSED_DATABASES = "LAMBDA_REFUSED_DATABASES"
# A JSON object: host of a database -> the port that its server listens on here, instead of the one of its settings.
DATABASE_PORTS = "LAMBDA_DATABASE_PORTS"


class LambdaContext:
    """The context object that a handler receives."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.aws_request_id: str = request["request_id"]
        self.invoked_function_arn: str = request["invoked_function_arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.client_context = None
        self.identity = None
        self._deadline_s: float = request["deadline_s"]

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the invocation is killed, at least 0."""
        return max(0, int((self._deadline_s - time.time()) * 1000))


class _ResultEncoder(json.JSONEncoder):
    def default(self, o: object) -> object:
        return float(o) if isinstance(o, decimal.Decimal) else super().default(o)


def error_report(error: BaseException, request_id: str, trace: TracebackType | None) -> Error:
    """Return an exception in the form that Lambda returns to the caller."""
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_list(traceback.extract_tb(trace)),
    }


def load(name: str) -> Handler | Error:
    """Return the handler named `package.module.function`, or the error that Lambda reports."""
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        return {"errorMessage": f"Bad handler '{name}'", "errorType": "Runtime.MalformedHandlerName", "stackTrace": []}
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        return {"errorMessage": message, "errorType": "Runtime.ImportModuleError", "stackTrace": []}
    except Exception as error:  # noqa: BLE001 - any error of the module is the answer
        return error_report(error, "", error.__traceback__)
    handler: Handler | None = getattr(module, function_name, None)
    if handler is None:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        return {"errorMessage": message, "errorType": "Runtime.HandlerNotFound", "stackTrace": []}
    return handler


def answer(handler: Handler, request: dict[str, Any]) -> dict[str, Any]:
    """Call the handler once; return `{"result": <JSON text>}` or `{"error": ...}`."""
    context = LambdaContext(request)
    try:
        result = handler(request["event"], context)
    except Exception as error:  # noqa: BLE001 - any error of the handler is the answer
        # The first frame is this function.
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        return {"error": error_report(error, context.aws_request_id, trace)}
    try:
        return {"result": json.dumps(result, cls=_ResultEncoder, ensure_ascii=False, allow_nan=False)}
    except (TypeError, ValueError) as error:
        message = f"Unable to marshal response: {error}"
        return {"error": {"errorMessage": message, "errorType": "Runtime.MarshalError", "stackTrace": []}}


def log_error(error: Error) -> None:
    """Write an error to the log as the runtime does."""
    trace = "\n".join(["Traceback (most recent call last):", *error["stackTrace"]]) if error["stackTrace"] else ""
    sys.stderr.write(f"[ERROR] {error['errorType']}: {error['errorMessage']}\n{trace}\n")


def find_databases(refused: dict[str, str], ports: dict[str, int]) -> None:
    """Let connections to some hosts fail with these messages, and those to others lead to these ports.

    libpq asks nothing that could refuse them earlier, and no names resolve here. In AWS a connection that no security
    group lets through fails after a timeout; here at once.
    """
    psycopg2: Any = sys.modules.get("psycopg2")
    if not (refused or ports) or psycopg2 is None:
        return
    connect = psycopg2.connect

    def connect_if_allowed(*args: Any, **kwargs: Any) -> Any:
        host = kwargs.get("host")
        if host in refused:
            raise psycopg2.OperationalError(refused[host])
        return connect(*args, **{**kwargs, **({"port": ports[host]} if host in ports else {})})

    psycopg2.connect = connect_if_allowed


def requests_until_end(pipe: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield requests; end the process when the pipe closes, even while the handler runs.

    The pipe closes when the emulator ends in any way, so no worker outlives it.
    """
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        for line in pipe:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


def take_protocol() -> tuple[BinaryIO, TextIO]:
    """Return both sides of the protocol; output from Python or C goes to the log from now on."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    return requests, answers


def main() -> None:
    """Load the handler, say so, and answer until the pipe closes."""
    pipe, answers = take_protocol()
    logging.basicConfig(stream=sys.stderr, format="[%(levelname)s]\t%(asctime)s\t%(message)s", level=logging.WARNING)
    requests = requests_until_end(pipe)

    def send(message: dict[str, Any]) -> None:
        sys.stderr.flush()
        print(json.dumps(message), file=answers, flush=True)

    handler = load(os.environ["_HANDLER"])
    if isinstance(handler, dict):
        log_error(handler)
        send({"error": handler})
        return
    refused, ports = (json.loads(os.environ.get(name, "{}")) for name in (REFUSED_DATABASES, DATABASE_PORTS))
    find_databases(refused, ports)
    send({"ready": True})
    for request in requests:
        message = answer(handler, request)
        if "error" in message:
            log_error(message["error"])
        # The unit of ru_maxrss is KiB, on macOS bytes.
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 * 1024 if sys.platform == "darwin" else 1024)
        send({**message, "max_memory_used_mb": used})


if __name__ == "__main__":
    # Lambda's order: the function's own package first, then the standard library, then what the runtime brings.
    sys.path[:] = [os.environ["LAMBDA_TASK_ROOT"], *sys.path, os.environ["LAMBDA_RUNTIME_DIR"]]
    main()
