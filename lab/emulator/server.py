"""The AWS emulator seen from outside: starts it, knows its addresses, stops it.

What it emulates and what not is written where it is done: `emulator_patches`, `lambda_runtime`, `http_front`.
moto keeps EventBridge schedules but runs none: whoever wants a refresh invokes the function, as the scheduler would.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config

from stacks import ROOT

# One certificate covers every instance and every proxy: libpq accepts a wildcard in the first label.
INSTANCE_DOMAIN = "aaaaaaaaaaaa.{region}.rds.amazonaws.com"
PROXY_DOMAIN = "proxy-aaaaaaaaaaaa.{region}.rds.amazonaws.com"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def database_host_names(region: str) -> tuple[str, str]:
    """Return the names that a certificate of the emulated databases and proxies must carry."""
    return f"*.{INSTANCE_DOMAIN.format(region=region)}", f"*.{PROXY_DOMAIN.format(region=region)}"


class EmulatorError(RuntimeError):
    """The AWS emulator could not be started, or a function that it ran failed."""


class Emulator:
    """One emulator process, stopped by `stop()`, at the end of a `with` block, or when this process ends.

    Args:
        directory: where packages are unpacked and logs written.
        region: the one region that the HTTP API is served for.
        database_password: what the emulated RDS puts into its managed secret.

    """

    def __init__(self, directory: Path, *, region: str, database_password: str) -> None:
        self.region = region
        self.log_file = directory / "logs" / "emulator.log"
        self.aws_url = ""
        self.api_url = ""
        self._configuration = {
            "directory": str(directory),
            "database_password": database_password,
            "region": region,
            "credentials": CREDENTIALS,
        }
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and wait for its addresses.

        Raises:
            EmulatorError: it ended; the message carries the end of its log.

        """
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lab.emulator.process"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._configuration) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            tail = self.log_file.read_text(errors="replace")[-2000:]
            raise EmulatorError(f"the AWS emulator ended while it started; {self.log_file} ends with:\n{tail}")
        ports = json.loads(answer)
        self.aws_url = f"http://127.0.0.1:{ports['aws_port']}"
        self.api_url = f"http://127.0.0.1:{ports['api_port']}"

    def stop(self) -> None:
        """Stop the process and every Lambda worker that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def client(self, service: str) -> Any:
        """Return a boto3 client of one emulated service."""
        return boto3.client(
            service,
            endpoint_url=self.aws_url,
            region_name=self.region,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            # An invocation is never sent twice, and may take as long as Lambda allows.
            config=Config(retries={"total_max_attempts": 1}, read_timeout=910, s3={"addressing_style": "path"}),
        )

    def invoke(self, function_name: str, event: Any) -> Any:
        """Invoke a function as another service would and return its result.

        Raises:
            EmulatorError: the function failed; the message is the function's own.

        """
        answer = self.client("lambda").invoke(FunctionName=function_name, Payload=json.dumps(event).encode())
        result = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise EmulatorError(f"{function_name}: {result.get('errorType')}: {result.get('errorMessage')}")
        return result
