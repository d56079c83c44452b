"""Runs Lambda functions on this machine in warm processes, as the service does.

As in the service: only the package, the standard library and the SDK can be imported; a process serves one request at a
time, and concurrent requests get further processes; a process is reused until code or configuration changes; a timeout
kills it; errors and log lines have the same form. Not emulated: memory limits.
"""

import hashlib
import importlib.util
import io
import itertools
import shutil
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.emulator.lambda_process import Function, Invocation, LambdaProcess

# The packages of the service's Python runtimes: the SDK and its dependencies.
RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")


class LambdaRuntime:
    """The processes of all functions of one emulator.

    Args:
        directory: packages are unpacked here.
        logs: each process writes `<function>-<number>.log` here.
        environment: variables of every process, such as credentials and the endpoint; a function's own override them.

    """

    def __init__(self, *, directory: Path, logs: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._logs = logs
        self._lock = threading.Lock()
        self._idle: dict[str, list[LambdaProcess]] = {}
        self._busy: set[LambdaProcess] = set()
        self._stopped = False
        self._numbers = itertools.count(1)
        logs.mkdir(parents=True, exist_ok=True)
        self._environment = {**environment, "LAMBDA_RUNTIME_DIR": str(_link_runtime_packages(directory / "runtime"))}

    def invoke(self, function: Function, event: Any) -> Invocation:
        """Run the function once and wait for its end; its errors are returned, never raised."""
        process = self._take(function)
        try:
            return process.invoke(function, event)
        finally:
            self._give_back(process)

    def stop(self) -> None:
        """Kill every process; running invocations end as errors."""
        with self._lock:
            self._stopped = True
            idle = [process for processes in self._idle.values() for process in processes]
            self._idle.clear()
            for process in self._busy:
                process.kill()
        for process in idle:
            process.close()

    def _take(self, function: Function) -> LambdaProcess:
        fingerprint = function.fingerprint()
        with self._lock:
            idle = self._idle.pop(function.arn, [])
            warm = [process for process in idle if process.fingerprint == fingerprint and process.is_alive()]
            process = warm.pop() if warm else self._start(function, fingerprint)
            self._idle[function.arn] = [other for other in warm if other is not process]
            self._busy.add(process)
        for outdated in {*idle} - {*warm, process}:
            outdated.close()
        return process

    def _give_back(self, process: LambdaProcess) -> None:
        with self._lock:
            self._busy.discard(process)
            if process.is_alive() and not self._stopped:
                self._idle.setdefault(process.arn, []).append(process)
                return
        process.close()

    def _start(self, function: Function, fingerprint: str) -> LambdaProcess:
        if self._stopped:
            raise RuntimeError(f"{function.name} was invoked after the emulator had stopped")
        return LambdaProcess(
            function,
            fingerprint=fingerprint,
            code=self._unpack(function.code),
            log_file=self._logs / f"{function.name}-{next(self._numbers)}.log",
            environment=self._environment,
        )

    def _unpack(self, code: bytes) -> Path:
        target = self._directory / hashlib.sha256(code).hexdigest()[:16]
        if not target.exists():
            part = target.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            with zipfile.ZipFile(io.BytesIO(code)) as archive:
                archive.extractall(part)
            part.rename(target)
        return target


def _link_runtime_packages(target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in RUNTIME_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise RuntimeError(f"the Python package {name} is missing; run `make setup`")
        origin = Path(spec.origin)
        source = origin.parent if spec.submodule_search_locations else origin
        (target / source.name).symlink_to(source)
    return target
