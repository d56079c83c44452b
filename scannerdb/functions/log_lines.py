"""Log events of a function as readable lines: time, level, message and fields."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

STYLES = {"DEBUG": "dim", "WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red"}
# The same in every record of an invocation; `--json` prints them.
NOT_SHOWN = frozenset(
    {
        *("level", "location", "message", "timestamp", "service", "cold_start", "exception", "exception_name"),
        *("function_name", "function_memory_size", "function_arn", "function_request_id", "xray_trace_id"),
        *("stack_trace", "stackTrace", "requestId", "errorType", "errorMessage"),
    }
)
# Lambda's own lines where a runtime or an emulator writes them as text instead of JSON.
REPORT = re.compile(r"^REPORT RequestId: \S+\s+Duration: ([\d.]+) ms.*Max Memory Used: (\d+) MB", re.DOTALL)
FRAME = re.compile(r"^(START|END|INIT_START|XRAY)\b")


def lines_of(event: Mapping[str, Any]) -> Iterator[Text]:
    """Yield the lines of an event of CloudWatch Logs; none for the start and the end of an invocation."""
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).astimezone()
    message = str(event["message"]).rstrip()
    try:
        said = json.loads(message)
    except ValueError:
        said = None
    if isinstance(said, dict):
        level, text, more = _of_record(said)
    elif found := REPORT.match(message):
        level, text, more = "", _took(float(found[1]), int(found[2])), ()
    else:
        level, text, more = "", "" if FRAME.match(message) else message, ()
    if text:
        line = Text(f"{at:%H:%M:%S} {level:<8}{text}", style="" if level else "dim")
        line.stylize(STYLES.get(level, ""), 9, 9 + len(level))
        yield line
    for each in more:
        yield Text(f"         {each}", style="dim")


def _of_record(said: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    """Return level, text and further lines of a JSON record."""
    if "_aws" in said:
        names = [metric["Name"] for each in said["_aws"]["CloudWatchMetrics"] for metric in each["Metrics"]]
        return "", "metrics " + ", ".join(f"{name} {_value(said.get(name))}" for name in names), ()
    if str(said.get("type", "")).startswith("platform."):
        return "", _platform(said), ()
    text = str(said.get("message") or said.get("errorMessage") or "")
    if kind := said.get("errorType"):
        text = f"{kind}: {text}"
    fields = " ".join(f"{key}={_value(value)}" for key, value in said.items() if key not in NOT_SHOWN)
    trace = said.get("exception") or "\n".join(map(str, said.get("stackTrace") or ()))
    return str(said.get("level", "")), "  ".join(filter(None, (text, fields))), tuple(str(trace).splitlines())


def _platform(said: Mapping[str, Any]) -> str:
    """Return duration and memory of Lambda's report of an invocation: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html."""
    record = said.get("record", {})
    if said["type"] != "platform.report":
        return ""
    metrics = record.get("metrics", {})
    ended = "" if record.get("status", "success") == "success" else f", {record['status']}"
    return _took(metrics.get("durationMs", 0), metrics.get("maxMemoryUsedMB", 0)) + ended


def _took(duration_ms: float, memory_mb: int) -> str:
    return f"took {duration_ms:,.0f} ms, {memory_mb} MB"


def _value(value: object) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
