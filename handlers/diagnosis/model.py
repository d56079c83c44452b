"""What a diagnosis is made of: findings, checks, and what a check may use."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from handlers.contract.parameters import ExpectedParameters
from handlers.contract.release import Release
from handlers.contract.thresholds import Thresholds
from handlers.diagnosis.commands import Commands
from handlers.migrator.session import Connect

# In the order of urgency. `look`: what the database cannot show, and where to look.
State = Literal["ok", "look", "unknown", "warning", "critical"]
STATES: tuple[State, ...] = ("ok", "look", "unknown", "warning", "critical")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        state: `unknown` when the check could not be made; `look` for what the database cannot show.
        value: what was found, for people, with its unit.
        why: why it matters, or the reason why it is unknown.
        next: a command to paste; empty when nothing is to be done. `examine` sets that of `sql`.
        sql: a statement that ends the problem, for the owner of the tables.
        check: its name; `examine` sets it.

    """

    state: State
    value: str
    why: str = ""
    next: str = ""
    sql: str = ""
    check: str = ""

    def fields(self) -> dict[str, str]:
        """Return the finding as JSON values."""
        fields = asdict(self)
        return {name: fields[name] for name in ("check", "state", "value", "why", "next")}


def ok(value: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(state="ok", value=value)


def unknown(value: str, *, next: str = "", sql: str = "", why: str = "") -> Finding:  # noqa: A002 - the field's name
    """Return that a check could not be made."""
    return Finding(state="unknown", value=value, why=why, next=next, sql=sql)


def warning(value: str, *, next: str = "", sql: str = "", why: str = "") -> Finding:  # noqa: A002
    """Return a problem that can wait for the morning."""
    return Finding(state="warning", value=value, why=why, next=next, sql=sql)


def critical(value: str, *, next: str = "", sql: str = "", why: str = "") -> Finding:  # noqa: A002
    """Return a problem that cannot wait."""
    return Finding(state="critical", value=value, why=why, next=next, sql=sql)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order in which they are told: the worst first, then in the order of the checks."""
    return sorted(findings, key=lambda finding: -STATES.index(finding.state))


def overall(findings: Iterable[Finding]) -> Literal["ok", "warning", "critical"]:
    """Return the worst state; `unknown` counts as a warning, `look` does not count."""
    states = {finding.state for finding in findings}
    if "critical" in states:
        return "critical"
    return "warning" if states & {"warning", "unknown"} else "ok"


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a check may use.

    Attributes:
        connection: the one connection, in autocommit mode.
        fetch: runs a statement with its parameters and returns its rows.
        thresholds: what the database is held against.
        commands: makes the commands that a finding names.
        read_release: reads the migrations that should be applied; `None` when they are not known.
        connect_proxy: opens a connection through RDS Proxy; `None` where there is none.
        expected: what the deployment expects of the server's parameters; `None`: Terraform sets them.

    """

    connection: Any
    fetch: Callable[[str, Mapping[str, Any]], list[dict[str, Any]]]
    thresholds: Thresholds
    commands: Commands
    read_release: Callable[[], Release] | None
    connect_proxy: Connect | None
    expected: ExpectedParameters | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        check: yields findings.
        why: the reason for those that are not ok and give none.
        needs_schema: whether it can say nothing about a database that was never migrated.

    """

    check: Callable[[Context], Iterable[Finding]]
    why: str
    needs_schema: bool = True
