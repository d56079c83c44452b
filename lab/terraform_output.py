"""Reads the output of `cdktf deploy` and reports it in short: progress, summary, and the cause of a failure."""

import json
import re
import time
from collections.abc import Callable

# cdktf prefixes the first line of each block with the stack's name, the others with as many spaces.
LINE_PREFIX = re.compile(r"^(?:local  |       )")
TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
PLANNED = re.compile(r"Plan: (\d+) to add, (\d+) to change, (\d+) to destroy")
STARTED = re.compile(r"(\w+)\.(\S+): (Creating|Modifying|Destroying|Still \w+)\.\.\.")
ENDED = re.compile(r"(\w+)\.(\S+): (Creation|Modifications|Destruction) complete after (\S+)")
COMPLETE = re.compile(r"(Apply|Destroy) complete! Resources: (.+)\.")
INVOCATION_ERROR = re.compile(r"invoking Lambda Function \((.+?)\): (\{.*\})")
# Precedes the standard error of a failed `main.py`.
SYNTHESIS_ERROR = "Command output on stderr:"
REPORT_EVERY_S = 10.0
# The provider polls these at its own pace, also where the answer is there at once. Seconds of a creation, with provider
# 5.100: https://github.com/hashicorp/terraform-provider-aws/issues/23352
PROVIDER_WAITS_S = {"aws_s3_bucket_lifecycle_configuration": 55, "aws_db_instance": 80}


class TerraformOutput:
    """Takes the output line by line.

    Args:
        report: receives a line of progress every 10 s, which begins with the seconds since the start.

    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self.summary = ""
        self._errors: list[str] = []
        self._synthesis_error: list[str] | None = None
        self._report = report
        self._started_s = time.monotonic()
        self._reported_s = self._started_s
        self._planned = 0
        self._ended = 0
        self._running: dict[str, float] = {}
        self._error: list[str] | None = None

    @property
    def errors(self) -> list[str]:
        """The error messages of a function, of Terraform, or of `main.py`."""
        if self._errors or not self._synthesis_error:
            return self._errors
        return ["\n".join(self._synthesis_error).strip()]

    def take(self, raw: str) -> str:
        """Take one line; return it without prefix and terminal codes, for the log."""
        line = LINE_PREFIX.sub("", TERMINAL_CODES.sub("", raw).rstrip())
        self._collect_error(line)
        if match := PLANNED.search(line):
            self._planned = sum(map(int, match.groups()))
            self._tell(f"planned: {match[1]} resources to add, {match[2]} to change, {match[3]} to destroy")
        elif match := ENDED.match(line):
            self._running.pop(f"{match[1]}.{match[2]}", None)
            self._ended += 1
        elif match := STARTED.match(line):
            self._running.setdefault(f"{match[1]}.{match[2]}", time.monotonic())
        elif match := COMPLETE.search(line):
            self.summary = match[2]
        if self._running and time.monotonic() - self._reported_s >= REPORT_EVERY_S:
            self._tell(f"{self._ended} of {self._planned} resources; {self._longest_running()}")
        return line

    def _longest_running(self) -> str:
        resource, since_s = min(self._running.items(), key=lambda item: item[1])
        others = f" and {len(self._running) - 1} more" if len(self._running) > 1 else ""
        kind = resource.partition(".")[0]
        usual_s = PROVIDER_WAITS_S.get(kind)
        usual = f" of about {usual_s}, as on AWS: the provider waits" if usual_s else ""
        return f"{kind} in progress for {time.monotonic() - since_s:.0f} s{usual}{others}"

    def _tell(self, text: str) -> None:
        self._reported_s = time.monotonic()
        self._report(f"{self._reported_s - self._started_s:4.0f} s  {text}")

    def _collect_error(self, line: str) -> None:
        """Collect Terraform's framed errors, whose first line is the message, and the errors of `main.py`."""
        if line.strip() == SYNTHESIS_ERROR:
            self._synthesis_error = []
        elif self._synthesis_error is not None and line.startswith("    "):
            self._synthesis_error.append(line.strip())
        text = line.lstrip("│╷╵ ").rstrip()
        if line.startswith("│") and text.startswith("Error: "):
            self._error = [text.removeprefix("Error: ")]
        elif line.startswith("╵") and self._error is not None:
            self._errors.append(invocation_error("\n".join(self._error).strip()))
            self._error = None
        elif self._error is not None and line.startswith("│"):
            self._error.append(text)


def invocation_error(error: str) -> str:
    """Return the function's own message of a failed invocation; any other error unchanged."""
    match = INVOCATION_ERROR.match(error.partition("\n")[0])
    if match is None:
        return error
    try:
        failure = json.loads(match[2])
    except ValueError:
        return error
    return f"{match[1]} failed: {failure.get('errorType', 'error')}\n{failure.get('errorMessage', match[2])}"
