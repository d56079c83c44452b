"""One Lambda execution environment seen from outside: a process, its pipe, its log and its time limit."""

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# The service allows 10 s to load a handler; this machine may be busy with Terraform.
INIT_TIMEOUT_S = 60
WORKER = Path(__file__).with_name("lambda_worker.py")


@dataclass(frozen=True, kw_only=True)
class Function:
    """One version of a function, as it was uploaded."""

    name: str
    arn: str
    handler: str
    timeout_s: int
    memory_mb: int
    code: bytes
    environment: Mapping[str, str]
    version: str = "$LATEST"
    region: str = "us-east-1"
    # Variables that the service adds: credentials.
    given: Mapping[str, str] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return a value that changes with code or configuration."""
        variables = sorted({**self.given, **self.environment}.items())
        configuration = (self.handler, self.timeout_s, self.memory_mb, variables, self.version)
        return hashlib.sha256(repr(configuration).encode() + hashlib.sha256(self.code).digest()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """The result of one invocation: its payload (JSON text), whether that is an error, and its log."""

    payload: str
    is_error: bool
    log: str
    log_stream: str


class LambdaProcess:
    """One process; serves one request at a time."""

    def __init__(
        self, function: Function, *, fingerprint: str, code: Path, log_file: Path, environment: Mapping[str, str]
    ) -> None:
        self.arn = function.arn
        self.fingerprint = fingerprint
        self.log_stream = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}"
        self._log_file = log_file
        self._log = log_file.open("ab", buffering=0)
        self._log_offset = self._log.tell()
        self._started_s = time.monotonic()
        self._loaded = False
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WORKER)],
            cwd=code,
            env={**self._variables(function, code), **environment, **function.given, **function.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )

    def is_alive(self) -> bool:
        """Return whether the process can take another request."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the process; safe while another thread waits for its answer."""
        self._process.kill()

    def close(self) -> None:
        """Kill the process, wait for its end and release its pipes."""
        self.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def invoke(self, function: Function, event: Any) -> Invocation:
        """Send one request and wait for its answer, at most the function's timeout."""
        request_id = str(uuid.uuid4())
        loaded, init = self._wait_until_loaded(request_id)
        self._write_log(f"START RequestId: {request_id} Version: {function.version}")
        started_s = time.monotonic()
        answer = self._ask(function, event, request_id) if "error" not in loaded else loaded
        duration_ms = (time.monotonic() - started_s) * 1000
        self._write_log(f"END RequestId: {request_id}")
        self._write_log(
            f"REPORT RequestId: {request_id}\tDuration: {duration_ms:.2f} ms\t"
            f"Billed Duration: {int(duration_ms) + 1} ms\tMemory Size: {function.memory_mb} MB\t"
            f"Max Memory Used: {answer.get('max_memory_used_mb', 0)} MB{init}"
        )
        return Invocation(
            payload=json.dumps(answer["error"]) if "error" in answer else answer["result"],
            is_error="error" in answer,
            log=self._read_log(),
            log_stream=self.log_stream,
        )

    def _wait_until_loaded(self, request_id: str) -> tuple[dict[str, Any], str]:
        if self._loaded:
            return {}, ""
        self._loaded = True
        answer = self._receive(INIT_TIMEOUT_S, request_id)
        return answer, f"\tInit Duration: {(time.monotonic() - self._started_s) * 1000:.2f} ms"

    def _ask(self, function: Function, event: Any, request_id: str) -> dict[str, Any]:
        request = {
            "request_id": request_id,
            "invoked_function_arn": function.arn,
            "deadline_s": time.time() + function.timeout_s,
            "event": event,
        }
        assert self._process.stdin is not None
        # If the process has just died, `_receive` reports its exit status.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        return self._receive(function.timeout_s, request_id)

    def _receive(self, timeout_s: float, request_id: str) -> dict[str, Any]:
        """Return the next message, or Lambda's error for a process that was killed or ended."""
        assert self._process.stdout is not None
        timed_out = threading.Event()

        def end() -> None:
            timed_out.set()
            self._process.kill()

        timer = threading.Timer(timeout_s, end)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if line and not timed_out.is_set():
            message: dict[str, Any] = json.loads(line)
            return message
        status = self._process.wait()
        if timed_out.is_set():
            reason, kind = f"Task timed out after {timeout_s:.2f} seconds", "Sandbox.Timedout"
            self._write_log(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z {request_id} {reason}\n")
        else:
            ended = f"signal: {signal.strsignal(-status)}".lower() if status < 0 else f"exit status {status}"
            reason, kind = f"Runtime exited with error: {ended}", "Runtime.ExitError"
        return {"error": {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {reason}"}}

    def _write_log(self, line: str) -> None:
        self._log.write(f"{line}\n".encode())

    def _read_log(self) -> str:
        with self._log_file.open("rb") as log:
            log.seek(self._log_offset)
            text = log.read()
        self._log_offset += len(text)
        return text.decode(errors="replace")

    def _variables(self, function: Function, code: Path) -> dict[str, str]:
        """Return the variables that the service sets."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "_HANDLER": function.handler,
            "LAMBDA_TASK_ROOT": str(code),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
            "AWS_REGION": function.region,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
        }
