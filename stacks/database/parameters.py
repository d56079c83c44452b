"""PostgreSQL's parameters: logging for the on-call, statistics, and limits that protect busy tables."""

from dataclasses import dataclass
from typing import Literal

from handlers.contract.databases import RdsDatabase
from handlers.contract.parameters import ExpectedParameters
from stacks.settings import Settings
from stacks.settings.database import DatabaseSettings

# As RDS begins each line by default, and as the metric filters read it.
LOG_LINE_PREFIX = "%t:%r:%u@%d:[%p]:"
# PostgreSQL reads them when it starts.
AT_RESTART = ("max_connections", "shared_preload_libraries")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter.

    Those that PostgreSQL reads at its start only are `pending-reboot`; RDS refuses any other way. So are those whose
    value is the family's default: RDS keeps its own `pending-reboot` for them, and with `immediate` each plan differs
    (https://github.com/hashicorp/terraform-provider-aws/issues/39252).
    """

    name: str
    value: str
    apply_method: Literal["immediate", "pending-reboot"]


def family(database: RdsDatabase, engine_version: str) -> str:
    """Return the parameter group family of an engine version such as `17` or `17.5`."""
    return f"{database.facts.parameter_family}{engine_version.partition('.')[0]}"


def expected_parameters(settings: Settings) -> ExpectedParameters | None:
    """Return what an instance that exists should have, though its owner sets it; `None` for one of our own."""
    if settings.database.existing_identifier is None:
        return None
    ours = parameters(settings.database)
    return ExpectedParameters(
        identifier=settings.database.existing_identifier,
        values={each.name: each.value for each in ours} | {"log_line_prefix": LOG_LINE_PREFIX},
        at_restart=AT_RESTART,
    )


def parameters(database: DatabaseSettings) -> list[Parameter]:
    """Return the parameters of an instance, or of a cluster, sorted by name as RDS returns them.

    Each is one of a cluster's group too:
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Reference.ParameterGroups.html
    """
    slow_ms = str(database.log_min_duration_ms)
    values = {
        # Slow statements, and their plans. Both write a line with "duration:"; the metric filters count the first only.
        # For a statement that log_statement has logged, the duration is a line of its own without the text.
        "log_min_duration_statement": slow_ms,
        "auto_explain.log_min_duration": slow_ms,
        "auto_explain.log_format": "json",
        "auto_explain.log_nested_statements": "1",
        # log_analyze would time every node of every statement; without it a plan costs nothing until it is logged.
        "auto_explain.log_analyze": "0",
        # Statements inside functions count too: a refresh is a function.
        "pg_stat_statements.track": "all",
        # Schema changes, connections, and waits for locks.
        "log_statement": "ddl",
        "log_connections": "1",
        "log_disconnections": "1",
        "log_lock_waits": "1",
        "log_temp_files": "10240",
        # A forgotten open transaction keeps vacuum from removing dead rows in every table.
        "idle_in_transaction_session_timeout": "300000",
        # Random reads cost little more than sequential ones on gp3 and on a cluster's volume.
        "random_page_cost": "1.1",
    }
    # What RDS sets by itself, stated because the rest relies on it. The group is there before the instance starts.
    by_default = {
        "rds.force_ssl": "1",  # refuses connections without TLS
        "track_io_timing": "1",
        "log_autovacuum_min_duration": "10000",
    }
    at_restart = {
        # RDS's own formula depends on the free memory of the host; the alarms need the exact number.
        "max_connections": str(database.session_limit),
        "shared_preload_libraries": "auto_explain,pg_stat_statements",
    }
    described = [
        *(Parameter(name=name, value=value, apply_method="immediate") for name, value in values.items()),
        *(
            Parameter(name=name, value=value, apply_method="pending-reboot")
            for name, value in (by_default | at_restart).items()
        ),
    ]
    return sorted(described, key=lambda parameter: parameter.name)
