"""One cold start: imports a function's entry point (or the plain way's packages) and answers one event.

Run in a fresh interpreter with `-P`, which keeps this folder off the path: `first_answer.py status EVENT`. The last
line of its output is JSON: milliseconds from the first import to the answer, peak memory in KiB, the answer.
"""

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any


class Context:
    """The context object that Lambda passes beside the event."""

    function_name = "bench"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    aws_request_id = "1"

    def get_remaining_time_in_millis(self) -> int:
        """Return Lambda's longest timeout."""
        return 900_000


def ours(entry: str, event: dict[str, Any]) -> Any:
    """Import one of our entry points and call it."""
    return importlib.import_module(f"handlers.{entry}").handler(event, Context())


def plain(event: dict[str, Any]) -> Any:
    """Answer as common examples do: boto3's `rds` client signs the token, Powertools' router finds the route."""
    import boto3  # noqa: PLC0415 - what is measured
    import psycopg2  # noqa: PLC0415
    from aws_lambda_powertools.event_handler import APIGatewayHttpResolver  # noqa: PLC0415

    app = APIGatewayHttpResolver()
    host, port, user = os.environ["RDS_PROXY_ENDPOINT"], int(os.environ["RDS_PORT"]), os.environ["RDS_USERNAME"]
    token = boto3.client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    connection = psycopg2.connect(
        host=host,
        port=port,
        user=user,
        password=token,
        dbname=os.environ["RDS_DBNAME"],
        sslmode="verify-full",
        sslrootcert=os.environ["RDS_CA_BUNDLE"],
    )

    @app.get("/jobs/<job_id>")
    def job(job_id: str) -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT row_to_json(job_progress) FROM job_progress WHERE job_id = %s", (job_id,))
            row = cursor.fetchone()
            assert row is not None
            found: dict[str, Any] = row[0]
            return found

    return app.resolve(event, Context())  # type: ignore[arg-type]  # has what Powertools reads of a context


def peak_kib() -> int:
    """Return peak resident memory; not Linux's `ru_maxrss`, which a child inherits from its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def main() -> None:
    """Answer once and print the result."""
    entry, event = sys.argv[1], json.loads(sys.argv[2])
    started_s = time.perf_counter()
    answer = plain(event) if entry == "plain" else ours(entry, event)
    taken_ms = (time.perf_counter() - started_s) * 1000
    print(json.dumps({"taken_ms": taken_ms, "peak_kib": peak_kib(), "answer": answer}, default=str))


if __name__ == "__main__":
    main()
