"""One cold start: imports a function's entry point (or the plain way's packages) and answers one event.

Run in a fresh interpreter with `-P`, which keeps this folder off the path: `first_answer.py status EVENT`. The last
line of its output is JSON: milliseconds from the first import to the answer, in all and by part, peak memory in KiB,
the answer.
"""

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

CONNECTION = "connection"


class Parts:
    """Milliseconds of each part, one after the other."""

    def __init__(self) -> None:
        self.taken_ms: dict[str, float] = {}
        self._last_s = time.perf_counter()

    def end(self, part: str) -> None:
        """End a part; the next begins."""
        now_s = time.perf_counter()
        self.taken_ms[part] = (now_s - self._last_s) * 1000
        self._last_s = now_s


class Context:
    """The context object that Lambda passes beside the event."""

    function_name = "bench"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    aws_request_id = "1"

    def get_remaining_time_in_millis(self) -> int:
        """Return Lambda's longest timeout."""
        return 900_000


def ours(entry: str, event: dict[str, Any], parts: Parts) -> Any:
    """Import one of our entry points and call it; `status` connects first, which costs it one more round trip."""
    module = importlib.import_module(f"handlers.{entry}")
    parts.end("imports")
    if entry == "status":
        module.database.fetch_all("SELECT 1")
        parts.end(CONNECTION)
    answer = module.handler(event, Context())
    parts.end("answer")
    return answer


def plain(event: dict[str, Any], parts: Parts) -> Any:
    """Answer as common examples do: boto3's `rds` client signs the token, Powertools' router finds the route."""
    import boto3  # noqa: PLC0415 - what is measured
    import psycopg2  # noqa: PLC0415
    from aws_lambda_powertools.event_handler import APIGatewayHttpResolver  # noqa: PLC0415

    app = APIGatewayHttpResolver()
    parts.end("imports")
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
    parts.end(CONNECTION)

    @app.get("/jobs/<job_id>")
    def job(job_id: str) -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT row_to_json(job_progress) FROM job_progress WHERE job_id = %s", (job_id,))
            row = cursor.fetchone()
            assert row is not None
            found: dict[str, Any] = row[0]
            return found

    answer = app.resolve(event, Context())  # type: ignore[arg-type]  # has what Powertools reads of a context
    parts.end("answer")
    return answer


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
    parts = Parts()
    answer = plain(event, parts) if entry == "plain" else ours(entry, event, parts)
    taken_ms = sum(parts.taken_ms.values())
    result = {"taken_ms": taken_ms, "parts_ms": parts.taken_ms, "peak_kib": peak_kib(), "answer": answer}
    print(json.dumps(result, default=str))


if __name__ == "__main__":
    main()
