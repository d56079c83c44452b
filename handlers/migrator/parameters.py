"""Compares the parameters of a server that its owner sets with what we rely on."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlers.contract.parameters import ExpectedParameters
from handlers.queries import load_queries

Fetch = Callable[[str, Mapping[str, Any]], list[dict[str, Any]]]
_QUERY = load_queries(Path(__file__).with_name("parameters.sql"))["parameters"]

# Without these nothing works for long, on any server. All are on by default.
NEEDED = {
    "autovacuum": "Each refresh deletes rows that only vacuum removes: reads get slower without end.",
    "track_counts": "Autovacuum starts by these counts; without them it vacuums nothing.",
    "track_activities": "By them a run finds an index build that outlived its client, and a refresh measures waits.",
}
LIBRARIES, CONNECTIONS, PREFIX = "shared_preload_libraries", "max_connections", "log_line_prefix"
_LOG = "The log lacks lines that the runbook reads."
# Why each expected parameter matters.
WHY = {
    "auto_explain.log_analyze": "Each statement is timed node by node, which costs CPU.",
    "auto_explain.log_format": "The plans in the log cannot be read by programs.",
    "auto_explain.log_min_duration": "The log has no plans of slow statements.",
    "auto_explain.log_nested_statements": "The log has no plans of statements inside functions, as a refresh is.",
    "idle_in_transaction_session_timeout": "A forgotten open transaction keeps vacuum from every table.",
    "log_autovacuum_min_duration": _LOG,
    "log_connections": _LOG,
    "log_disconnections": _LOG,
    PREFIX: "The metrics of slow and of refused statements find no line.",
    "log_lock_waits": _LOG,
    "log_min_duration_statement": "The alarms slow-queries and very-slow-queries count the lines that it writes.",
    "log_statement": _LOG,
    "log_temp_files": _LOG,
    CONNECTIONS: "The alarms database-connections and proxy-saturated compare with it.",
    "pg_stat_statements.track": "Statements inside functions, as a refresh is, have no statistics.",
    "random_page_cost": "The planner takes reads by an index for expensive, and scans whole tables.",
    "rds.force_ssl": "Clients may connect without TLS.",
    LIBRARIES: "The doctor reads slow statements of pg_stat_statements, and the log has plans by auto_explain.",
    "track_io_timing": "Statistics of statements lack the time of their reads.",
}
# `%m` has milliseconds; the patterns take both.
_PREFIX = re.compile(r"%[tm]:%r:%u@%d:\[%p\]:")
# More is logged than is expected.
_MORE = {"log_statement": {"mod", "all"}}
_ON = {"1": "on", "0": "off"}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A parameter that is not as it should be.

    Args:
        name: of the parameter.
        found: its value.
        wanted: the value to set.

    """

    name: str
    found: str
    wanted: str

    @property
    def why(self) -> str:
        """Why it matters."""
        return (NEEDED | WHY)[self.name]

    def __str__(self) -> str:
        return f"{self.name} is {self.found or 'empty'}, not {self.wanted}"


def switched_off(fetch: Fetch) -> list[Difference]:
    """Return those of `NEEDED` that are off."""
    rows = fetch(_QUERY, {"names": list(NEEDED)})
    return [Difference(name=row["name"], found="off", wanted="on") for row in rows if row["value"] == "off"]


def differences(fetch: Fetch, expected: ExpectedParameters) -> list[Difference]:
    """Return the parameters that differ from what is expected, by name, of those that the server has."""
    rows = fetch(_QUERY, {"names": list(expected.values)})
    return sorted(
        (
            Difference(name=row["name"], found=row["value"], wanted=wanted)
            for row in rows
            if (wanted := _wanted(row, expected.values[row["name"]])) is not None
        ),
        key=lambda difference: difference.name,
    )


def _wanted(row: Mapping[str, Any], expected: str) -> str | None:
    """Return the value to set; `None` where what is found serves."""
    name, found = row["name"], row["value"]
    if name == LIBRARIES:
        loaded = [library.strip() for library in found.split(",") if library.strip()]
        missing = [library for library in expected.split(",") if library not in loaded]
        return ",".join((*loaded, *missing)) if missing else None
    if name == PREFIX:
        return None if _PREFIX.fullmatch(found) else expected
    if row["vartype"] == "bool":
        return None if found == _ON.get(expected, expected) else expected
    if found in _MORE.get(name, ()):
        return None
    # From PostgreSQL 18 on log_connections is a list, empty where nothing is logged.
    if name == "log_connections" and found not in {"", "off"}:
        return None
    return None if _number(found) == _number(expected) else expected


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def way_out(found: Sequence[Difference], expected: ExpectedParameters) -> str:
    """Return what mends differences: a command for the instance's parameter group, a setting for `max_connections`."""
    return ", and ".join(_ways_out(found, expected))


def _ways_out(found: Sequence[Difference], expected: ExpectedParameters) -> Iterator[str]:
    for each in found:
        if each.name == CONNECTIONS:
            yield f"database.max_connections = {each.found} in the settings"
    group = [each for each in found if each.name != CONNECTIONS]
    if not group:
        return
    restart = any(each.name in expected.at_restart for each in group)
    parameters = " ".join(
        f"\"ParameterName={each.name},ParameterValue='{each.wanted}',ApplyMethod="
        f'{"pending-reboot" if each.name in expected.at_restart else "immediate"}"'
        for each in group
    )
    yield (
        "aws rds modify-db-parameter-group --db-parameter-group-name "
        f'"$(aws rds describe-db-instances --db-instance-identifier {expected.identifier} '
        "--query 'DBInstances[0].DBParameterGroups[0].DBParameterGroupName' --output text)\" "
        f"--parameters {parameters}"
        + (f" && aws rds reboot-db-instance --db-instance-identifier {expected.identifier}" if restart else "")
    )
