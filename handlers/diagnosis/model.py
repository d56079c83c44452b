"""What a diagnosis is made of: limits to hold the database against, findings, and the case that a check looks at."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from handlers.diagnosis.commands import Commands
from handlers.migrator.release import Release
from handlers.migrator.session import Connect

# In the order of urgency. `look`: what the database cannot see, and where to see it.
State = Literal["ok", "look", "unknown", "warning", "critical"]
STATES: tuple[State, ...] = ("ok", "look", "unknown", "warning", "critical")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is too much; the thresholds of the alarms and facts of the deployment (stacks/alarms/thresholds.py).

    Attributes:
        lag_s: how old cached progress may be.
        backlog_rows: how many changes may wait to be folded.
        lock_wait_s: how long a session may wait for a lock, and idle in a transaction.
        transaction_s: how long a transaction may be open.
        connections_percent: of `max_connections`, how many may be in use.
        transaction_ids: the age that the oldest transaction id may have.
        storage_hours: within how many hours the disk may not be full.
        refresh_interval_s: from one refresh to the next.
        slow_statement_ms: from when on a statement is slow.
        storage_gib: how large the disk may grow.

    """

    lag_s: float
    backlog_rows: float
    lock_wait_s: float
    transaction_s: float
    connections_percent: float
    transaction_ids: float
    storage_hours: float
    refresh_interval_s: float
    slow_statement_ms: float
    storage_gib: float


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        state: `unknown` when the check could not be made; `look` for a hint at what the database cannot see.
        value: what was seen, for people, with its unit.
        why: why it matters, or the reason why it is unknown.
        next: a command to paste; empty when there is nothing to be done.
        check: its name; `examine` sets it.

    """

    state: State
    value: str
    why: str = ""
    next: str = ""
    check: str = ""

    def fields(self) -> dict[str, str]:
        """Return the finding as JSON values."""
        fields = asdict(self)
        return {name: fields[name] for name in ("check", "state", "value", "why", "next")}


def ok(value: str) -> Finding:
    """Return that all is well."""
    return Finding(state="ok", value=value)


def unknown(value: str, *, next: str = "", why: str = "") -> Finding:  # noqa: A002 - the field's name
    """Return that a check could not be made."""
    return Finding(state="unknown", value=value, why=why, next=next)


def warning(value: str, *, next: str = "", why: str = "") -> Finding:  # noqa: A002
    """Return what can wait for the morning."""
    return Finding(state="warning", value=value, why=why, next=next)


def critical(value: str, *, next: str = "", why: str = "") -> Finding:  # noqa: A002
    """Return what cannot wait."""
    return Finding(state="critical", value=value, why=why, next=next)


def overall(findings: Iterable[Finding]) -> Literal["ok", "warning", "critical"]:
    """Return the worst state; what is unknown counts as a warning, what is to be looked at elsewhere not at all."""
    states = {finding.state for finding in findings}
    if "critical" in states:
        return "critical"
    return "warning" if states & {"warning", "unknown"} else "ok"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a check may use.

    Attributes:
        connection: the one connection, in autocommit mode.
        fetch: runs a statement with its parameters and returns its rows.
        limits: what is too much.
        commands: makes the commands that a finding names.
        read_release: reads what should be applied; `None` when it is not known.
        connect_proxy: opens a connection through RDS Proxy; `None` where there is none.

    """

    connection: Any
    fetch: Callable[[str, Mapping[str, Any]], list[dict[str, Any]]]
    limits: Limits
    commands: Commands
    read_release: Callable[[], Release] | None
    connect_proxy: Connect | None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: `look` yields one finding or more, `why` is said with those that are not ok."""

    look: Callable[[Case], Iterable[Finding]]
    why: str
