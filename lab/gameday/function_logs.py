"""Reads metrics from the functions' real logs: their own (EMF), and those that Lambda would publish.

Lambda's metrics are stand-ins, counted from the lines `START`, `REPORT` and `[ERROR]`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from lab.gameday.clock import Clock, scaled
from lab.gameday.metric_store import Datum

# `<function>-<number>.log`: the emulated Lambda writes one for each process.
LOG_FILE = re.compile(r"(?P<function>.+)-\d+\.log")
REPORT = re.compile(r"REPORT RequestId: \S+\tDuration: (?P<duration_ms>[\d.]+) ms")
FAILURES = re.compile(r"\[ERROR\] |.*(?:Task timed out after|Runtime exited with error)")


def emf_data(line: str, clock: Clock) -> Iterator[Datum]:
    """Yield the data of one log line in CloudWatch's embedded metric format; none for any other line.

    Source: "Specification: Embedded metric format" in CloudWatch's guide. A value may be a number or a list of them.
    """
    if not line.startswith("{"):
        return
    try:
        entry = json.loads(line)
    except ValueError:
        return
    if "_aws" not in entry:
        return
    at_s = clock.of(entry["_aws"]["Timestamp"] / 1000)
    for directive in entry["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = {name: str(entry[name]) for name in names}
            for metric in directive["Metrics"]:
                name, found = metric["Name"], entry[metric["Name"]]
                for value in found if isinstance(found, list) else [found]:
                    yield Datum(
                        namespace=directive["Namespace"],
                        name=name,
                        dimensions=dimensions,
                        value=scaled(name, value),
                        at_s=at_s,
                    )


class Tail:
    """Reads a growing file line by line."""

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self._path = path
        self._offset = path.stat().st_size if from_end and path.exists() else 0
        self._rest = b""

    def lines(self) -> list[str]:
        """Return the complete lines since the last call, without line ends."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            read = file.read()
        self._offset += len(read)
        *lines, self._rest = (self._rest + read).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


class FunctionLogs:
    """The logs of all functions of a deployment, read incrementally."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._tails: dict[Path, Tail] = {}
        self._failed: dict[Path, bool] = {}

    def data(self) -> Iterator[Datum]:
        """Yield the data of the lines since the last call."""
        for path in sorted(self._folder.glob("*.log")):
            named = LOG_FILE.fullmatch(path.name)
            if named is not None:
                tail = self._tails.setdefault(path, Tail(path))
                for line in tail.lines():
                    yield from emf_data(line, self._clock)
                    yield from self._counted(path, named["function"], line)

    def _counted(self, path: Path, function: str, line: str) -> Iterator[Datum]:
        """Yield Lambda's metrics at the line `REPORT`, which ends an invocation."""
        if line.startswith("START "):
            self._failed[path] = False
        elif FAILURES.match(line):
            self._failed[path] = True
        elif report := REPORT.match(line):
            values = {
                "Invocations": 1,
                "Errors": int(self._failed.get(path, False)),
                "Throttles": 0,
                "Duration": float(report["duration_ms"]),
            }
            for name, value in values.items():
                yield Datum(
                    namespace="AWS/Lambda",
                    name=name,
                    dimensions={"FunctionName": function},
                    value=value,
                    at_s=self._clock.now_s(),
                )
