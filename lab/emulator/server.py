"""Starts the emulator's server process, knows its addresses, and stops it.

What it emulates is written where it is done: the modules `patch_*`, `lambda_runtime`, `http_server`. moto stores
EventBridge schedules but runs none: to refresh, invoke the function as the scheduler would.
"""

import json
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config

from lab.embedded_postgres import EmbeddedPostgres
from scannerdb.review.emulator import start_server, stop_server

if TYPE_CHECKING:
    import subprocess

# One certificate covers every instance, cluster and proxy: libpq accepts a wildcard in the first label.
INSTANCE_DOMAIN = "aaaaaaaaaaaa.{region}.rds.amazonaws.com"
CLUSTER_DOMAIN = "cluster-aaaaaaaaaaaa.{region}.rds.amazonaws.com"
READERS_DOMAIN = "cluster-ro-aaaaaaaaaaaa.{region}.rds.amazonaws.com"
PROXY_DOMAIN = "proxy-aaaaaaaaaaaa.{region}.rds.amazonaws.com"
ENDPOINT_DOMAIN = f"endpoint.{PROXY_DOMAIN}"
# In the folder of logs: what functions and services of AWS did, and whether it was refused.
ACCESS_RECORD = "access.jsonl"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def database_host_names(region: str) -> tuple[str, ...]:
    """Return the names for the certificate of the emulated databases and proxies."""
    domains = (INSTANCE_DOMAIN, CLUSTER_DOMAIN, READERS_DOMAIN, PROXY_DOMAIN, ENDPOINT_DOMAIN)
    return tuple(f"*.{domain.format(region=region)}" for domain in domains)


class EmulatorError(RuntimeError):
    """The AWS emulator could not be started, or a function that it ran failed."""


class Emulator:
    """One emulator process, stopped by `stop()`, at the end of a `with` block, or when this process ends.

    Args:
        directory: where packages are unpacked and logs written.
        region: the region whose HTTP APIs are served.
        database_password: what the emulated RDS puts into its managed secret.
        database: the running server of the emulated instances, which snapshots are taken of; `None`: they hold no data.

    """

    def __init__(
        self, directory: Path, *, region: str, database_password: str, database: EmbeddedPostgres | None = None
    ) -> None:
        self.region = region
        self.log_file = directory / "logs" / "emulator.log"
        self._access_record = directory / "logs" / ACCESS_RECORD
        self.aws_url = ""
        self.api_url = ""
        self._configuration = {
            "directory": str(directory),
            "database_password": database_password,
            "region": region,
            "database": None if database is None else database.address,
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
        """Start the process and wait until it serves.

        Raises:
            EmulatorError: it ended; the message carries the end of its log.

        """
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process, ports = start_server(
                [sys.executable, "-m", "lab.emulator"],
                configuration=self._configuration,
                # moto reads both while it is imported.
                environment={"MOTO_IAM_LOAD_MANAGED_POLICIES": "true", **CREDENTIALS},
                log=log,
            )
        if ports is None:
            tail = self.log_file.read_text(errors="replace")[-2000:]
            raise EmulatorError(f"the AWS emulator ended while it started; {self.log_file} ends with:\n{tail}")
        self.aws_url = f"http://127.0.0.1:{ports['aws_port']}"
        self.api_url = f"http://127.0.0.1:{ports['api_port']}"

    def stop(self) -> None:
        """Stop the process and every Lambda worker that it started."""
        process, self._process = self._process, None
        if process is not None:
            stop_server(process)

    def client(self, service: str) -> Any:
        """Return a boto3 client of one emulated service."""
        return boto3.client(
            service,
            endpoint_url=self.aws_url,
            region_name=self.region,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            # A retry would invoke a function twice; an invocation may last as long as Lambda allows.
            config=Config(retries={"total_max_attempts": 1}, read_timeout=910, s3={"addressing_style": "path"}),
        )

    def decisions(self) -> list[dict[str, str | None]]:
        """Return what was allowed and refused: each with `by`, `what`, and the reason in `refused`."""
        return [json.loads(line) for line in self._access_record.read_text().splitlines()]

    def refusals(self) -> list[dict[str, str | None]]:
        """Return the decisions that were refusals."""
        return [each for each in self.decisions() if each["refused"]]

    def check_services(self) -> list[str]:
        """Check what services of AWS do in the deployment, such as alarms that publish; return the refusals."""
        with urllib.request.urlopen(f"{self.aws_url}/emulator/check-services", timeout=60) as answer:  # noqa: S310 - loopback
            refused: list[str] = json.load(answer)
        return refused

    def restored_server(self, identifier: str) -> EmbeddedPostgres:
        """Return the server of a restored instance; the emulator starts and stops it.

        Raises:
            KeyError: no instance of this name was restored.

        """
        with urllib.request.urlopen(f"{self.aws_url}/emulator/database-servers", timeout=60) as answer:  # noqa: S310 - loopback
            return EmbeddedPostgres.attached(*json.load(answer)[identifier])

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
