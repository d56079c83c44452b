"""PostgreSQL's parameters: what is logged for the on-call, what is counted, what protects a busy table."""

from dataclasses import dataclass
from typing import Literal

from stacks.settings.instance_classes import describe
from stacks.settings.model import DatabaseSettings

FAMILY = "postgres17"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter. Those that PostgreSQL reads at its start only are `pending-reboot`; RDS refuses any other way."""

    name: str
    value: str
    apply_method: Literal["immediate", "pending-reboot"]


def parameters(database: DatabaseSettings) -> list[Parameter]:
    """Return the parameters of an instance, sorted by name as RDS returns them."""
    slow_ms = str(database.log_min_duration_ms)
    values = {
        # Plain connections are refused. The default since PostgreSQL 15, written down because all else relies on it.
        "rds.force_ssl": "1",
        # Slow statements, with their plan. Both write a line that holds "duration:"; the filters count the first. A
        # statement that log_statement wrote already is measured in a line of its own, without its text.
        "log_min_duration_statement": slow_ms,
        "auto_explain.log_min_duration": slow_ms,
        "auto_explain.log_format": "json",
        "auto_explain.log_nested_statements": "1",
        # Without analyze, a plan costs nothing until it is logged.
        "auto_explain.log_analyze": "0",
        # Statements inside functions count too: a refresh is a function.
        "pg_stat_statements.track": "all",
        "track_io_timing": "1",
        # Who changed the schema, who came and went, who waited for whom.
        "log_statement": "ddl",
        "log_connections": "1",
        "log_disconnections": "1",
        "log_lock_waits": "1",
        "log_autovacuum_min_duration": "10000",
        "log_temp_files": "10240",
        # A transaction that somebody forgot holds back vacuum on every table.
        "idle_in_transaction_session_timeout": "300000",
        # Random reads cost little more than sequential ones on gp3.
        "random_page_cost": "1.1",
    }
    at_restart = {
        # RDS's own formula depends on what the host leaves free; the alarms must know the number.
        "max_connections": str(describe(database.instance_class).max_connections),
        "shared_preload_libraries": "auto_explain,pg_stat_statements",
    }
    described = [
        *(Parameter(name=name, value=value, apply_method="immediate") for name, value in values.items()),
        *(Parameter(name=name, value=value, apply_method="pending-reboot") for name, value in at_restart.items()),
    ]
    return sorted(described, key=lambda parameter: parameter.name)
